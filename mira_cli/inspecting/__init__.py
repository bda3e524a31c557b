"""What `mira inspect` says of an input before any job: of each structure, and of all together."""
