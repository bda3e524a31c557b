"""Equation of state of each crystal: volume, bulk modulus and its derivative at each model's own minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from mira_cli.tasks import Column, Curve, Distance, Layout, Task, Value
from mira_cli.tasks.relax import FromMinimum
from mira_cli.units import EV_PER_ANG3_IN_GPA

if TYPE_CHECKING:
    from mira_cli.tasks import Array

MOST_POINTS = 101
VOLUME, ENERGY, PRESSURE = "curve_volume_per_atom_ang3", "curve_energy_per_atom_ev", "curve_pressure_gpa"


class EosSettings(FromMinimum):
    """Which volumes, and which equation is fitted."""

    smallest_volume: float = Field(0.94, ge=0.5, lt=1, description="smallest volume, of that of the minimum")
    largest_volume: float = Field(1.06, gt=1, le=2, description="largest volume, of that of the minimum")
    points: int = Field(7, ge=6, le=MOST_POINTS, description="how many volumes")
    form: Literal["birch_murnaghan", "vinet", "murnaghan", "poirier_tarantola"] = Field(
        "birch_murnaghan", description="equation that is fitted"
    )

    @model_validator(mode="after")
    def _range_is_one(self) -> EosSettings:
        if self.largest_volume - self.smallest_volume < 0.005:
            raise ValueError("`smallest_volume` and `largest_volume` are too close to one another")
        return self


def delta(one: Array, other: Array) -> Array:
    """(n,) Δ in meV/atom between equations of state, given by (n, 3) V₀ in Å³/atom, B₀ in GPa and B₀′.

    K. Lejaeghere et al., doi:10.1080/10408436.2013.772503, symmetric, as in ASE.
    """
    from ase.utils.deltacodesdft import delta as of_ase

    units = np.array([1.0, 1 / EV_PER_ANG3_IN_GPA, 1.0])
    pairs = zip((one * units).tolist(), (other * units).tolist(), strict=True)
    return 1000 * np.array([of_ase(*a, *b) for a, b in pairs])


TASK = Task(
    name="eos",
    version=1,
    settings=EosSettings,
    evaluations=lambda settings: 12 + 3 * settings.points,
    begins_with=lambda settings: settings.relaxation(),
    moves_cell=lambda _: True,
    of_crystals=True,
    values={
        "v0_per_atom_ang3": Value("real"),
        "e0_per_atom_ev": Value("real"),
        "bulk_modulus_gpa": Value("real"),
        "bulk_modulus_derivative": Value("real"),
        "bulk_modulus_from_pressure_gpa": Value("real", needed=False),
        "bulk_modulus_spread_gpa": Value("real", needed=False),
        "fit_rms_per_atom_ev": Value("real"),
        "n_points": Value("whole"),
        "n_evaluations": Value("whole"),
        "space_group": Value("text", needed=False),
    },
    arrays={name: Layout(width=1, rows=1, frames=MOST_POINTS) for name in (VOLUME, ENERGY, PRESSURE)},
    columns=(
        Column(
            "v0_per_atom_ang3",
            "real",
            "volume per atom of the minimum",
            "yes",
            ("reference_volume_per_atom_ang3",),
            is_positive=True,
        ),
        Column("e0_per_atom_ev", "real", "energy per atom of the minimum", "energy", ("energy_per_atom",)),
        Column("bulk_modulus_gpa", "real", "bulk modulus B₀ of the fit", "yes", ("reference_bulk_modulus_gpa",)),
        Column(
            "bulk_modulus_derivative",
            "real",
            "derivative B₀′ of the bulk modulus by pressure",
            "yes",
            ("reference_bulk_modulus_derivative",),
        ),
        Column(
            "bulk_modulus_from_pressure_gpa",
            "real",
            "−dp/d ln V where the pressure is zero, by a parabola through the three nearest volumes",
        ),
        Column(
            "bulk_modulus_spread_gpa",
            "real",
            "largest difference between B₀ of fits without one point, or without both ends",
        ),
        Column("fit_rms_per_atom_ev", "real", "root mean square of what the fit leaves, eV/atom"),
        Column("n_points", "whole", "volumes"),
        Column("n_evaluations", "whole", "evaluations of the model at these volumes"),
        Column("space_group", "text", "space group, the same along the curve"),
    ),
    shown=(
        "bulk_modulus_gpa",
        "v0_per_atom_ang3",
        "bulk_modulus_derivative",
        "bulk_modulus_from_pressure_gpa",
        "bulk_modulus_spread_gpa",
        "space_group",
    ),
    methods=(
        "Equations of state of {structures} were fitted ({form}) to the energies at {points} volumes from "
        "{smallest_volume} to {largest_volume} of that of each model's minimum, with ions and shape relaxed at each to "
        "{relax_fmax_ev_per_ang} eV/Å and {relax_smax_gpa} GPa, the symmetry kept"
    ),
    curves=(
        Curve(
            "energy_volume", "Energy over volume", VOLUME, ENERGY, "volume, Å³/atom", "energy over its lowest, eV/atom",
            from_lowest=True, has_points=True,
        ),
        Curve("pressure_volume", "Pressure over volume", VOLUME, PRESSURE, "volume, Å³/atom", "pressure, GPa",
              has_points=True),
    ),
    distances=(
        Distance(
            "delta_mev_per_atom", "Δ between two equations of state, meV/atom: root mean square of E(V) within ±6 %",
            ("v0_per_atom_ang3", "bulk_modulus_gpa", "bulk_modulus_derivative"), delta,
        ),
    ),
)  # fmt: skip
