"""What MIRA asks SLURM: the queue, the partitions, whether a job could ever start. Nothing else calls its commands."""

EXECUTOR = "mira-slurm"  # what Snakemake calls the executor that submits jobs
