"""The nearest minimum of each structure: atoms, and the cell where it may change."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mira_cli.lattice import SYMPREC_ANG, cell_parameters, space_groups, volumes
from mira_cli.tasks import Column, Layout, Settings, Starts, Task, Value, ends

if TYPE_CHECKING:
    from mira_cli.tasks import Array, Records

MOST_FRAMES = 100  # of a path: of longer ones every second is kept, or every fourth …
CELLS = ("fixed", "volume", "shape", "full")


def _cell_of(value: object) -> object:
    """A mask that YAML took for a number, as the digits that were written; one that begins with 0 is text to YAML."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _known_cell(value: str) -> str:
    if value in CELLS or (re.fullmatch("[01]{6}", value) and "1" in value):
        return value
    raise ValueError(f"must be {', '.join(CELLS)}, or six digits 0 and 1 for xx yy zz yz xz xy such as 110001")


class RelaxSettings(Settings):
    """What may move, and when it is at rest."""

    cell: Annotated[str, BeforeValidator(_cell_of), AfterValidator(_known_cell)] = Field(
        "full",
        description="how the cell may change, along periodic directions alone: fixed, volume, shape (at constant "
        "volume), full, or a mask of xx yy zz yz xz xy such as 110001",
    )
    pressure_gpa: float = Field(0.0, ge=-1000, le=10_000, description="external pressure in GPa")
    symmetry: Literal["free", "kept"] = Field("free", description="kept: the space group of the start is kept")
    fmax_ev_per_ang: float = Field(
        0.01, ge=1e-6, le=10, description="largest force that may be left on what can move, eV/Å"
    )
    smax_gpa: float = Field(
        0.1,
        ge=1e-5,
        le=100,
        description="largest stress that may be left beside the pressure, of the components that can change, GPa",
    )
    max_steps: int = Field(500, ge=1, le=1_000_000, description="steps after which a structure is given up")
    optimizer: Literal["lbfgs", "bfgs", "fire"] = Field(
        "lbfgs", description="how the minimum is found: MIRA's lbfgs, or ASE's bfgs or fire"
    )
    keep: Literal["last", "trajectory"] = Field(
        "last", description="trajectory: the path is written too, of long ones every second point or fewer, 100 at most"
    )

    @model_validator(mode="after")
    def _pressure_needs_a_cell(self) -> RelaxSettings:
        if self.pressure_gpa and self.cell in {"fixed", "shape"}:
            raise ValueError(f"`pressure_gpa` means nothing with `cell` {self.cell}, which keeps the volume")
        return self


class FromMinimum(Settings):
    """Settings of a task that starts from each model's own minimum."""

    relax_fmax_ev_per_ang: float = Field(0.001, ge=1e-6, le=0.1, description="largest force left at the start, eV/Å")
    relax_smax_gpa: float = Field(0.02, ge=1e-5, le=1, description="largest stress left at the start, GPa")
    relax_max_steps: int = Field(500, ge=1, le=1_000_000, description="steps after which that relaxation is given up")

    def relaxation(self) -> RelaxSettings:
        """The relaxation that the task begins with: of atoms and cell, with the structure's symmetry."""
        return RelaxSettings(
            symmetry="kept",
            fmax_ev_per_ang=self.relax_fmax_ev_per_ang,
            smax_gpa=self.relax_smax_gpa,
            max_steps=self.relax_max_steps,
        )


LENGTHS, ANGLES = ("a_ang", "b_ang", "c_ang"), ("alpha_deg", "beta_deg", "gamma_deg")
CHANGES = ("volume_ang3", *LENGTHS)


def of_geometry(structures: Starts) -> dict[str, Array]:
    """Columns of the cells of n structures, NaN where they are not periodic."""
    volume = volumes(structures.cell, structures.pbc)
    parameters = cell_parameters(structures.cell, structures.pbc)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_atom = volume / np.where(structures.sizes > 0, structures.sizes, np.nan)
    there = structures.sizes > 0
    found = {"volume_ang3": volume, "volume_per_atom_ang3": per_atom}
    found |= {name: parameters[:, k] for k, name in enumerate((*LENGTHS, *ANGLES))}
    return {name: np.where(there, values, np.nan) for name, values in found.items()}


def relaxed_columns(found: Records, ok: Array, starts: Starts) -> dict[str, Array]:
    """Columns of n structures about where they began and ended, empty where `ok` (n,) is false."""
    before, (start_group, start_operations) = _of_starts(starts)
    end = ends(found, ok, starts)
    after, (group, operations) = of_geometry(end), _space_groups(end)
    nothing, n_atoms = np.full(len(ok), None), found.numbers("n_atoms")
    free = found.texts("cell_relaxed")
    beside_vacuum = np.array([str(one).startswith(("in_plane", "along_axis")) for one in free], bool)
    held = np.where(free == "none", np.nan, 1.0)  # no change is known of a cell that could not change
    changes = {name: 100 * held * (after[name] / before[name] - 1) for name in CHANGES}
    changes["volume_ang3"] = np.where(beside_vacuum, np.nan, changes["volume_ang3"])  # mostly that of the box
    energy, start_energy = (np.where(ok, found.numbers(name), np.nan) for name in ("energy_ev", "start_energy_ev"))
    return {
        "energy_per_atom_ev": energy / n_atoms,
        "energy_drop_per_atom_ev": (start_energy - energy) / n_atoms,
        **{f"start_{name}": np.where(ok, before[name], np.nan) for name in before if name != "volume_per_atom_ang3"},
        **after,
        **{_change(name): values for name, values in changes.items()},
        "start_space_group": np.where(ok, start_group, nothing),
        "space_group": group,
        "symmetry": _symmetry(start_group, start_operations, group, operations),
    }


