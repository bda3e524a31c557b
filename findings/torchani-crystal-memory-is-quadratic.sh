#!/usr/bin/env bash
# TorchANI's default list of neighbours of a crystal (torchani 2.9.0, "all_pairs") holds every pair of atoms in all 27 or
# more images at once before it leaves out what is farther apart than the cutoff: diamond of 512 atoms takes 0.5 GB, of
# 1000 atoms 1.9 GB, four times as much for twice the atoms, though 49 pairs of each atom are kept at either size. Its other
# list, by buckets, wants a cell of several cutoffs. Large crystals need a list from elsewhere
# (`compute_from_external_neighbors`).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q torchani==2.9.0 torch==2.13.0 ase==3.29.0
export TORCHANI_NO_WARN_EXTENSIONS=1
cd "$work" && cat > pairs.py <<'PYTHON'
import resource
import sys

import torch
from ase.build import bulk
from torchani.neighbors import AllPairs

atoms = bulk("C", "diamond", a=3.57, cubic=True) * ([int(sys.argv[1])] * 3)
given = torch.tensor(atoms.positions[None]), torch.tensor(atoms.cell.array), torch.ones(3, dtype=torch.bool)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = AllPairs()(5.2, torch.zeros((1, len(atoms)), dtype=torch.long), *given)
taken_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(len(atoms), found.indices.shape[1], round(taken_mb))
PYTHON
env/bin/python - <<'PYTHON'
import inspect
import subprocess
import sys

from torchani import models

default = inspect.signature(models.ANI1x).parameters["neighborlist"].default
rows = [subprocess.check_output([sys.executable, "pairs.py", n], text=True).split() for n in ("4", "5")]
(few, few_pairs, few_mb), (many, many_pairs, many_mb) = [[int(word) for word in row] for row in rows]
print(f"default list: {default}")
for atoms, pairs, mb in ((few, few_pairs, few_mb), (many, many_pairs, many_mb)):
    print(f"{atoms} atoms: {pairs / atoms:.0f} pairs an atom kept, {mb} MB on the way")
sys.exit(not (default == "all_pairs" and few_pairs / few == many_pairs / many and many_mb > 3 * few_mb > 1000))
PYTHON
