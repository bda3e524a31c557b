"""Equations of state against numbers that are known otherwise, in any cell, and refused where they mean nothing."""

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.collections import dcdft
from ase.constraints import FixAtoms
from ase.eos import birchmurnaghan
from ase.units import GPa
from ase.utils.deltacodesdft import delta as delta_of_ase

from mira_cli.tasks.eos import EosSettings, delta
from tests.unit.worker.tasks.told_properties import at_minimum, minimum, told
from worker.properties.equations_of_state import FORMS, bulk_modulus_of_pressures, fitted, spread, why_no_minimum
from worker.tasks import find_task

# ASE 3.29: cells of dcdft, FrechetCellFilter and BFGS to 1e-4, seven volumes, Birch-Murnaghan: Å³ and eV an atom, GPa
OF_EMT = {
    "Al": (15.9326, 39.30, -0.00487),
    "Ni": (10.6012, 174.38, -0.01329),
    "Cu": (11.5654, 134.37, -0.00703),
    "Pd": (14.5884, 179.04, -0.00027),
    "Ag": (16.7749, 100.09, -0.00037),
    "Pt": (15.0799, 277.86, -0.00014),
    "Au": (16.6835, 173.72, -0.00013),
}
VOLUMES = np.linspace(0.94, 1.06, 7) * 12.0
CU = bulk("Cu", a=3.62, cubic=True)


