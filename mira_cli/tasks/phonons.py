"""Harmonic vibrations of a crystal at the model's own minimum: frequencies, bands, thermal sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from mira_cli.tasks import Column, Curve, Layout, Task, Value
from mira_cli.tasks.relax import FromMinimum

if TYPE_CHECKING:
    from mira_cli.tasks import Array, Records, Starts

DOS_POINTS, TEMPERATURES, MOST_BAND_POINTS, MOST_FREQUENCIES = 201, 101, 400, 200_000
DOS, TEMPERATURE = ("dos_frequency_thz", "dos_per_thz_and_atom"), "curve_temperature_k"
THERMAL = {
    "curve_heat_capacity_j_per_mol_k": "heat capacity, J/mol/K",
    "curve_entropy_j_per_mol_k": "entropy, J/mol/K",
    "curve_free_energy_ev": "free energy, eV",
}


class PhononSettings(FromMinimum):
    """How large supercells are, how far atoms are displaced, and where thermal sums are wanted."""

    min_length_ang: float = Field(
        12.0, ge=3, le=100, description="shortest distance between an atom and its image in the supercell, Å"
    )
    displacement_ang: float = Field(
        0.01,
        ge=1e-4,
        le=0.1,
        description="how far an atom is displaced, Å; 0.03 where a model's forces are rough, more is anharmonic",
    )
    mesh_ang: float = Field(
        60.0,
        ge=20,
        le=300,
        description="fineness of the mesh of q-points, 1 / (its spacing / 2π): 60 is 20 × 20 × 20 for silicon",
    )
    temperature_k: float = Field(300.0, ge=0, le=10_000, description="temperature of the columns, K")
    max_temperature_k: float = Field(1000.0, gt=0, le=10_000, description="temperature at which thermal curves end, K")


PER_FORMULA_UNIT = ("free_energy", "entropy", "heat_capacity")
UNITS = {"free_energy": "ev", "entropy": "j_per_mol_k", "heat_capacity": "j_per_mol_k"}
IN_WORDS = {
    "free_energy": "Helmholtz free energy of the vibrations",
    "entropy": "entropy of the vibrations",
    "heat_capacity": "heat capacity at constant volume",
}


def phonon_columns(found: Records, ok: Array, starts: Starts) -> dict[str, Array]:
    """Columns of n structures that follow from others, empty where `ok` (n,) is false."""
    is_unstable = ok & np.equal(found.texts("is_stable"), False)
    imaginary = np.where(is_unstable, found.numbers("lowest_frequency_thz"), np.nan)
    return {"imaginary_frequency_thz": imaginary, **per_formula_unit(found, ok, starts)}


def per_formula_unit(found: Records, ok: Array, _: Starts) -> dict[str, Array]:
    """Columns of n structures about the matter that their formula names, empty where `ok` (n,) is false."""
    n_atoms = np.where(ok, found.numbers("n_formula_unit_atoms"), np.nan)
    return {
        f"{name}_per_formula_unit_{UNITS[name]}": n_atoms * found.numbers(f"{name}_per_atom_{UNITS[name]}")
        for name in PER_FORMULA_UNIT
    }


def _thermal_columns() -> tuple[Column, ...]:
    return tuple(
        Column(
            f"{name}_per_{of}_{UNITS[name]}",
            "real",
            f"{IN_WORDS[name]} per {of.replace('_', ' ')}, {unit}",
            "yes",
            (f"reference_{name}_per_{of}_{UNITS[name]}",),
            title=f"{name.replace('_', ' ').capitalize()} per {of.replace('_', ' ')}",
            empty_if="the crystal is not stable: it has imaginary frequencies",
        )
        for name, unit in (("heat_capacity", "J/mol/K"), ("entropy", "J/mol/K"), ("free_energy", "eV"))
        for of in ("formula_unit", "atom")
    )


TASK = Task(
    name="phonons",
    version=1,
    settings=PhononSettings,
    evaluations=lambda settings: 12 + (settings.min_length_ang / 2.5) ** 3,  # of a small cell: supercells are larger
    values={
        "lowest_frequency_thz": Value("real"),
        "lowest_frequency_at": Value("text"),
        "highest_frequency_thz": Value("real"),
        "n_modes": Value("whole"),
        "n_imaginary_modes": Value("whole"),
        "imaginary_percent": Value("real"),
        "is_stable": Value("flag"),
        "formula_unit": Value("text"),
        "n_formula_unit_atoms": Value("whole"),
        "temperature_k": Value("real"),
        "heat_capacity_per_atom_j_per_mol_k": Value("real", needed=False),
        "entropy_per_atom_j_per_mol_k": Value("real", needed=False),
        "free_energy_per_atom_ev": Value("real", needed=False),
        "zero_point_energy_per_atom_ev": Value("real", needed=False),
        "classical_limit_percent": Value("real", needed=False),
        "volume_per_atom_ang3": Value("real"),
        "n_primitive_atoms": Value("whole"),
        "n_supercell_atoms": Value("whole"),
        "supercell_length_ang": Value("real"),
        "n_displacements": Value("whole"),
        "acoustic_gamma_thz": Value("real"),
        "asymmetry_percent": Value("real"),
        "edge_percent": Value("real"),
        "rest_fmax_ev_per_ang": Value("real"),
        "band_marks": Value("text"),
    },
    arrays={
        **dict.fromkeys(DOS, Layout(width=1, rows=1, frames=DOS_POINTS)),
        "band_distance_per_ang": Layout(width=1, rows=1, frames=MOST_BAND_POINTS),
        "band_places": Layout(rows=1, frames=MOST_BAND_POINTS),  # fractional coordinates
        "band_frequencies_thz": Layout(width=1, rows=1, frames=MOST_FREQUENCIES),  # 3 × n_primitive_atoms a point
        **dict.fromkeys((TEMPERATURE, *THERMAL), Layout(width=1, rows=1, frames=TEMPERATURES)),  # per atom
    },
    columns=(
        Column(
            "lowest_frequency_thz",
            "real",
            "lowest frequency, negative if imaginary; of a stable crystal that of the q-point nearest to Γ",
        ),
        Column(
            "imaginary_frequency_thz",
            "real",
            "lowest frequency of a crystal that is not stable, negative",
            "yes",
            ("reference_imaginary_frequency_thz",),
        ),
        Column("lowest_frequency_at", "text", "its place in the Brillouin zone, fractional coordinates"),
        Column("highest_frequency_thz", "real", "highest frequency", "yes", ("reference_highest_frequency_thz",)),
        Column("is_stable", "flag", "whether no frequency is imaginary; if one is, there are no thermal numbers"),
        Column("n_imaginary_modes", "whole", "imaginary modes of the supercell, below −0.1 THz"),
        Column("n_modes", "whole", "modes of the supercell"),
        Column("imaginary_percent", "real", "imaginary modes on the mesh, of all that it has"),
        Column("formula_unit", "text", "formula unit"),
        Column("temperature_k", "real", "temperature of heat capacity, entropy and free energy"),
        *_thermal_columns(),
        Column(
            "zero_point_energy_per_atom_ev",
            "real",
            "zero-point energy per atom, eV",
            "yes",
            ("reference_zero_point_energy_per_atom_ev",),
        ),
        Column(
            "classical_limit_percent",
            "real",
            "heat capacity far above all frequencies, of 3 R per atom; less than 100: modes are missing",
        ),
        Column(
            "volume_per_atom_ang3",
            "real",
            "volume per atom of the minimum, Å³",
            "yes",
            ("reference_volume_per_atom_ang3",),
        ),
        Column("n_primitive_atoms", "whole", "atoms of the primitive cell"),
        Column("n_supercell_atoms", "whole", "atoms of the supercell"),
        Column("supercell_length_ang", "real", "shortest distance of images in the supercell"),
        Column("n_displacements", "whole", "supercells with a displaced atom"),
        Column(
            "acoustic_gamma_thz",
            "real",
            "what acoustic modes have at Γ before translations are made free; much of it: forces are rough",
        ),
        Column(
            "asymmetry_percent",
            "real",
            "by how much force constants had to be made symmetric, of the largest; much: forces are no gradient",
        ),
        Column(
            "edge_percent",
            "real",
            "the largest force constant of atoms half a supercell apart, of the largest; much: it is too short",
        ),
        Column("rest_fmax_ev_per_ang", "real", "largest force in the supercell at rest"),
    ),
    shown=(
        "heat_capacity_per_formula_unit_j_per_mol_k",
        "formula_unit",
        "heat_capacity_per_atom_j_per_mol_k",
        "entropy_per_atom_j_per_mol_k",
        "lowest_frequency_thz",
        "highest_frequency_thz",
        "is_stable",
        "n_imaginary_modes",
    ),
    methods=(
        "Harmonic phonons of {structures} were computed at each model's own minimum (forces below "
        "{relax_fmax_ev_per_ang} eV/Å, stress below {relax_smax_gpa} GPa, symmetry kept) with phonopy: atoms were "
        "displaced by {displacement_ang} Å in supercells whose images are at least {min_length_ang} Å apart, force "
        "constants were made symmetric and free of translations, and dipoles were not treated (no LO-TO splitting). "
        "Thermal sums at {temperature_k} K are over a mesh that avoids Γ, of 1/({mesh_ang} Å), and left out where a "
        "mode is imaginary"
    ),
    fill=phonon_columns,
    curves=(
        Curve(
            "bands",
            "Bands, imaginary frequencies below zero",
            "band_distance_per_ang",
            "band_frequencies_thz",
            "distance, 1/Å",
            "frequency, THz",
            marks="band_marks",
        ),
        Curve("dos", "Density of states", *DOS, "frequency, THz", "modes per THz and atom"),
        *(
            Curve(
                name.removeprefix("curve_"),
                f"{words.partition(',')[0].capitalize()} per atom",
                TEMPERATURE,
                name,
                "temperature, K",
                f"{words} per atom",
            )
            for name, words in THERMAL.items()
        ),
    ),
    of_crystals=True,
    moves_cell=lambda _: True,
    begins_with=lambda settings: settings.relaxation(),
)
