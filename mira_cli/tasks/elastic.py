"""Elastic constants of each crystal, with ions relaxed and clamped, at each model's own minimum."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from mira_cli.tasks import Column, Layout, Matrix, Task, Value
from mira_cli.tasks.relax import FromMinimum

if TYPE_CHECKING:
    from mira_cli.tasks import Array, Records, Starts

COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")
ELEMENTS = tuple(combinations_with_replacement(range(6), 2))  # of the upper triangle
NAMES = tuple(f"c{i + 1}{j + 1}_gpa" for i, j in ELEMENTS)


class ElasticSettings(FromMinimum):
    """How much cells are strained, and how far ions are relaxed in them."""

    strain: float = Field(0.005, ge=1e-4, le=0.05, description="size of the strains: ± this, and ± twice this")
    strains: Literal["distinct", "all"] = Field(
        "distinct",
        description="all: also those that the crystal's symmetry makes equal, to see how far a model keeps it",
    )
    fmax_per_strain_ev_per_ang: float = Field(
        0.02, ge=1e-4, le=1, description="largest force left in a strained cell, over the strain, eV/Å"
    )
    max_steps: int = Field(200, ge=1, le=1_000_000, description="steps after which a strained cell is given up")


def elements(found: Records, ok: Array, starts: Starts) -> dict[str, Array]:  # noqa: ARG001
    """The 21 elements of C with relaxed ions, of n structures; NaN where `ok` (n,) is false or there are none."""
    c = np.full((len(ok), 6, 6), np.nan)
    c[ok] = found.rows("stiffness_gpa", ok)[1].reshape(-1, 6, 6)
    return {name: c[:, i, j] for name, (i, j) in zip(NAMES, ELEMENTS, strict=True)}


def _modulus(name: str, meaning: str, given: str = "") -> Column:
    return Column(name, "real", meaning, "yes" if given else "no", (f"reference_{given}",) if given else ())


TASK = Task(
    name="elastic",
    version=1,
    settings=ElasticSettings,
    evaluations=lambda settings: 60 if settings.strains == "all" else 40,
    begins_with=lambda settings: settings.relaxation(),
    moves_cell=lambda _: True,
    of_crystals=True,
    values={
        "bulk_modulus_voigt_gpa": Value("real"),
        "bulk_modulus_reuss_gpa": Value("real", needed=False),  # unstable crystals have none
        "bulk_modulus_gpa": Value("real", needed=False),
        "shear_modulus_voigt_gpa": Value("real"),
        "shear_modulus_reuss_gpa": Value("real", needed=False),
        "shear_modulus_gpa": Value("real", needed=False),
        "young_modulus_gpa": Value("real", needed=False),
        "poisson_ratio": Value("real", needed=False),
        "universal_anisotropy": Value("real", needed=False),
        "clamped_bulk_modulus_gpa": Value("real", needed=False),
        "clamped_shear_modulus_gpa": Value("real", needed=False),
        "smallest_eigenvalue_gpa": Value("real"),
        "is_stable": Value("flag"),
        "asymmetry_gpa": Value("real"),
        "nonlinearity_gpa": Value("real"),
        "symmetrized_by_gpa": Value("real"),
        "residual_stress_gpa": Value("real"),
        "n_evaluations": Value("whole"),
        "space_group": Value("text", needed=False),
    },
    arrays={"stiffness_gpa": Layout(width=6, rows=6), "clamped_stiffness_gpa": Layout(width=6, rows=6)},
    columns=(
        replace(
            _modulus("bulk_modulus_gpa", "bulk modulus, mean of Voigt's and Reuss's (Hill)", "bulk_modulus_gpa"),
            empty_if="the crystal is not stable: its C has a negative eigenvalue (Born)",
        ),
        _modulus("bulk_modulus_voigt_gpa", "bulk modulus at one strain (Voigt)"),
        _modulus("bulk_modulus_reuss_gpa", "bulk modulus at one stress (Reuss)"),
        _modulus("shear_modulus_gpa", "shear modulus, mean of Voigt's and Reuss's (Hill)", "shear_modulus_gpa"),
        _modulus("shear_modulus_voigt_gpa", "shear modulus at one strain (Voigt)"),
        _modulus("shear_modulus_reuss_gpa", "shear modulus at one stress (Reuss)"),
        _modulus("young_modulus_gpa", "Young's modulus of Hill's bulk and shear modulus", "young_modulus_gpa"),
        _modulus("poisson_ratio", "Poisson's ratio of Hill's bulk and shear modulus", "poisson_ratio"),
        _modulus(
            "universal_anisotropy",
            "universal anisotropy 5 G_V/G_R + K_V/K_R − 6, 0 if isotropic",
            "universal_anisotropy",
        ),
        _modulus("clamped_bulk_modulus_gpa", "bulk modulus (Hill) with clamped ions"),
        _modulus("clamped_shear_modulus_gpa", "shear modulus (Hill) with clamped ions"),
        Column("smallest_eigenvalue_gpa", "real", "smallest eigenvalue of C as a tensor, the same in any frame", "yes"),
        Column("is_stable", "flag", "whether it is positive (Born); if not, there are no Reuss and Hill averages"),
        *(
            Column(name, "real", f"C{i + 1}{j + 1} with relaxed ions, in the frame of the input")
            for name, (i, j) in zip(NAMES, ELEMENTS, strict=True)
        ),
        Column("asymmetry_gpa", "real", "largest difference between C as measured and its transpose"),
        Column("nonlinearity_gpa", "real", "largest difference between C of the small and of the large strains"),
        Column("symmetrized_by_gpa", "real", "largest change of an element of C by the symmetry of the crystal"),
        Column("residual_stress_gpa", "real", "largest stress at the start"),
        Column("n_evaluations", "whole", "evaluations of the model, without those of the minimum"),
        Column("space_group", "text", "space group at the minimum"),
    ),
    shown=(
        "bulk_modulus_gpa",
        "shear_modulus_gpa",
        "young_modulus_gpa",
        "poisson_ratio",
        "universal_anisotropy",
        "is_stable",
        "space_group",
    ),
    methods=(
        "Elastic constants of {structures} were derived from the stresses of cells with each of six strains of "
        "±{strain} and ± twice as much about each model's minimum (to {relax_fmax_ev_per_ang} eV/Å and "
        "{relax_smax_gpa} GPa), ions relaxed in each to {fmax_per_strain_ev_per_ang} eV/Å times the strain, and "
        "averaged over the operations of the crystal"
    ),
    fill=elements,
    matrices=(
        Matrix("stiffness_gpa", "Elastic constants, relaxed ions", "GPa", COMPONENTS),
        Matrix("clamped_stiffness_gpa", "Elastic constants, clamped ions", "GPa", COMPONENTS),
    ),
)
