"""Elastic constants of each crystal, with ions relaxed and clamped, at each model's own minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from worker.beyond import beyond
from worker.contract import INVALID_RESULT, Layout, Outcome
from worker.minimum.relaxed import relaxed, together
from worker.minimum.symmetry import space_group_of, standard_axes
from worker.minimum.tensors import EV_PER_ANG3_IN_GPA, WEIGHTS, mandel, tensor
from worker.properties.crystals import why_no_free_bulk
from worker.properties.elasticity import (
    COMPONENTS,
    SIGNS,
    averages,
    equal_strains,
    smallest_eigenvalue,
    stiffness,
    strained,
    strains_of,
    symmetric,
    turned,
    why_no_stiffness,
)
from worker.tasks import FROM_MINIMUM

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from worker.contract import Answer
    from worker.minimum.relaxation import Relaxation
    from worker.tasks import Steps

    Floats = NDArray[np.float64]

VERSION = 1  # raise it, and that in `mira_cli/tasks/elastic.py`, when the numbers change
SETTINGS = ("strain", "strains", "fmax_per_strain_ev_per_ang", "max_steps", *FROM_MINIMUM)
MODULI = (
    "bulk_modulus_voigt_gpa", "bulk_modulus_reuss_gpa", "bulk_modulus_gpa", "shear_modulus_voigt_gpa",
    "shear_modulus_reuss_gpa", "shear_modulus_gpa", "young_modulus_gpa", "poisson_ratio", "universal_anisotropy",
)  # fmt: skip
CLAMPED = ("clamped_bulk_modulus_gpa", "clamped_shear_modulus_gpa")
VALUES = (
    *MODULI, *CLAMPED, "smallest_eigenvalue_gpa", "is_stable", "asymmetry_gpa", "nonlinearity_gpa",
    "symmetrized_by_gpa", "residual_stress_gpa", "n_evaluations", "space_group",
)  # fmt: skip
OF_STABLE = (
    "bulk_modulus_reuss_gpa", "bulk_modulus_gpa", "shear_modulus_reuss_gpa", "shear_modulus_gpa",
    "young_modulus_gpa", "poisson_ratio", "universal_anisotropy",
)  # fmt: skip
OPTIONAL = (*OF_STABLE, *CLAMPED, "space_group")
ARRAYS = {
    "stiffness_gpa": Layout(width=COMPONENTS, rows=COMPONENTS),
    "clamped_stiffness_gpa": Layout(width=COMPONENTS, rows=COMPONENTS),
}
SIZES = (1.0, 2.0)  # of strains, in multiples of the setting
MOST_STRESS_GPA = 0.2  # at the start: constants under a pressure are others


class Strains(NamedTuple):
    """What was asked for, and what it stands for.

    Attributes
    ----------
    sizes
        (k,) of the strains.
    axes
        (3, 3), rows: the crystal's axes, along which they are.
    rotations
        (g, 3, 3) operations of the crystal.
    place, turns
        (24,) which answer belongs to each strain, after it is turned by an operation, (24, 3, 3).
    """

    sizes: Floats
    axes: Floats
    rotations: Floats
    place: NDArray[np.int_]
    turns: Floats


def refusal(start: Atoms) -> str | None:
    """Say why a structure has no elastic constants, or None if it has some."""
    return why_no_free_bulk(start)


def steps(start: Atoms, settings: dict[str, Any]) -> Steps:
    """Relax ions in the cell of the minimum, then in all strained cells at once."""
    if why := refusal(start):
        return Outcome(INVALID_RESULT, why)
    sizes = settings["strain"] * np.array(SIZES)
    rest = yield from relaxed(start, _of_ions(settings, settings["strain"], "kept"))
    if rest.stopped_by != "converged":
        return Outcome(INVALID_RESULT, "ions were not at rest in the cell of the minimum")
    atoms: Atoms = start.copy()
    atoms.positions[:], atoms.cell[:] = rest.atoms.positions, rest.atoms.cell
    symmetry = rest.freedom.symmetry
    assert symmetry is not None  # as it was asked for
    axes = standard_axes(atoms)
    strains = strains_of(sizes, axes).reshape(-1, 3, 3)
    same = symmetry.rotations if settings["strains"] == "distinct" else np.eye(3)[None]
    first, turns = equal_strains(strains, same)
    asked, place = np.unique(first, return_inverse=True)
    of_strain = np.tile(np.repeat(sizes, len(SIGNS)), COMPONENTS)
    cells = [(strained(atoms, strains[k]), _of_ions(settings, float(of_strain[k]), "free")) for k in asked]
    ends = yield from together([relaxed(*cell) for cell in cells])
    return _outcome(atoms, rest, ends, Strains(sizes, axes, symmetry.rotations, place, turns))


def _of_ions(settings: dict[str, Any], strain: float, symmetry: str) -> dict[str, Any]:
    """Settings of a relaxation in a fixed cell: forces that a strain raises are as small as the strain is."""
    return {
        "cell": "fixed", "pressure_gpa": 0.0, "symmetry": symmetry, "optimizer": "lbfgs", "keep": "last",
        "fmax_ev_per_ang": settings["fmax_per_strain_ev_per_ang"] * strain, "smax_gpa": 0.0,
        "max_steps": settings["max_steps"],
    }  # fmt: skip


def _stresses(answers: list[Answer], strains: Strains) -> Floats:
    """(6, k, 2, 6) GPa along the crystal's axes, from answers to the strains that were asked for."""
    stresses = np.array([answer.stress_ev_per_ang3 for answer in answers], float) * EV_PER_ANG3_IN_GPA * WEIGHTS
    tensors = np.array([tensor(one) for one in stresses])[strains.place]
    turns = strains.axes @ strains.turns
    along = turns @ tensors @ turns.transpose(0, 2, 1)
    found = np.array([mandel(one) for one in along]) / WEIGHTS
    return found.reshape(COMPONENTS, len(SIZES), len(SIGNS), COMPONENTS)


