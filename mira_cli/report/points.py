"""Points of the plots that compare two models, or a model with the reference: all, or a random sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.alignment import Aligned, Refusal
from mira_cli.compare.energy_pairs import aligned_pairs
from mira_cli.compare.reference import residuals
from mira_cli.report.gathered import read_atoms, rounded, short
from mira_cli.units import EV_PER_ANG3_IN_GPA

if TYPE_CHECKING:
    from mira_cli.compare.forces import Array
    from mira_cli.report.gathered import Gathered

MOST_STRUCTURES, MOST_ATOMS = 2_000, 3_000
MOST_NUMBERS = 400_000  # of one kind in the file
MOST_PAIRED = 16  # models whose energies are aligned with one another for the plots
SEED = 0


def points(gathered: Gathered) -> dict[str, Any]:
    """Energies, pressures and force components of a sample of structures and of atoms."""
    return {"structures": _structures(gathered), "atoms": _atoms(gathered)}


def _structures(gathered: Gathered) -> dict[str, Any]:
    answers, models = gathered.answers, len(gathered.models)
    paired = min(models, MOST_PAIRED)
    sets = paired * (paired + 1) // 2 + models
    places = _sample(len(answers), min(MOST_STRUCTURES, MOST_NUMBERS // max(1, sets)))
    pressure = -answers.stress[places][:, :, :3].mean(axis=2) * EV_PER_ANG3_IN_GPA
    found: dict[str, Any] = {
        "total": len(answers),
        "id": answers.structures.take(places).to_pylist(),
        "formula": answers.formulas.take(places).to_pylist(),
        "energy": [rounded(column, 5) for column in answers.energy[places].T],
        "pressure": [short(column) for column in pressure.T],
        "aligned": {},
        "paired": paired,
    }
    for a, b, aligned in aligned_pairs(answers, gathered.statistics.scheme):
        if b < paired:
            found["aligned"][f"{a},{b}"] = _difference(aligned, places)
    if np.isfinite(answers.reference_energy).any():
        target = answers.reference_energy
        found["reference_energy"] = rounded(target[places], 5)
        for a in range(models):
            found["aligned"][f"{a},reference"] = _difference(residuals(answers, a, gathered.statistics.scheme), places)
    if np.isfinite(answers.reference_stress).any():
        found["reference_pressure"] = short(-answers.reference_stress[places][:, :3].mean(axis=1) * EV_PER_ANG3_IN_GPA)
    return found


def _difference(aligned: Aligned | Refusal, places: Array) -> list[float | None] | None:
    if isinstance(aligned, Refusal):
        return None
    return short(np.where(aligned.determined, aligned.values, np.nan)[places])


def _atoms(gathered: Gathered) -> dict[str, Any]:
    """Forces on atoms, drawn from all atoms of the input alike."""
    n_atoms, columns = gathered.index.n_atoms, len(gathered.models) + 1
    ends = np.cumsum(n_atoms)
    total = int(ends[-1]) if len(ends) else 0
    chosen = _sample(total, min(MOST_ATOMS, MOST_NUMBERS // (3 * columns)))
    places = np.searchsorted(ends, chosen, side="right")
    within = chosen - (ends - n_atoms)[places] if len(chosen) else chosen
    forces = np.full((columns, len(chosen), 3), np.nan)
    elements = np.zeros(len(chosen), int)
    for atoms in read_atoms(gathered, np.unique(places)):
        here = slice(*np.searchsorted(places, [atoms.place, atoms.place + 1]))
        elements[here] = atoms.numbers[within[here]]
        for k, given in enumerate([*atoms.forces, atoms.reference]):
            if given is not None:
                forces[k, here] = given[within[here]]
    from ase.data import chemical_symbols

    distinct, structure = np.unique(places, return_inverse=True)
    return {
        "total": total,
        "id": gathered.answers.structures.take(distinct).to_pylist(),
        "structure": structure.tolist(),
        "atom": within.tolist(),
        "element": [chemical_symbols[number] for number in elements.tolist()],
        "forces": [short(of_model) for of_model in forces[:-1]],
        "reference": short(forces[-1]) if np.isfinite(forces[-1]).any() else None,
    }


def _sample(total: int, most: int) -> Array:
    """All of the first integers, or some drawn at random, in order; always the same ones."""
    if total <= most:
        return np.arange(total)
    drawn = np.random.default_rng(SEED).integers(0, total, size=2 * most)  # no permutation: there may be billions
    _, first = np.unique(drawn, return_index=True)
    return np.sort(drawn[np.sort(first)[:most]])
