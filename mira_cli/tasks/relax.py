"""The nearest minimum of each structure: atoms, and the cell where it may change."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mira_cli.tasks import Column, Layout, Settings, Task, Value

CELLS = ("fixed", "volume", "shape", "full")


def _cell_of(value: object) -> object:
    """A mask that YAML took for a number, as the digits that were written."""
    return f"{value:06d}" if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**6 else value


def _known_cell(value: str) -> str:
    if value in CELLS or (re.fullmatch("[01]{6}", value) and "1" in value):
        return value
    raise ValueError(f"must be {', '.join(CELLS)}, or six digits 0 and 1 for xx yy zz yz xz xy such as 110001")


class RelaxSettings(Settings):
    """What may move, and when it is at rest."""

    cell: Annotated[str, BeforeValidator(_cell_of), AfterValidator(_known_cell)] = Field(
        "full", description="how the cell may change: fixed, volume, shape, full, or a mask of xx yy zz yz xz xy"
    )
    pressure_gpa: float = Field(0.0, ge=-1000, le=10_000, description="external pressure in GPa")
    symmetry: Literal["free", "kept"] = Field("free", description="whether the start's symmetry is kept")
    fmax_ev_per_ang: float = Field(0.01, ge=1e-6, le=10, description="largest force that may be left, eV/Å")
    smax_gpa: float = Field(0.1, ge=1e-5, le=100, description="largest stress that may be left, GPa")
    max_steps: int = Field(500, ge=1, le=1_000_000, description="steps after which a structure is given up")
    optimizer: Literal["lbfgs"] = Field("lbfgs", description="how the minimum is found")
    keep: Literal["last", "trajectory"] = Field("last", description="geometries that are kept")

    @model_validator(mode="after")
    def _pressure_needs_a_cell(self) -> RelaxSettings:
        if self.pressure_gpa and self.cell in {"fixed", "shape"}:
            raise ValueError(f"`pressure_gpa` means nothing with `cell` {self.cell}, which keeps the volume")
        return self


TASK = Task(
    name="relax",
    version=1,
    settings=RelaxSettings,
    evaluations=lambda settings: min(12, settings.max_steps + 1),
    values={
        "start_energy_ev": Value("real"),
        "energy_ev": Value("real"),
        "enthalpy_ev": Value("real"),
        "stress_ev_per_ang3": Value("reals", needed=False),
        "fmax_ev_per_ang": Value("real"),
        "smax_gpa": Value("real", needed=False),
        "n_steps": Value("whole"),
        "n_evaluations": Value("whole"),
        "stopped_by": Value("text"),
        "cell_relaxed": Value("text"),
        "max_displacement_ang": Value("real"),
        "n_fixed": Value("whole"),
    },
    arrays={"positions": Layout(), "cell": Layout(rows=3), "forces": Layout()},
    columns=(
        Column("energy_ev", "real", "energy of the last geometry"),
        Column("start_energy_ev", "real", "energy of the start"),
        Column("enthalpy_ev", "real", "energy and pressure × volume"),
        Column("fmax_ev_per_ang", "real", "largest force left on what may move"),
        Column("smax_gpa", "real", "largest stress left beside the pressure, where the cell may change"),
        Column("n_steps", "whole", "steps"),
        Column("n_evaluations", "whole", "evaluations of the model"),
        Column("stopped_by", "text", "why it ended"),
        Column("cell_relaxed", "text", "directions in which the cell could change"),
        Column("max_displacement_ang", "real", "largest displacement of an atom, without the cell's change and drift"),
        Column("n_fixed", "whole", "atoms with a fixed coordinate"),
    ),
    shown=("energy_ev", "n_steps", "fmax_ev_per_ang"),
    methods=(
        "The nearest minima of {structures} were found to {fmax_ev_per_ang} eV/Å and {smax_gpa} GPa (cell: {cell}, "
        "external pressure {pressure_gpa} GPa, symmetry {symmetry})"
    ),
)
