"""The part of MIRA that runs inside a model's image: one job in, records out.

It needs the standard library, numpy, ASE and exactly one model family, and never imports `mira_cli`.
`python -m worker JOB.json --records DIR --done FILE` is its only door.
"""
