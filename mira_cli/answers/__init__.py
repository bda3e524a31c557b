"""A run read back: its structures and the records of its models, as blocks and as arrays."""
