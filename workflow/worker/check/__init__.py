"""Whether an adapter gives the right numbers here, on this machine, with this checkpoint.

`python -m worker.check REQUEST.json FINDINGS.json [--threads N]` loads one model and measures, by nothing but the
model itself: whether forces and stress are gradients of its energy, whether answers keep their symmetries, whether a
batch or the package's own calculator says something else, and whether the contract with the worker holds. It measures
only; what is good enough is said by whoever reads the findings.
"""
