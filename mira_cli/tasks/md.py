"""Molecular dynamics: how long each structure holds together, what its energy does, and what it is like on average."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from mira_cli.tasks import Column, Curve, Layout, Settings, Task, Value

if TYPE_CHECKING:
    from mira_cli.tasks import Array, Records, Starts

MOST_POINTS = 200
CURVES = (
    "time_ps", "temperature_k", "conserved_ev_per_atom", "potential_energy_per_atom_ev", "msd_ang2", "displacement_ang",
    "pressure_gpa", "volume_ang3", "distance_ang", "rdf",
)  # fmt: skip
OVER_TIME = {  # by array: name, meaning, and words of the axis
    "conserved_ev_per_atom": (
        "conserved_energy",
        "Conserved energy over time",
        "conserved energy over its lowest, eV/atom",
    ),
    "temperature_k": ("temperature", "Temperature over time", "temperature, K"),
    "msd_ang2": ("msd", "Mean square displacement over time", "mean square displacement, Å²"),
    "pressure_gpa": ("pressure", "Pressure over time", "pressure, GPa"),
    "volume_ang3": ("volume", "Volume over time", "volume of the supercell, Å³"),
}
TYPICAL_LENGTH_ANG = 3.5  # of the cells that are repeated
FEWEST_SAMPLES, MOST_SAMPLES = 8, 2000
SAMPLE_FS = 20.0  # where the settings leave it open
AUTO_STEP_FS = 2.0  # the longer of the steps that are chosen, a multiple of the other
MEANS = {"temperature_k": "temperature", "potential_energy_per_atom_ev": "potential energy per atom, eV"}
OF_CELL = {"pressure_gpa": "pressure", "volume_ang3": "volume of the supercell"}


class MdSettings(Settings):
    """What is kept constant, and for how long."""

    ensemble: Literal["nve", "nvt", "npt"] = Field("nve", description="what is kept constant once it is warm")
    temperature_k: float = Field(300.0, ge=1, le=20_000, description="temperature in K")
    pressure_gpa: float = Field(0.0, ge=-100, le=1000, description="pressure in GPa, with `npt`")
    timestep_fs: Annotated[float, Field(ge=0.01, le=20)] | Literal["auto"] = Field(
        "auto", description="time step in fs; auto: 2, or 0.5 with hydrogen"
    )
    equilibration_ps: float = Field(1.0, ge=0, le=1e6, description="time to warm up in, with a thermostat, in ps")
    duration_ps: float = Field(2.0, gt=0, le=1e6, description="time after that, in ps")
    min_length_ang: float = Field(10.0, ge=0, le=200, description="shortest height of the supercell in Å")
    sample_fs: Annotated[float, Field(gt=0, le=1e6)] | Literal["auto"] = Field(
        "auto",
        description=f"time from one sample to the next, in fs; auto: about {SAMPLE_FS:g}, longer where that is more "
        f"than {MOST_SAMPLES} samples",
    )
    thermostat_fs: float = Field(100.0, gt=0, le=1e6, description="relaxation time of the thermostat in fs")
    barostat_fs: float = Field(1000.0, gt=0, le=1e6, description="relaxation time of the barostat in fs")
    rdf_max_ang: float = Field(5.0, gt=0, le=30, description="end of the radial distribution function in Å")
    max_drift_ev_per_atom_per_ps: float = Field(
        0.01, gt=0, le=100, description="drift of the conserved energy beyond which nothing is believed"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of the random numbers, with the structure")

    @model_validator(mode="after")
    def _fits(self) -> MdSettings:
        if self.pressure_gpa and self.ensemble != "npt":
            raise ValueError(f"`pressure_gpa` means nothing with `ensemble` {self.ensemble}, which keeps the volume")
        step_fs = AUTO_STEP_FS if self.timestep_fs == "auto" else self.timestep_fs
        sample_fs = step_fs * max(1, round(SAMPLE_FS / step_fs)) if self.sample_fs == "auto" else self.sample_fs
        _whole_steps("sample_fs", sample_fs, step_fs)
        for name in ("equilibration_ps", "duration_ps"):
            _whole_steps(name, 1000 * getattr(self, name), step_fs)
        for name in ("thermostat_fs", "barostat_fs"):
            if getattr(self, name) < step_fs:
                raise ValueError(f"`{name}` is shorter than the time step of {step_fs:g} fs")
        if 1000 * self.duration_ps < (FEWEST_SAMPLES - 1) * sample_fs * (1 - 1e-9):
            raise ValueError(f"`duration_ps` holds fewer than {FEWEST_SAMPLES} samples: make `sample_fs` smaller")
        if self.sample_fs != "auto" and 1000 * self.duration_ps > MOST_SAMPLES * sample_fs * (1 + 1e-9):
            raise ValueError(f"`duration_ps` holds more than {MOST_SAMPLES} samples: make `sample_fs` larger")
        return self


def _whole_steps(name: str, time_fs: float, step_fs: float) -> None:
    """Refuse a time that is no multiple of the time step: what was asked is what is run."""
    steps = round(time_fs / step_fs)
    if abs(time_fs - steps * step_fs) <= 1e-6 * step_fs:
        return
    unit = 1000 if name.endswith("_ps") else 1
    near = " or ".join(f"{n * step_fs / unit:g}" for n in (int(time_fs / step_fs), int(time_fs / step_fs) + 1) if n)
    raise ValueError(
        f"`{name}` {time_fs / unit:g} is no multiple of the time step of {step_fs:g} fs: {near} is, "
        "or set `timestep_fs`"
    )


def md_evaluations(settings: MdSettings) -> float:
    """Steps, times the cells of a typical supercell."""
    timestep_fs = 2.0 if settings.timestep_fs == "auto" else settings.timestep_fs
    n = 1000 * (settings.equilibration_ps + settings.duration_ps) / timestep_fs
    return n * max(1.0, (settings.min_length_ang / TYPICAL_LENGTH_ANG) ** 3)


def md_columns(found: Records, ok: Array, starts: Starts) -> dict[str, Array]:
    """The volume per atom of n structures."""
    volume, atoms = found.numbers("mean_volume_ang3"), found.numbers("n_supercell_atoms")
    return {"mean_volume_per_atom_ang3": np.where(ok & starts.pbc.all(axis=1), volume / atoms, np.nan)}


TASK = Task(
    name="md",
    version=2,
    settings=MdSettings,
    evaluations=md_evaluations,
    values={
        "ended_by": Value("text"),
        "survived_ps": Value("real"),
        "timestep_used_fs": Value("real"),
        "n_supercell_atoms": Value("whole"),
        "n_samples": Value("whole"),
        **{f"{what}_{name}": Value("real", needed=False) for name in MEANS | OF_CELL for what in ("mean", "stderr")},
        "drift_ev_per_atom_per_ps": Value("real", needed=False),
        "fluctuation_ev_per_atom": Value("real", needed=False),
        "fluctuation_of_kinetic": Value("real", needed=False),
        "msd_ang2": Value("real", needed=False),
        "largest_displacement_ang": Value("real", needed=False),
        "nearest_of_radii": Value("real", needed=False),
        "rdf_peak_ang": Value("real", needed=False),
    },
    arrays={f"curve_{name}": Layout(width=1, rows=1, frames=MOST_POINTS) for name in CURVES},
    columns=(
        Column(
            "ended_by",
            "text",
            "completed, or what ended it: temperature (ten times what was asked), volume (halved or doubled), "
            "fused_atoms (0.4 of covalent radii), no_answer (NaN)",
        ),
        Column("survived_ps", "real", "time until then, with that of warming up"),
        Column(
            "drift_ev_per_atom_per_ps",
            "real",
            "slope of the conserved energy, which the thermostat's heat is no part of",
            "yes",
        ),
        Column("fluctuation_ev_per_atom", "real", "root mean square of the conserved energy around that slope"),
        Column(
            "fluctuation_of_kinetic",
            "real",
            "that, over what the kinetic energy has in equilibrium: how much too long the time step is",
        ),
        *(
            Column(
                f"{what}_{name}",
                "real",
                f"{'mean' if what == 'mean' else 'standard error, by blocks, of the mean'} {meaning}",
            )
            for name, meaning in (MEANS | OF_CELL).items()
            for what in ("mean", "stderr")
            if name != "volume_ang3"
        ),
        Column("mean_volume_per_atom_ang3", "real", "mean volume per atom, Å³", "yes", ("volume_per_atom_ang3",)),
        Column(
            "msd_ang2",
            "real",
            "mean square displacement since the first sample, the centre of mass at rest, without the cell's change",
            "yes",
        ),
        Column("largest_displacement_ang", "real", "farthest that an atom was from its place at the first sample"),
        Column("nearest_of_radii", "real", "smallest distance of two atoms over the sum of their covalent radii"),
        Column("rdf_peak_ang", "real", "distance of the highest radial distribution", "yes"),
        Column("timestep_used_fs", "real", "time step"),
        Column("n_supercell_atoms", "whole", "atoms of the supercell"),
        Column("n_samples", "whole", "samples"),
    ),
    shown=("survived_ps", "ended_by", "drift_ev_per_atom_per_ps", "mean_temperature_k", "msd_ang2"),
    methods=(
        "Molecular dynamics of {structures} was run in the {ensemble} ensemble at {temperature_k} K for {duration_ps} "
        "ps, after {equilibration_ps} ps at that temperature, in supercells of at least {min_length_ang} Å; the "
        "thermostat was stochastic velocity rescaling ({thermostat_fs} fs), the barostat, if any, the isotropic one of "
        "Martyna, Tobias and Klein ({barostat_fs} fs), and errors of means are those of blocks"
    ),
    fill=md_columns,
    moves_cell=lambda settings: bool(settings.ensemble == "npt"),
    moves_freely=True,
    curves=(
        *(
            Curve(
                name,
                meaning,
                "curve_time_ps",
                f"curve_{array}",
                "time, ps",
                words,
                from_lowest=name == "conserved_energy",
            )
            for array, (name, meaning, words) in OVER_TIME.items()
        ),
        Curve("rdf", "Radial distribution", "curve_distance_ang", "curve_rdf", "distance, Å", "g(r)"),
    ),
)
