"""What MIRA asks SLURM: the queue, the partitions, whether a job could ever start. Nothing else calls its commands."""