class Made(Calculator):
    """Energy of an atom as a function of its cell; the stress is its numerical derivative."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, energy) -> None:
        super().__init__()
        self.of_cell = energy

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        cell, n = np.array(atoms.cell), round(len(atoms))
        stress = np.zeros(6)
        for k, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
            strain = np.zeros((3, 3))
            strain[i, j] = strain[j, i] = 1e-5 if i == j else 0.5e-5
            up, down = (self.of_cell(cell @ (np.eye(3) + s * strain)) for s in (1, -1))
            stress[k] = n * (up - down) / 2e-5 / abs(np.linalg.det(cell))
        self.results = {"energy": n * self.of_cell(cell), "forces": np.zeros((n, 3)), "stress": stress}


@pytest.mark.parametrize("element", OF_EMT)
def test_emt_has_the_volumes_and_moduli_of_a_fit_made_by_ase(element) -> None:
    atoms = dcdft[element]
    atoms.set_initial_magnetic_moments(None)
    found = at_minimum("eos", atoms, EMT())
    assert (found.status, found.values["n_points"]) == ("ok", 7)
    volume, modulus, energy = OF_EMT[element]
    assert found.values["v0_per_atom_ang3"] == pytest.approx(volume, rel=2e-3)
    assert found.values["bulk_modulus_gpa"] == pytest.approx(modulus, rel=0.02)
    assert found.values["bulk_modulus_from_pressure_gpa"] == pytest.approx(modulus, rel=0.02)
    assert found.values["e0_per_atom_ev"] == pytest.approx(energy, abs=1e-4)
    assert found.values["bulk_modulus_spread_gpa"] < 0.01 * modulus
    assert found.values["n_evaluations"] == 6  # nothing can move but what symmetry holds, and the minimum is known


def test_lennard_jones_has_the_modulus_of_its_lattice_sums() -> None:
    a12, a6 = 12.131880, 14.453921  # sums over the fcc lattice, Ashcroft and Mermin, table 20.2
    spacing = (2 * a12 / a6) ** (1 / 6)
    found = at_minimum("eos", bulk("Ar", a=1.1 * 2**0.5), LennardJones(sigma=1.0, epsilon=0.01, rc=9.0)).values
    assert found["v0_per_atom_ang3"] == pytest.approx(spacing**3 / 2**0.5, rel=2e-3)
    assert found["bulk_modulus_gpa"] * GPa == pytest.approx(4 * 0.01 * a12 * (a6 / a12) ** 2.5, rel=5e-3)
    assert found["bulk_modulus_derivative"] == pytest.approx(8.0, abs=0.3)  # (12 + 6) / 3 + 2


@pytest.mark.parametrize("form", FORMS)
def test_a_curve_of_its_own_form_is_fitted_exactly(form) -> None:
    energies = FORMS[form](VOLUMES, -3.7, 0.9, 4.6, 11.9)
    fit = fitted(form, VOLUMES, energies)
    assert fit[:4] == pytest.approx((-3.7, 0.9, 4.6, 11.9), rel=1e-5)
    assert fit.rms_ev < 1e-8
    assert spread(form, VOLUMES, energies, fit) < 1e-4


def test_the_slope_of_the_pressure_is_taken_where_it_is_zero() -> None:
    pressures = 30 * (12.1 / VOLUMES - 1)  # its slope over ln V is -B(V) = -30 × 12.1 / V
    assert bulk_modulus_of_pressures(VOLUMES, pressures, 12.1) == pytest.approx(30, rel=2e-3)
    assert bulk_modulus_of_pressures(VOLUMES, pressures + 5, 12.1) is None


@pytest.mark.slow
def test_the_cell_that_is_chosen_changes_nothing() -> None:
    def values(atoms) -> np.ndarray:
        found = at_minimum("eos", atoms, EMT())
        assert found.status == "ok"
        return np.array([found.values[name] for name in ("v0_per_atom_ang3", "e0_per_atom_ev", "bulk_modulus_gpa")])

    alloy = bulk("Cu", cubic=True)
    alloy.symbols[0] = "Au"
    alloy.set_cell(alloy.cell * [1, 1, 1.02], scale_atoms=True)
    left = alloy.copy()
    left.set_cell(alloy.cell[[1, 0, 2]])
    turned = alloy.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    base = values(alloy)
    for other in (left, turned, alloy.repeat((2, 1, 1))):
        assert values(other) == pytest.approx(base, rel=1e-4, abs=1e-5)
    assert values(bulk("Cu", a=3.62)) == pytest.approx(values(CU), rel=1e-5, abs=1e-6)


@pytest.mark.slow
def test_ions_and_shape_are_at_rest_at_each_volume() -> None:
    layered = bulk("Cu", a=3.8, cubic=True)
    layered.symbols[[0, 1]] = "Al"  # L1_0: tetragonal
    found = at_minimum("eos", layered, EMT(), relax_smax_gpa=0.002)
    assert found.status == "ok"
    assert found.values["n_evaluations"] > 6
    volumes = np.array(found.arrays["curve_volume_per_atom_ang3"])
    # along a path on which shape is at rest, energy and pressure belong together
    slope = -np.gradient(found.arrays["curve_energy_per_atom_ev"], volumes) / GPa
    assert slope[2:-2] == pytest.approx(found.arrays["curve_pressure_gpa"][2:-2], abs=0.15)


def test_the_known_minimum_is_the_point_that_would_be_computed() -> None:
    start = minimum(bulk("Cu", "hcp", a=2.55, c=4.2), EMT())
    known = told("eos", start, EMT())
    del start.info["minimum"]
    computed = told("eos", start, EMT())
    assert computed.values["n_evaluations"] - known.values["n_evaluations"] in {1, 2}
    for name, curve in known.arrays.items():
        assert curve == pytest.approx(computed.arrays[name], rel=1e-6, abs=1e-6), name
    assert known.values["bulk_modulus_gpa"] == pytest.approx(computed.values["bulk_modulus_gpa"], rel=1e-5)


def test_slabs_and_molecules_have_none() -> None:
    in_a_box = molecule("H2O", cell=[12, 12, 12], pbc=True)
    for atoms in (fcc111("Cu", (1, 1, 3), vacuum=6), fcc111("Cu", (1, 1, 3), vacuum=6, periodic=True), in_a_box):
        found = told("eos", atoms, EMT())
        assert found.status == "invalid_result"
        assert "only crystals" in found.error
        assert not found.values


@pytest.mark.parametrize("task", ["eos", "elastic", "formation"])
def test_held_atoms_are_at_no_minimum(task) -> None:
    start = bulk("Cu", cubic=True)
    assert find_task(task).refusal(start) is None
    start.set_constraint(FixAtoms([0]))
    assert "held" in find_task(task).refusal(start)


def test_a_minimum_outside_the_range_is_none() -> None:
    start = minimum(CU, EMT())
    for scale, side in ((0.9, "largest"), (1.1, "smallest")):
        scaled = start.copy()
        del scaled.info["minimum"]
        scaled.set_cell(start.cell * scale ** (1 / 3), scale_atoms=True)
        found = told("eos", scaled, EMT())
        assert (found.status, found.error) == (
            "invalid_result", f"the lowest energy is at the {side} volume of the range",
        )  # fmt: skip
        assert not [name for name in found.values if "modulus" in name or "v0" in name]
        assert len(found.arrays["curve_energy_per_atom_ev"]) == 7  # they say why


def test_ions_that_are_not_at_rest_make_no_curve() -> None:
    start = minimum(bulk("Cu", "hcp", a=2.55, c=4.2), EMT())
    found = told("eos", start, EMT(), relax_max_steps=1, relax_fmax_ev_per_ang=1e-5, relax_smax_gpa=1e-4)
    assert found.status == "invalid_result"
    assert found.error.startswith("ions or shape were not at rest at ")


def test_a_phase_that_changes_along_the_curve_makes_none() -> None:
    def energy(cell) -> float:
        """Cubic when compressed, tetragonal when stretched."""
        volume, lengths = abs(np.linalg.det(cell)), np.linalg.norm(cell, axis=1)
        elongation = np.log(lengths[2] / (lengths[0] * lengths[1]) ** 0.5)
        angles = ((cell @ cell.T) ** 2 * (1 - np.eye(3))).sum() / volume ** (4 / 3)
        unequal = np.log(lengths[0] / lengths[1])
        soft = 2.0 * (0.99 - volume / 12)
        return 3 * np.log(volume / 12) ** 2 + soft * elongation**2 + 20 * elongation**4 + 5 * (unequal**2 + angles)

    start = Atoms("Cu", cell=np.diag([1, 1, 1.1]) * 2.25, pbc=True)
    found = at_minimum("eos", start, Made(energy))
    assert found.status == "invalid_result"
    assert "more than one phase" in found.error


def test_curves_that_are_none_are_told_by_why() -> None:
    smooth = birchmurnaghan(VOLUMES, -3.7, 0.9, 4.6, 12.0)

    def why(energies) -> str:
        return why_no_minimum(VOLUMES, energies, fitted("birch_murnaghan", VOLUMES, energies)) or "ok"

    assert why(smooth) == "ok"
    assert "not smooth" in why(0.01 * np.abs(VOLUMES - 12) + 1e-3 * (VOLUMES - 12) ** 2)
    assert "not convex" in why(smooth + 0.2 * np.ptp(smooth) * np.array([0, 0, 0, 0, 1, 0, 0]))
    assert "does not depend on the volume" in why(np.full(7, -0.9447953701))
    at_edge = birchmurnaghan(VOLUMES, -3.7, 0.9, 4.6, VOLUMES[1] - 0.02)
    assert "edge of the range" in why(at_edge)
    unstable = fitted("vinet", VOLUMES, smooth)._replace(b0_ev_per_ang3=-1)
    assert "not positive" in why_no_minimum(VOLUMES, smooth, unstable)
    assert "could not be fitted" in why_no_minimum(VOLUMES, smooth, None)


def test_delta_is_that_of_ase_in_mev() -> None:
    one, other = np.array([[11.95, 141.3, 4.9], [20.4, 88.5, 4.3]]), np.array([[11.56, 134.4, 4.2], [20.4, 88.5, 4.3]])
    units = np.array([1, GPa, 1])
    assert delta(one, other) == pytest.approx([1000 * delta_of_ase(*(one * units)[0], *(other * units)[0]), 0])
    assert delta(one, other)[0] == pytest.approx(delta(other, one)[0])


def test_settings_without_a_curve_are_refused() -> None:
    for wrong in ({"points": 5}, {"smallest_volume": 1.01}, {"smallest_volume": 0.999, "largest_volume": 1.001}):
        with pytest.raises(ValueError, match=r"points|volume"):
            EosSettings(**wrong)


def test_symmetry_is_looked_for_once_in_a_crystal_that_is_only_scaled(monkeypatch) -> None:
    start, seen = minimum(bulk("Cu"), EMT()), []
    look = spglib.get_symmetry_dataset
    monkeypatch.setattr(spglib, "get_symmetry_dataset", lambda *given, **how: seen.append(1) or look(*given, **how))
    assert told("eos", start, EMT()).values["space_group"] == "Fm-3m (225)"
    assert len(seen) == 1  # 16 before: each took as long as an evaluation


def test_a_fit_to_a_soft_crystal_ends_at_the_least_squares() -> None:
    volumes = np.linspace(0.94, 1.06, 7) * 12.0
    noise = np.random.default_rng(0).normal(0, 1e-5, 7)
    energies = birchmurnaghan(volumes, -3.7, 10 * GPa, 4.8, 12.0) + noise
    fit = fitted("birch_murnaghan", volumes, energies)
    x = (volumes / 12.0) ** (-2 / 3)
    cubic = np.polynomial.Polynomial.fit(x, energies, 3)  # which this form is
    assert birchmurnaghan(volumes, *(fit.e0_ev, fit.b0_ev_per_ang3, fit.b0_derivative, fit.v0_ang3)) == pytest.approx(
        cubic(x), abs=1e-10
    )
