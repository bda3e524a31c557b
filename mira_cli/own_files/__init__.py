"""Families that a user writes, one in a file: read without running anything in them, with their locks, and kept."""
