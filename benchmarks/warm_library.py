"""The library's own calculator, one call after the other: `warm_library.py FAMILY NAME`, asked line by line on stdin.

A line is a structure as JSON, and whether it is to be relaxed by ASE, or only evaluated; the answer is the seconds of
that, by the clock of this process.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from ase import Atoms

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


def main() -> None:
    calculator = own_calculator(*sys.argv[1:3])
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        atoms = Atoms(asked["numbers"], asked["positions"], cell=asked["cell"], pbc=True)
        atoms.calc = calculator
        print(json.dumps(relaxed(atoms) if asked["relax"] else evaluated(atoms)), flush=True)


def own_calculator(family: str, name: str) -> Calculator:
    """What a user makes by the package's manual."""
    if family == "sevennet":
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(name, device="cpu")
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    return CHGNetCalculator(CHGNet.load(model_name=name, use_device="cpu", verbose=False), use_device="cpu")


def evaluated(atoms: Atoms) -> dict[str, float]:
    """Seconds of one call, and the energy."""
    began = time.perf_counter()
    atoms.get_forces()
    return {"s": time.perf_counter() - began, "energy": float(atoms.get_potential_energy()), "steps": 0}


def relaxed(atoms: Atoms, steps: int = 30) -> dict[str, float]:
    """Seconds of a relaxation of atoms and cell by ASE, the energy at its end, and its steps."""
    from ase.filters import FrechetCellFilter
    from ase.optimize import LBFGS

    began = time.perf_counter()
    run = LBFGS(FrechetCellFilter(atoms), logfile=None)
    run.run(fmax=0.02, steps=steps)
    return {"s": time.perf_counter() - began, "energy": float(atoms.get_potential_energy()), "steps": run.nsteps}


if __name__ == "__main__":
    main()
