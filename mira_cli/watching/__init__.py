"""What a run is doing, read from its files and SLURM's queue. Nothing here writes."""
