"""A run is one directory: its layout, its lock, its records."""
