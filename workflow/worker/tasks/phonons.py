"""Harmonic vibrations of a crystal at the model's own minimum: frequencies, bands, thermal sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from ase import Atoms

from worker.beyond import beyond
from worker.contract import INVALID_RESULT, Answer, Layout, Outcome, check_size
from worker.phonons import spectrum
from worker.phonons.primitive import primitive_of
from worker.phonons.supercells import configurations, displaced, frequencies, take_forces
from worker.properties.crystals import why_no_bulk
from worker.tasks import FROM_MINIMUM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from worker.phonons.primitive import Primitive
    from worker.phonons.supercells import Precision
    from worker.tasks import Steps

    Floats = NDArray[np.float64]

VERSION = 1  # raise it, and that in `mira_cli/tasks/phonons.py`, when the numbers change
IMPORTS = ("phonopy", "phonors", "seekpath")
SETTINGS = (
    "min_length_ang", "displacement_ang", "mesh_ang", "temperature_k", "max_temperature_k", *FROM_MINIMUM,
)  # fmt: skip
THERMAL = (
    "heat_capacity_per_atom_j_per_mol_k", "entropy_per_atom_j_per_mol_k", "free_energy_per_atom_ev",
    "zero_point_energy_per_atom_ev", "classical_limit_percent",
)  # fmt: skip
VALUES = (
    "lowest_frequency_thz", "lowest_frequency_at", "highest_frequency_thz", "n_modes", "n_imaginary_modes",
    "imaginary_percent", "is_stable", "formula_unit", "n_formula_unit_atoms", "temperature_k", *THERMAL,
    "volume_per_atom_ang3", "n_primitive_atoms", "n_supercell_atoms",
    "supercell_length_ang", "n_displacements", "acoustic_gamma_thz", "asymmetry_percent", "edge_percent",
    "rest_fmax_ev_per_ang", "band_marks",
)  # fmt: skip
OPTIONAL = THERMAL  # not of a crystal that is unstable
MOST_BAND_POINTS, MOST_FREQUENCIES = 400, 200_000
BANDS = ("band_distance_per_ang", "band_places", "band_frequencies_thz")  # of the last, 3 × n_primitive_atoms a point
DOS = ("dos_frequency_thz", "dos_per_thz_and_atom")
CURVES = (
    "curve_temperature_k", "curve_heat_capacity_j_per_mol_k", "curve_entropy_j_per_mol_k", "curve_free_energy_ev",
)  # fmt: skip
ARRAYS = {
    **dict.fromkeys(DOS, Layout(width=1, rows=1, frames=spectrum.DOS_POINTS)),
    "band_distance_per_ang": Layout(width=1, rows=1, frames=MOST_BAND_POINTS),
    "band_places": Layout(rows=1, frames=MOST_BAND_POINTS),  # fractional coordinates
    "band_frequencies_thz": Layout(width=1, rows=1, frames=MOST_FREQUENCIES),
    **dict.fromkeys(CURVES, Layout(width=1, rows=1, frames=spectrum.TEMPERATURES)),  # per atom
}

# What is above these is no result. Measured for SevenNet-0 and CHGNet: docs/reference/phonons.md.
MOST_ACOUSTIC, LEAST_ACOUSTIC_THZ = 0.05, 0.1  # of the highest frequency
MOST_ASYMMETRY_PERCENT, MOST_EDGE_PERCENT = 5.0, 10.0
LEAST_CLASSICAL_PERCENT = 99.5


def steps(start: Atoms, settings: dict[str, Any]) -> Steps:
    """Displace atoms in supercells, all at once, and see what forces draw them back."""
    if why := refusal(start):
        return Outcome(INVALID_RESULT, why)
    crystal = primitive_of(start, settings["min_length_ang"])
    check_size(start, len(crystal.numbers) * round(abs(np.linalg.det(crystal.supercell))))
    phonopy = displaced(crystal, settings["displacement_ang"])
    answers = cast("list[Answer]", (yield configurations(phonopy)))
    precision = take_forces(phonopy, [answer.forces_ev_per_ang for answer in answers], crystal.length_ang)
    return _outcome(phonopy, crystal, precision, settings)


def refusal(start: Atoms) -> str | None:
    """Say why the vibrations of a structure are not those of a crystal, or None if they are."""
    minimum = start.info.get("minimum", {})
    if why_no_bulk(start) or minimum.get("cell_relaxed", "full") != "full":
        return "phonons are those of crystals, which go on in three directions without vacuum"
    if start.constraints or minimum.get("n_fixed"):
        return "atoms that are held have no phonons"
    if start.info.get("charge"):
        return "a charged cell has no supercell: its charge would be another one"
    return None


def _outcome(phonopy: Any, crystal: Primitive, precision: Precision, settings: dict[str, Any]) -> Outcome:
    mesh = spectrum.mesh_of(crystal, settings["mesh_ang"])
    bands = spectrum.bands_of(phonopy, crystal)
    commensurate = spectrum.commensurate(crystal)
    of_supercell = frequencies(phonopy, commensurate)
    on_mesh = spectrum.run_mesh(phonopy, mesh)
    found = {
        "places": np.concatenate([bands.path[:, 1:], commensurate, on_mesh.qpoints]),
        "frequencies": np.concatenate([bands.frequencies_thz, of_supercell, on_mesh.frequencies]),
    }
    lowest = spectrum.lowest_of(found["places"], found["frequencies"])
    highest = float(found["frequencies"].max())
    weights = on_mesh.weights / on_mesh.weights.sum()
    imaginary = float(weights @ (on_mesh.frequencies < -spectrum.IMAGINARY_THZ).mean(axis=1))
    is_stable = lowest.frequency_thz >= -spectrum.IMAGINARY_THZ
    curves = np.linspace(0, settings["max_temperature_k"], spectrum.TEMPERATURES)
    thermal = spectrum.thermal_of(phonopy, np.r_[curves, settings["temperature_k"]])
    arrays = {
        **dict(zip(DOS, spectrum.dos_of(phonopy, mesh).T, strict=True)),
        **dict(zip(BANDS, (bands.path[:, 0], bands.path[:, 1:], bands.frequencies_thz), strict=True)),
    }
    formula_unit = Atoms(numbers=crystal.numbers).symbols.formula.reduce()[0]
    values: dict[str, Any] = {
        "lowest_frequency_thz": lowest.frequency_thz,
        "lowest_frequency_at": spectrum.place_in_words(lowest.place, crystal),
        "highest_frequency_thz": highest,
        "n_modes": of_supercell.size,
        "n_imaginary_modes": int((of_supercell < -spectrum.IMAGINARY_THZ).sum()),
        "imaginary_percent": 100 * imaginary,
        "is_stable": is_stable,
        "formula_unit": format(formula_unit, "metal"),
        "n_formula_unit_atoms": len(formula_unit),
        "temperature_k": float(settings["temperature_k"]),
        "volume_per_atom_ang3": abs(float(np.linalg.det(crystal.cell))) / len(crystal.numbers),
        "n_primitive_atoms": len(crystal.numbers),
        "n_supercell_atoms": len(phonopy.supercell),
        "supercell_length_ang": crystal.length_ang,
        "n_displacements": len(phonopy.displacements),
        "acoustic_gamma_thz": precision.acoustic_gamma_thz,
        "asymmetry_percent": precision.asymmetry_percent,
        "edge_percent": precision.edge_percent,
        "rest_fmax_ev_per_ang": precision.rest_fmax_ev_per_ang,
        "band_marks": " ".join(f"{name} {place:.6f}" for name, place in zip(bands.labels, bands.ticks, strict=True)),
    }
    if why := _imprecise(precision, highest, settings):
        return Outcome(INVALID_RESULT, why, values, arrays)
    if is_stable:
        if thermal.classical_percent < LEAST_CLASSICAL_PERCENT:
            percent = beyond(thermal.classical_percent, LEAST_CLASSICAL_PERCENT)
            lost = f"the heat capacity ends at {percent} % of 3 R: modes near Γ are imaginary"
            return Outcome(INVALID_RESULT, lost, values, arrays)
        at_one = (*thermal.curves[-1, 1:], thermal.zero_point_energy_ev, thermal.classical_percent)
        values |= dict(zip(THERMAL, map(float, at_one), strict=True))
        arrays |= dict(zip(CURVES, thermal.curves[:-1].T, strict=True))
    return Outcome("ok", None, values, arrays)


def _imprecise(precision: Precision, highest_thz: float, settings: dict[str, Any]) -> str | None:
    """Say why force constants cannot be believed, or None if they can."""
    displacement = f"displacements of {settings['displacement_ang']} Å"
    most_at_gamma = max(LEAST_ACOUSTIC_THZ, MOST_ACOUSTIC * highest_thz)
    if precision.acoustic_gamma_thz > most_at_gamma:
        at_gamma = f"acoustic modes at Γ have {beyond(precision.acoustic_gamma_thz, most_at_gamma)} THz"
        return f"{at_gamma}: forces are not precise enough for {displacement}"
    if precision.asymmetry_percent > MOST_ASYMMETRY_PERCENT:
        lack = f"force constants lack their symmetry by {beyond(precision.asymmetry_percent, MOST_ASYMMETRY_PERCENT)} %"
        return f"{lack}: forces are no gradient, or not precise enough for {displacement}"
    if precision.edge_percent > MOST_EDGE_PERCENT:
        edge = beyond(precision.edge_percent, MOST_EDGE_PERCENT)
        at_edge = f"force constants half a supercell away are {edge} % of the largest"
        return f"{at_edge}: the supercell is too short with min_length_ang {settings['min_length_ang']:g}"
    return None
