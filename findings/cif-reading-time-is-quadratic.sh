#!/usr/bin/env bash
# A CIF in P 1 that lists all of its atoms needs nothing but reading. ASE 3.29.0 compares each site with each that came before:
# four times the atoms take some 15 times as long (500: 1.4 s, 2,000: 20 s).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python - <<'PYTHON'
import sys
import time

from ase.build import bulk
from ase.io import read, write

times = {}
for repeats in ((5, 5, 5), (10, 10, 5)):
    atoms = bulk("Cu", cubic=True) * repeats
    if repeats == (5, 5, 5):
        atoms = atoms[:500]
    write("copper.cif", atoms)
    start = time.process_time()
    assert len(read("copper.cif")) == len(atoms)
    times[len(atoms)] = time.process_time() - start
(few, short), (many, long) = times.items()
print(f"{few} atoms {short:.1f} s, {many} atoms {long:.1f} s: {long / short:.0f} times as long")
sys.exit(long / short < 8)
PYTHON
