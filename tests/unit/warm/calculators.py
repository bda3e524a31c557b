"""What tests of calculators share: small crystals, and whether processes are gone."""

import time
from pathlib import Path

from ase import Atoms
from ase.build import bulk


def rattled(*repeat: int, seed: int = 0) -> Atoms:
    atoms = bulk("Cu", cubic=True) * (repeat or (1, 1, 1))
    atoms.rattle(0.05, seed=seed)
    return atoms


def with_calculator(atoms: Atoms, calc) -> Atoms:
    atoms.calc = calc
    return atoms


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def gone(pid: int, within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def notes(error: BaseException) -> str:
    return "\n".join(error.__notes__)
