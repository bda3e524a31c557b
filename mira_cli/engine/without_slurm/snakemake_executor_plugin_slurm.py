"""Takes the place of the plugin of this name: Snakemake imports packages of such names, and passes over a module."""
