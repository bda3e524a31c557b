"""Relaxations with ASE's calculators, without a worker around them."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from worker.contract import Answer, NoAnswer, Outcome
from worker.prepare import prepare_structure
from worker.tasks import relax

SETTINGS: dict[str, Any] = {
    "cell": "full", "pressure_gpa": 0.0, "symmetry": "free", "fmax_ev_per_ang": 0.01, "smax_gpa": 0.1,
    "max_steps": 500, "optimizer": "lbfgs", "keep": "last",
}  # fmt: skip
TIGHT = {"fmax_ev_per_ang": 1e-4, "smax_gpa": 1e-3}


def distorted(atoms: Atoms, strain: float = 0.02, rattle: float = 0.06, seed: int = 1) -> Atoms:
    """A copy with a strained cell and rattled atoms."""
    random = np.random.default_rng(seed)
    atoms = atoms.copy()
    atoms.rattle(rattle, rng=random)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + random.normal(0, strain, (3, 3))), scale_atoms=True)
    return atoms


def answer_of(atoms: Atoms, calculator: Calculator, noise: float = 0.0, seed: int = 0) -> Answer:
    """What the worker would answer, with random numbers added to forces and stress."""
    random = np.random.default_rng([seed, *np.abs(atoms.positions * 1e6).astype(int).ravel()[:8]])
    asked = prepare_structure(atoms, 8.0).atoms
    asked.calc = calculator
    forces = asked.get_forces() + noise * random.normal(size=(len(atoms), 3))
    stress = asked.get_stress() + noise * random.normal(size=6) / asked.get_volume()
    return Answer(
        asked.get_potential_energy(),
        forces,
        stress if atoms.pbc.all() else None,
        stress * asked.get_volume() if atoms.pbc.any() else None,
    )


def relaxed(atoms: Atoms, calculator: Calculator, *, noise: float = 0.0, **settings: Any) -> Outcome:
    """The outcome of a relaxation."""
    story = relax.steps(atoms.copy(), SETTINGS | settings)
    try:
        asked = next(story)
        while True:
            assert isinstance(asked, Atoms)
            asked = story.send(answer_of(asked, calculator, noise))
    except StopIteration as end:
        found: Outcome = end.value
        return found
    except NoAnswer as why:
        return Outcome(why.status, str(why))


def geometry(start: Atoms, outcome: Outcome) -> Atoms:
    """Where a relaxation ended."""
    atoms = start.copy()
    atoms.set_constraint()
    atoms.positions[:], atoms.cell[:] = outcome.arrays["positions"], outcome.arrays["cell"]
    return atoms
