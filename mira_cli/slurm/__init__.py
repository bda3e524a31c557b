"""What MIRA asks SLURM: the queue, the partitions, and whether a job could ever start. The only code that calls its commands."""
