"""Formation energies: each structure's own minimum, set against those of its elements among the structures."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, field_validator

from mira_cli.tasks import Column, Task, Value
from mira_cli.tasks.relax import FromMinimum

if TYPE_CHECKING:
    from mira_cli.tasks import Array, Whole

ROUNDING_EV = 1e-7  # per atom: shares of phases and energies above the hull that are less are nothing
MOST_NAMED = 8  # phases


class FormationSettings(FromMinimum):
    """Which energies single atoms have, for cohesive energies."""

    atom_energies_ev: dict[str, dict[str, float]] = Field(
        {},
        description='energies of free atoms in eV by level of theory and element, `{"PBE": {"Cu": -0.24}}`',
    )

    @field_validator("atom_energies_ev")
    @classmethod
    def _of_elements(cls, given: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        from ase.data import atomic_numbers

        for name in (name for of_level in given.values() for name in of_level):
            if name not in atomic_numbers or name == "X":
                raise ValueError(f"`{name}` is no element")
        return given


@lru_cache(maxsize=100_000)
def _counts(formula: str) -> dict[str, int]:
    from ase.formula import Formula

    return dict(Formula(formula).count())


def fractions_of(formulas: list[str | None], elements: list[str]) -> Array:
    """(s, e) share of each element in each structure; zeros without a formula."""
    found, place = np.zeros((len(formulas), len(elements))), {name: k for k, name in enumerate(elements)}
    for row, formula in enumerate(formulas):
        for name, count in (_counts(formula) if formula else {}).items():
            found[row, place[name]] = count
    return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1))


def lowest_of_elements(fractions: Array, energies: Array) -> Array:
    """(e,) rows of the structures of one element alone that are lowest in energy per atom; -1 where there is none."""
    found = np.full(fractions.shape[1], -1)
    for element, share in enumerate(fractions.T):
        rows = np.flatnonzero((share == 1) & np.isfinite(energies))
        if len(rows):
            found[element] = rows[energies[rows].argmin()]
    return found


def on_the_hull(share: Array, fractions: Array, energies: Array) -> tuple[float, Array]:
    """Lowest energy per atom of phases (p, e) together at a composition (e,), and the (p,) shares of their atoms."""
    from scipy.optimize import linprog

    present = share > 0
    done = linprog(energies, A_eq=fractions[:, present].T, b_eq=share[present], bounds=(0, None), method="highs")
    if not done.success:
        raise ArithmeticError(f"no convex hull was found: {done.message}")
    return float(done.fun), np.asarray(done.x)


def formation_columns(whole: Whole) -> dict[str, Array]:
    """Columns of all structures, from the energies of one model's minima."""
    n = len(whole.formulas)
    elements = sorted({name for formula in whole.formulas if formula for name in _counts(formula)})
    fractions = fractions_of(whole.formulas, elements)
    energy = np.where(whole.ok, whole.numbers["minimum_energy_ev"] / whole.n_atoms, np.nan)
    references = lowest_of_elements(fractions, energy)
    of_elements = np.where(references >= 0, energy[references], np.nan)
    formed = np.full(n, np.nan)
    complete = np.isfinite(energy) & ~(fractions[:, references < 0] > 0).any(axis=1)
    formed[complete] = energy[complete] - fractions[complete] @ np.nan_to_num(of_elements)
    above, phases = _above_the_hull(whole, fractions, formed)
    named, why = np.full(n, None), np.full(n, None)
    for row in np.flatnonzero(np.isfinite(energy)):
        named[row] = _named(elements, fractions[row], references, whole)
    for row in np.flatnonzero(np.isfinite(energy) & ~complete):
        lacking = (fractions[row] > 0) & (references < 0)
        why[row] = "; ".join(_lacking(elements[k], bool((fractions[:, k] == 1).any())) for k in np.flatnonzero(lacking))
    return {
        "energy_per_atom_ev": energy,
        "formation_energy_per_atom_ev": formed,
        "energy_above_hull_per_atom_ev": above,
        "hull_phases": phases,
        "elemental_references": named,
        "cohesive_energy_per_atom_ev": _cohesive(whole, elements, fractions, energy),
        "error": why,
    }


