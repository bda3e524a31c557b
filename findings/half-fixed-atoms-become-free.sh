#!/usr/bin/env bash
# Each format holds one of the two ways of fixing an atom in some directions only. ASE 3.29.0 writes an atom fixed along
# Cartesian x (FixCartesian) to the POSCAR of a primitive cell as `T T T`, free, and one fixed along a cell vector (FixScaled)
# to extxyz without `move_mask`; the whole atom (FixAtoms) is kept by both. Neither says a word.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.build import bulk
from ase.constraints import FixAtoms, FixCartesian, FixScaled
from ase.io import read, write

mask = [True, False, False]
seen = {}
for constraint in (FixAtoms([0]), FixCartesian([0], mask), FixScaled([0], mask)):
    atoms = bulk("Cu")
    atoms.set_constraint(constraint)
    kind = type(constraint).__name__
    for name in ("POSCAR", "copper.extxyz"):
        write(name, atoms, **({"direct": True} if name == "POSCAR" else {}))
        seen[kind, name] = [type(one).__name__ for one in read(name).constraints]
        print(f"{kind} to {name}: {seen[kind, name] or 'free'}")
kept = {("FixAtoms", "POSCAR"), ("FixAtoms", "copper.extxyz"), ("FixCartesian", "copper.extxyz"), ("FixScaled", "POSCAR")}
sys.exit(seen != {case: [case[0]] if case in kept else [] for case in seen})
PYTHON