def _outcome(atoms: Atoms, rest: Relaxation, ends: list[Relaxation], strains: Strains) -> Outcome:
    residual, sizes = _gpa(rest.point.answer), strains.sizes
    values: dict[str, Any] = {
        "residual_stress_gpa": residual,
        "n_evaluations": sum(one.n_steps + 1 for one in (rest, *ends)),
        "space_group": space_group_of(atoms),
    }
    if moving := sum(one.stopped_by != "converged" for one in ends):
        why = f"ions were not at rest in {moving} of {len(ends)} strained cells"
        return Outcome(INVALID_RESULT, why, values)
    relaxed_ions = _stresses([one.point.answer for one in ends], strains)
    clamped_ions = _stresses([one.first for one in ends if one.first is not None], strains)
    rotations = strains.axes @ strains.rotations @ strains.axes.T
    measured = stiffness(sizes, relaxed_ions)
    along_axes, clamped = symmetric(measured, rotations), symmetric(stiffness(sizes, clamped_ions), rotations)
    c, clamped = turned(along_axes, strains.axes.T), turned(clamped, strains.axes.T)
    each = [stiffness(sizes[[k]], relaxed_ions[:, [k]]) for k in range(len(sizes))]
    asymmetry = float(np.abs(measured - measured.T).max())
    nonlinearity = float(np.abs(each[1] - each[0]).max())
    of_clamped, smallest = averages(clamped), smallest_eigenvalue(c)
    values |= dict(zip(MODULI, averages(c), strict=True))
    values |= dict(zip(CLAMPED, (of_clamped.bulk, of_clamped.shear), strict=True))
    values |= {
        "smallest_eigenvalue_gpa": smallest,
        "is_stable": smallest > 0,
        "asymmetry_gpa": asymmetry,
        "nonlinearity_gpa": nonlinearity,
        "symmetrized_by_gpa": float(np.abs(along_axes - (measured + measured.T) / 2).max()),
    }
    arrays = {"stiffness_gpa": c, "clamped_stiffness_gpa": clamped}
    unbelievable = why_no_stiffness(float(np.abs(c).max()), asymmetry, nonlinearity)
    if residual > MOST_STRESS_GPA:
        unbelievable = f"the start is not without stress: {beyond(residual, MOST_STRESS_GPA)} GPa are left"
    if unbelievable:
        kept = ("residual_stress_gpa", "n_evaluations", "space_group", "asymmetry_gpa", "nonlinearity_gpa")
        return Outcome(INVALID_RESULT, unbelievable, {name: values[name] for name in kept})
    return Outcome("ok", None, values, arrays)


def _gpa(answer: Answer) -> float:
    """Largest component of a stress."""
    assert answer.stress_ev_per_ang3 is not None
    return float(np.abs(answer.stress_ev_per_ang3).max() * EV_PER_ANG3_IN_GPA)