def _above_the_hull(whole: Whole, fractions: Array, formed: Array) -> tuple[Array, Array]:
    """(s,) energies above the hull, eV/atom, and the phases on it; of those that have a formation energy."""
    above, phases = np.full(len(formed), np.nan), np.full(len(formed), None)
    rows = np.flatnonzero(np.isfinite(formed))
    if not len(rows):
        return above, phases
    rows = rows[np.argsort(formed[rows], kind="stable")]  # the first of a composition is the lowest
    different, first, which = np.unique(fractions[rows].round(12), axis=0, return_index=True, return_inverse=True)
    lowest = rows[first]
    for place, share in enumerate(different):
        inside = lowest[~(different[:, share == 0] > 0).any(axis=1)]
        energy, shares = on_the_hull(share, fractions[inside], formed[inside])
        own = rows[which.reshape(-1) == place]
        above[own] = np.maximum(formed[own] - energy, 0.0)
        above[own[above[own] < ROUNDING_EV]] = 0.0
        phases[own] = " + ".join(
            f"{shares[k]:.3g} {whole.ids[inside[k]]}" if shares[k] < 1 - ROUNDING_EV else whole.ids[inside[k]]
            for k in np.argsort(-shares, kind="stable")[:MOST_NAMED]
            if shares[k] > ROUNDING_EV
        )
    return above, phases


def _named(elements: list[str], share: Array, references: Array, whole: Whole) -> str:
    """Which structures the energies of the elements are of."""
    return "; ".join(
        f"{elements[k]}: {whole.ids[references[k]] if references[k] >= 0 else 'none'}"
        for k in np.flatnonzero(share > 0)
    )


def _lacking(element: str, is_given: bool) -> str:
    """Why an element has no reference."""
    if is_given:
        return f"the model has no answer for any of the given structures of {element} alone"
    return f"no given structure is of {element} alone, to refer its energy to"


def _cohesive(whole: Whole, elements: list[str], fractions: Array, energy: Array) -> Array:
    """(s,) energies of the free atoms less that of the structure, eV/atom; NaN where one of them is not given."""
    given: dict[str, Any] = whole.settings["atom_energies_ev"].get(whole.level_of_theory, {})
    free = np.array([given.get(name, np.nan) for name in elements])
    lacking = (fractions[:, np.isnan(free)] > 0).any(axis=1)
    return np.where(lacking, np.nan, fractions @ np.nan_to_num(free) - energy)


TASK = Task(
    name="formation",
    version=1,
    settings=FormationSettings,
    evaluations=lambda settings: min(20.0, settings.relax_max_steps),
    values={"minimum_energy_ev": Value("real")},
    arrays={},
    columns=(
        Column(
            "formation_energy_per_atom_ev",
            "real",
            "energy of the minimum less those of its elements, each the lowest of the structures given",
            "yes",
            ("reference_formation_energy_per_atom_ev", "formation_energy"),
        ),
        Column(
            "energy_above_hull_per_atom_ev",
            "real",
            "energy above the convex hull of the structures given, 0 on it",
            "yes",
            ("reference_energy_above_hull_per_atom_ev", "energy_above_hull"),
        ),
        Column("hull_phases", "text", "structures on the hull at its composition, with their shares of the atoms"),
        Column(
            "elemental_references",
            "text",
            "the structure that stands for each element, or none: the model has an answer for none of them",
        ),
        Column(
            "cohesive_energy_per_atom_ev",
            "real",
            "energies of free atoms, where they are given, less that of the minimum",
            "yes",
            ("reference_cohesive_energy_per_atom_ev", "cohesive_energy"),
        ),
        Column("energy_per_atom_ev", "real", "energy of the minimum per atom", "energy"),
    ),
    shown=(
        "formation_energy_per_atom_ev",
        "energy_above_hull_per_atom_ev",
        "hull_phases",
        "cohesive_energy_per_atom_ev",
    ),
    methods=(
        "Formation energies of {structures} were computed from minima of each model, with respect to the lowest of its "
        "own minima among the given structures of each element; distances to the convex hull are to that of the given "
        "structures, and no correction was applied"
    ),
    moves_cell=lambda _: True,
    begins_with=lambda settings: settings.relaxation(),
    across=formation_columns,
)
