"""For Snakemake's path where no jobs go to SLURM: modules that stand before the plugins of their names."""
