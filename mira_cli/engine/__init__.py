"""Everything that touches Snakemake: its command line, its process, its events. Nothing else does."""
