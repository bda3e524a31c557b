"""Energy, forces and stress of structures as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mira_cli.tasks import Column, Layout, Settings, Task, Value
from mira_cli.units import EV_PER_ANG3_IN_GPA, VOIGT

if TYPE_CHECKING:
    from mira_cli.tasks import Array, Records, Starts


def fill(found: Records, ok: Array, _: Starts) -> dict[str, Array]:
    """Columns of numbers for n structures, NaN where `ok` (n,) is false."""
    energy = np.where(ok, found.numbers("energy_ev"), np.nan)
    stress = np.where(ok[:, None], found.lists("stress_ev_per_ang3", 6), np.nan)
    columns = {"energy_per_atom_ev": energy / found.numbers("n_atoms"), **_forces(found, ok)}
    columns |= {f"stress_{ij}_ev_per_ang3": stress[:, k] for k, ij in enumerate(VOIGT)}
    columns["pressure_gpa"] = -(stress[:, 0] + stress[:, 1] + stress[:, 2]) / 3 * EV_PER_ANG3_IN_GPA
    return columns


def _forces(found: Records, ok: Array) -> dict[str, Array]:
    """Largest and root mean square norm of each structure's forces, and the norm of their sum; eV/Å."""
    ok = ok & (found.numbers("n_atoms") > 0)
    sizes, forces = found.rows("forces", ok)
    starts = np.cumsum(sizes) - sizes
    squares = np.einsum("ac,ac->a", forces, forces)
    columns = {name: np.full(len(ok), np.nan) for name in ("fmax", "frms", "net_force")}
    if len(sizes):
        columns["fmax"][ok] = np.sqrt(np.maximum.reduceat(squares, starts))
        columns["frms"][ok] = np.sqrt(np.add.reduceat(squares, starts) / sizes)
        columns["net_force"][ok] = np.linalg.norm(np.add.reduceat(forces, starts, axis=0), axis=1)
    return {f"{name}_ev_per_ang": values for name, values in columns.items()}


TASK = Task(
    name="singlepoint",
    version=1,
    settings=Settings,
    evaluations=lambda _: 1,
    values={
        "energy_ev": Value("real"),
        "stress_ev_per_ang3": Value("reals", needed=False),
        "dispersion_energy_ev": Value("real", needed=False),
    },
    arrays={"forces": Layout()},
    columns=(
        Column("energy_ev", "real", "total energy"),
        Column("energy_per_atom_ev", "real", "energy per atom, eV"),
        Column("fmax_ev_per_ang", "real", "largest norm of a force"),
        Column("frms_ev_per_ang", "real", "root mean square of the forces' norms"),
        Column("net_force_ev_per_ang", "real", "norm of the sum of forces"),
        *(Column(f"stress_{ij}_ev_per_ang3", "real", "stress, positive under tension") for ij in VOIGT),
        Column("pressure_gpa", "real", "−trace/3 of the stress"),
        Column("dispersion_energy_ev", "real", "dispersion that was added to the model (`+d3`), part of the energy"),
    ),
    fill=fill,
    is_compared=True,
    shown=("energy_per_atom_ev", "fmax_ev_per_ang", "pressure_gpa"),
    methods=(
        "Energies, forces and, for structures periodic in three directions, stresses of {structures} were computed as "
        "single points"
    ),
)
