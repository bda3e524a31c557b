"""A run read back: its structures and the records of its models, as batches and as arrays."""