@lru_cache(maxsize=1)  # all models begin at the same structures
def _of_starts(starts: Starts) -> tuple[dict[str, Array], tuple[Array, Array]]:
    return of_geometry(starts), _space_groups(starts)


def _space_groups(structures: Starts) -> tuple[Array, Array]:
    return space_groups(structures.sizes, structures.numbers, structures.positions, structures.cell, structures.pbc)


def _change(name: str) -> str:
    return f"{name.removesuffix('_ang3').removesuffix('_ang')}_change_percent"


def _symmetry(before: Array, n_before: Array, after: Array, n_after: Array) -> Array:
    """(n,) what became of the space group: `kept`, `lost`, `gained` by count of operations, `changed`; None unknown."""
    told = np.where(n_after < n_before, "lost", np.where(n_after > n_before, "gained", "changed")).astype(object)
    told[(n_after == n_before) & (before == after)] = "kept"
    told[(n_after == 0) | (n_before == 0)] = None
    return told


def _cell_columns() -> tuple[Column, ...]:
    """Columns of the cells before and after."""
    alike = {"volume_ang3": "volume", **{name: f"length {name[0]}" for name in LENGTHS}}
    alike |= {name: f"angle {name.removesuffix('_deg')}" for name in ANGLES}
    return (
        Column(
            "volume_ang3",
            "real",
            "volume, of structures that are periodic in three directions",
            "yes",
            ("volume",),
            is_positive=True,
        ),
        Column("volume_per_atom_ang3", "real", "volume per atom, Å³", "yes", ("volume_per_atom",), is_positive=True),
        *(
            Column(
                name,
                "real",
                f"{alike[name]} of the cell",
                "yes",
                (name[0],),
                title=alike[name].capitalize(),
                is_positive=True,
            )
            for name in LENGTHS
        ),
        *(Column(name, "real", f"{alike[name]} of the cell") for name in ANGLES),
        *(Column(f"start_{name}", "real", f"{what} at the start") for name, what in alike.items()),
        Column("volume_change_percent", "real", "change of the volume since the start, if it could change", "yes"),
        *(Column(_change(name), "real", f"change of the {alike[name]}") for name in LENGTHS),
        Column("start_space_group", "text", f"space group at the start, tolerance {SYMPREC_ANG} Å"),
        Column("space_group", "text", f"space group at the end, tolerance {SYMPREC_ANG} Å"),
        Column("symmetry", "text", "kept, lost or gained (operations of the space group), or changed"),
    )


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
        "dispersion_energy_ev": Value("real", needed=False),
    },
    arrays={
        "positions": Layout(),
        "cell": Layout(rows=3),
        "forces": Layout(),
        "path_positions": Layout(frames=MOST_FRAMES),  # with `keep: trajectory`
        "path_cell": Layout(rows=3, frames=MOST_FRAMES),
        "path_energy_ev": Layout(width=1, rows=1, frames=MOST_FRAMES),
        "path_step": Layout(width=1, rows=1, frames=MOST_FRAMES),
    },
    columns=(
        Column("energy_ev", "real", "energy of the last geometry"),
        Column(
            "energy_per_atom_ev", "real", "energy per atom of the last geometry, eV", "energy", ("energy_per_atom",)
        ),
        Column("energy_drop_per_atom_ev", "real", "energy per atom that the relaxation has released, eV", "yes"),
        Column("start_energy_ev", "real", "energy of the start"),
        Column("enthalpy_ev", "real", "energy and pressure × volume"),
        Column("fmax_ev_per_ang", "real", "largest force left on what may move", title="Largest force"),
        Column(
            "smax_gpa",
            "real",
            "largest stress left beside the pressure, where the cell may change",
            title="Largest stress",
        ),
        Column("n_steps", "whole", "steps"),
        Column("n_evaluations", "whole", "evaluations of the model"),
        Column("stopped_by", "text", "why it ended"),
        Column("cell_relaxed", "text", "how the cell could change; beside vacuum in_plane or along_axis, or none"),
        Column("max_displacement_ang", "real", "largest displacement of an atom, without the cell's change and drift"),
        Column("n_fixed", "whole", "atoms with a fixed coordinate"),
        Column(
            "dispersion_energy_ev", "real", "dispersion that was added to the model (`+d3`), part of the last energy"
        ),
        *_cell_columns(),
    ),
    shown=(
        "energy_per_atom_ev",
        "volume_per_atom_ang3",
        "volume_change_percent",
        "n_steps",
        "fmax_ev_per_ang",
        "smax_gpa",
        "space_group",
        "symmetry",
    ),
    methods=(
        "The nearest minima of {structures} were found to {fmax_ev_per_ang} eV/Å and {smax_gpa} GPa (cell: {cell}, "
        "external pressure {pressure_gpa} GPa, symmetry {symmetry}, optimizer {optimizer})"
    ),
    fill=relaxed_columns,
    moves_cell=lambda settings: settings.cell != "fixed",
    of_geometry=of_geometry,
)
