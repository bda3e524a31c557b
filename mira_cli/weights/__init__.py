"""MIRA's store of weights: what catalogue rows fetch, kept with hashes, shared by runs."""
