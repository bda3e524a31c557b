"""Schedulers beside SLURM, as data: how jobs are worded, listed and cancelled; and the queue of any of them."""

EXECUTOR = "mira-queue"  # what Snakemake calls the executor that submits jobs to them
