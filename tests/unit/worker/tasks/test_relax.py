"""Relaxations find the minima that are known otherwise, keep what is to be kept, and say how they ended."""

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, graphene, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixScaled
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from tests.unit.worker.tasks.relaxations import SETTINGS, TIGHT, answer_of, distorted, geometry, relaxed
from worker.contract import NoAnswer, recordable
from worker.minimum.symmetry import symmetrized
from worker.tasks import relax

GPA = 160.21766208


def lj() -> LennardJones:
    return LennardJones(epsilon=0.3, sigma=2.3, rc=7.0, smooth=True)


def group(atoms: Atoms, symprec: float) -> int:
    return spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec).number


class Spring(Calculator):
    """Forces that are no gradient: a rotation is added to a spring, as direct models may have it."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        away = atoms.positions - atoms.positions.mean(0)
        turn = np.cross(away, [0, 0, 1.0])
        self.results = {"energy": 0.0, "forces": turn, "stress": np.zeros(6)}


@pytest.mark.parametrize(
    ("start", "calculator"),
    [
        (distorted(bulk("Cu", cubic=True).repeat((2, 1, 1))), EMT()),
        (distorted(bulk("Al", a=4.2)), EMT()),
        (distorted(bulk("AlNi", "cesiumchloride", a=2.9)), EMT()),
        (distorted(bulk("Ar", "fcc", a=3.7, cubic=True)), lj()),
        (distorted(bulk("Ar", "hcp", a=2.6, c=4.2).repeat(2)), lj()),
    ],
)
@pytest.mark.slow
def test_minima_are_those_of_ase(start, calculator) -> None:
    found = relaxed(start, calculator, **TIGHT)
    assert found.status == "ok", found.error
    ours = geometry(start, found)
    theirs = start.copy()
    theirs.calc = calculator
    assert BFGS(FrechetCellFilter(theirs), logfile=None).run(fmax=1e-5, steps=500)
    assert found.values["energy_ev"] == pytest.approx(theirs.get_potential_energy(), abs=1e-6 * len(start))
    assert ours.get_volume() == pytest.approx(theirs.get_volume(), rel=1e-4)
    ours.calc = calculator  # a fresh calculator agrees that it is converged
    assert np.linalg.norm(ours.get_forces(), axis=1).max() == pytest.approx(found.values["fmax_ev_per_ang"], abs=1e-9)
    assert np.abs(ours.get_stress()).max() * GPA == pytest.approx(found.values["smax_gpa"], abs=1e-6)
    assert found.values["fmax_ev_per_ang"] <= 1e-4
    assert np.allclose(ours.get_forces(), found.arrays["forces"])


def test_soft_crystals_end_where_volumes_are_right() -> None:
    """0.1 GPa are 3 % of the volume of argon, and the default settings are to tell models apart."""
    soft = LennardJones(epsilon=0.0104, sigma=2.3, rc=7.0, smooth=True)
    start = distorted(bulk("Ar", "fcc", a=3.5))
    volumes = [geometry(start, relaxed(start, soft, **more)).get_volume() for more in ({}, TIGHT)]
    assert volumes[0] == pytest.approx(volumes[1], rel=1e-3)


def test_pressure_is_that_of_the_equation_of_state() -> None:
    """−dE/dV of a sum over pairs is −(1/3V) Σ r φ'(r)/2, which for the volume found must be the pressure."""
    start = bulk("Ar", "fcc", a=3.6)
    found = relaxed(distorted(start), lj(), pressure_gpa=5.0, **TIGHT)
    assert found.status == "ok", found.error
    end = geometry(start, found)
    volume, energy = end.get_volume(), []
    for scale in (0.9999, 1.0001):
        one = bulk("Ar", "fcc", a=(4 * volume * scale) ** (1 / 3))
        one.calc = lj()
        energy.append(one.get_potential_energy())
    assert -(energy[1] - energy[0]) / (2e-4 * volume) * GPA == pytest.approx(5.0, abs=0.01)
    assert found.values["enthalpy_ev"] == pytest.approx(found.values["energy_ev"] + 5.0 / GPA * volume, abs=1e-9)
    assert np.allclose(np.array(found.values["stress_ev_per_ang3"])[:3] * GPA, -5.0, atol=0.01)
    assert found.values["smax_gpa"] < 1e-3


def test_left_handed_cells_come_back_left_handed() -> None:
    right = distorted(bulk("Cu", cubic=True))
    left = right.copy()
    left.set_cell(right.cell.array[[1, 0, 2]])
    ends = [geometry(start, relaxed(start, EMT(), **TIGHT)) for start in (right, left)]
    assert np.linalg.det(ends[1].cell.array) < 0
    assert ends[1].get_volume() == pytest.approx(ends[0].get_volume(), rel=1e-6)
    assert np.allclose(ends[1].cell.array[[1, 0, 2]], ends[0].cell.array, atol=1e-4)


def test_twisted_and_sheared_cells_come_back() -> None:
    straight = bulk("Cu", cubic=True)
    twisted = straight.copy()
    twisted.rotate(90, "x", rotate_cell=True)
    twisted.set_cell(twisted.cell.array @ np.array([[1.0, 0.1, 0], [0, 1, 0.05], [0, 0, 1]]), scale_atoms=True)
    twisted.positions += 40 * twisted.cell.array[0]  # far outside
    found = relaxed(twisted, EMT(), **TIGHT)
    end = geometry(twisted, found)
    assert np.allclose(end.cell.angles(), 90, atol=0.01)
    assert np.allclose(end.cell.lengths(), end.cell.lengths()[0], atol=1e-3)
    assert found.values["max_displacement_ang"] < 0.05
    assert np.allclose(end.get_scaled_positions(wrap=False).mean(0), twisted.get_scaled_positions(wrap=False).mean(0))


@pytest.mark.parametrize("symbol", ["Cu", "Al"])
def test_cells_of_one_atom(symbol) -> None:
    found = relaxed(bulk(symbol, a=4.0), EMT(), **TIGHT)
    assert found.status == "ok"
    assert found.values["max_displacement_ang"] == 0.0


def test_a_start_at_rest_is_asked_about_once() -> None:
    start = geometry(bulk("Cu"), relaxed(bulk("Cu"), EMT(), fmax_ev_per_ang=1e-5, smax_gpa=1e-4))
    found = relaxed(start, EMT())
    assert (found.values["n_evaluations"], found.values["n_steps"], found.values["stopped_by"]) == (1, 0, "converged")
    assert np.array_equal(found.arrays["positions"], start.positions)


def test_modes_of_the_cell() -> None:
    start = distorted(bulk("Cu", cubic=True))
    ends = {cell: geometry(start, relaxed(start, EMT(), cell=cell, **TIGHT)) for cell in ("fixed", "volume", "shape")}
    assert np.array_equal(ends["fixed"].cell.array, start.cell.array)
    assert np.allclose(ends["volume"].cell.angles(), start.cell.angles())
    assert np.allclose(ends["volume"].cell.array / ends["volume"].cell.array[0, 0], start.cell.array / start.cell[0, 0])
    assert ends["volume"].get_volume() != pytest.approx(start.get_volume(), rel=1e-3)
    assert ends["shape"].get_volume() == pytest.approx(start.get_volume(), rel=1e-9)
    assert np.allclose(ends["shape"].cell.angles(), 90, atol=0.05)
    found = relaxed(start, EMT(), cell="001000", **TIGHT)
    end = geometry(start, found)
    assert found.values["cell_relaxed"] == "001000"
    strain = np.linalg.solve(start.cell.array, end.cell.array)
    assert np.allclose(strain - np.diag([1, 1, strain[2, 2]]), 0, atol=1e-12)
    assert strain[2, 2] != pytest.approx(1.0, abs=1e-4)


def slab(vacuum: float | None = 8.0, *, periodic: bool) -> Atoms:
    atoms = fcc111("Cu", (2, 2, 3), a=3.75, vacuum=vacuum, periodic=periodic)
    return distorted(atoms, strain=0.0, rattle=0.05)


@pytest.mark.parametrize("periodic", [False, True])
def test_slabs_relax_in_their_plane(periodic) -> None:
    start = slab(periodic=periodic)
    found = relaxed(start, EMT(), **TIGHT)
    end = geometry(start, found)
    assert (found.status, found.values["cell_relaxed"]) == ("ok", "in_plane")
    assert np.allclose(end.cell.array[2], start.cell.array[2], atol=1e-9)
    assert end.cell.lengths()[0] == pytest.approx(2 * 2.52, abs=0.06)
    assert (found.values["stress_ev_per_ang3"] is None) is not periodic


def test_the_vacuum_of_a_slab_changes_nothing() -> None:
    ends = [relaxed(start, EMT(), **TIGHT) for start in (slab(8.0, periodic=True), slab(None, periodic=False))]
    assert ends[0].values["energy_ev"] == pytest.approx(ends[1].values["energy_ev"], abs=1e-5)
    assert np.allclose(ends[0].arrays["cell"][:2], ends[1].arrays["cell"][:2], atol=1e-3)


def test_wires_relax_along_themselves_and_molecules_not_at_all() -> None:
    wire = Atoms("Cu", cell=[0, 0, 2.6], pbc=[False, False, True])
    found = relaxed(wire, EMT(), **TIGHT)
    assert (found.status, found.values["cell_relaxed"]) == ("ok", "along_axis")
    assert np.count_nonzero(found.arrays["cell"]) == 1
    for start in (molecule("CO"), molecule("CO", vacuum=6.0, pbc=True)):
        found = relaxed(start, EMT(), **TIGHT)
        assert (found.status, found.values["cell_relaxed"], found.values["smax_gpa"]) == ("ok", "none", None)
        assert np.array_equal(found.arrays["cell"], start.cell.array)


def test_layers_without_a_gap_are_crystals() -> None:
    start = graphene("CC", a=2.5, vacuum=1.7)
    start.pbc = True
    found = relaxed(start, EMT(), max_steps=3)
    assert found.values["cell_relaxed"] == "full"


def test_fixed_atoms_stay_and_their_forces_do_not_count() -> None:
    start = slab(periodic=False)
    add_adsorbate(start, "O", 1.5, "fcc")
    start.set_constraint(FixAtoms(mask=[atom.tag >= 2 for atom in start]))
    fixed = start.constraints[0].index
    found = relaxed(start, EMT(), cell="fixed", **TIGHT)
    assert (found.status, found.values["n_fixed"]) == ("ok", len(fixed))
    assert np.array_equal(found.arrays["positions"][fixed], start.positions[fixed])
    assert np.linalg.norm(found.arrays["forces"][fixed], axis=1).max() > 0.01
    free = np.setdiff1d(np.arange(len(start)), fixed)
    largest = np.linalg.norm(found.arrays["forces"][free], axis=1).max()
    assert found.values["fmax_ev_per_ang"] == pytest.approx(largest)


def test_fixed_atoms_keep_their_place_in_a_cell_that_changes() -> None:
    start = distorted(bulk("Cu", cubic=True).repeat((2, 1, 1)))
    start.set_constraint([FixAtoms([0]), FixScaled([1], [True, False, True]), FixCartesian([2], [False, True, False])])
    found = relaxed(start, EMT(), **TIGHT)
    end = geometry(start, found)
    assert (found.status, found.values["n_fixed"]) == ("ok", 3)
    before, after = (atoms.get_scaled_positions(wrap=False) for atoms in (start, end))
    assert np.allclose(after[0], before[0], atol=1e-12)
    assert np.allclose(after[1, [0, 2]], before[1, [0, 2]], atol=1e-12)
    assert abs(after[1, 1] - before[1, 1]) > 1e-4
    moved = (after[2] - before[2]) @ start.cell.array
    assert abs(moved[1]) < 1e-12
    assert not np.allclose(end.cell.array, start.cell.array, atol=1e-3)


@pytest.mark.parametrize(
    ("constraint", "settings", "sentence"),
    [
        (FixAtoms(range(4)), {"cell": "fixed"}, "constraints and a fixed cell leave nothing that may move"),
        (FixedLine([0], [1, 0, 0]), {}, "the structure has constraints that cannot be kept: FixedLine"),
    ],
)
def test_what_cannot_be_asked(constraint, settings, sentence) -> None:
    start = bulk("Cu", cubic=True)
    start.set_constraint(constraint)
    found = relaxed(start, EMT(), **settings)
    assert (found.status, found.error) == ("invalid_result", sentence)


def test_unknown_constraints_of_the_input_and_pressure_on_a_slab() -> None:
    start = bulk("Cu")
    start.info["constraints_unknown"] = "Hookean"
    assert relaxed(start, EMT()).error == "the structure has constraints that cannot be kept: Hookean"
    pressed = relaxed(slab(periodic=True), EMT(), pressure_gpa=1.0)
    assert (pressed.status, "a pressure means nothing" in (pressed.error or "")) == ("invalid_result", True)


def test_models_without_stress_relax_atoms_alone() -> None:
    from dataclasses import replace

    for cell, status in (("full", "unsupported_property"), ("fixed", None)):
        start = distorted(bulk("Cu", cubic=True))
        story = relax.steps(start, SETTINGS | {"cell": cell})
        answer = replace(answer_of(next(story), EMT()), stress_ev_per_ang3=None, virial_ev=None)
        if status is None:
            story.send(answer)
        else:
            with pytest.raises(NoAnswer, match="no stress") as found:
                story.send(answer)
            assert found.value.status == status


NOISE = 2e-4  # eV/Å, more than single precision has


@pytest.mark.parametrize(
    "start",
    [
        bulk("Cu", cubic=True).repeat((2, 1, 1)),
        bulk("Al", "hcp", a=2.9, c=4.9),
        bulk("AlNi", "cesiumchloride", a=3.0),
        bulk("Cu", "bct", a=2.8, c=3.0),
        Atoms("Cu2", scaled_positions=[[0, 0, 0.01], [0.5, 0.5, 0.49]], cell=[2.7, 2.7, 3.9], pbc=True),
    ],
)
@pytest.mark.parametrize("left_handed", [False, True])
def test_symmetry_is_kept_where_answers_have_noise(start, left_handed) -> None:
    start = start.copy()
    if left_handed:
        start.set_cell(start.cell.array[[1, 0, 2]])
    start.rattle(1e-3, seed=3)
    before = group(start, 0.01)
    found = relaxed(start, EMT(), noise=NOISE, symmetry="kept")
    end = geometry(start, found)
    assert found.status == "ok", found.error
    assert group(end, 1e-6) == before
    assert np.linalg.det(end.cell.array) * np.linalg.det(start.cell.array) > 0


def test_symmetry_keeps_a_saddle_and_freedom_leaves_it() -> None:
    cubic = bulk("Ar", "sc", a=2.6).repeat(2)
    kept = relaxed(cubic, lj(), symmetry="kept")
    assert (kept.status, group(geometry(cubic, kept), 1e-5)) == ("ok", 221)
    free = relaxed(distorted(cubic, 0.002, 0.02), lj())
    assert free.values["energy_ev"] < kept.values["energy_ev"] - 0.5


def test_symmetry_under_constraints_is_what_both_leave() -> None:
    start = bulk("Cu", cubic=True)
    start.rattle(1e-3, seed=1)
    start.set_constraint(FixAtoms([0]))
    assert group(symmetrized(start)[0], 1e-6) == 225
    found = relaxed(start, EMT(), symmetry="kept")
    assert found.status == "ok"
    end = geometry(start, found)
    assert group(end, 1e-6) == 225
    assert np.abs(end.get_scaled_positions(wrap=False)[0] - start.get_scaled_positions(wrap=False)[0]).max() < 1e-3


def test_steps_that_do_not_suffice() -> None:
    start = distorted(bulk("Cu", cubic=True))
    found = relaxed(start, EMT(), max_steps=2)
    assert (found.status, found.values["stopped_by"], found.values["n_steps"]) == ("not_converged", "max_steps", 2)
    assert found.error.startswith("not converged within 2 steps: forces are ")
    assert "GPa" in found.error
    assert not np.allclose(found.arrays["positions"], start.positions)


def test_forces_that_are_no_gradient_end_all_the_same() -> None:
    start = Atoms("Cu4", positions=[[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2.1, 0.1]])
    found = relaxed(start, Spring(), max_steps=400)
    assert found.status in {"not_converged", "blown_up"}
    assert found.error


def test_noise_that_is_larger_than_what_is_asked_makes_no_endless_loop() -> None:
    found = relaxed(distorted(bulk("Cu", cubic=True)), EMT(), noise=1e-3, max_steps=10_000, fmax_ev_per_ang=1e-5)
    assert (found.status, found.values["stopped_by"]) == ("not_converged", "no_progress")
    assert found.values["n_steps"] < 500
    assert found.values["fmax_ev_per_ang"] < 0.01


def test_collapse_is_told_from_fusion() -> None:
    found = relaxed(bulk("Al", a=4.05), LennardJones(epsilon=1.0, sigma=1.0, rc=3.5))
    assert (found.status, found.values["stopped_by"]) == ("blown_up", "volume")
    assert "times that of the start" in found.error
    pair = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 0.6]])
    found = relaxed(pair, LennardJones(epsilon=20.0, sigma=0.3, rc=4.0))
    assert (found.status, found.values["stopped_by"]) == ("blown_up", "atoms_fused")
    assert set(found.arrays) == {"positions", "cell", "forces"}


def test_a_vacuum_that_fills_up_is_told() -> None:
    """Four layers that push one another away until they are evenly spread along the axis that had the vacuum."""
    layers = Atoms("Cu4", positions=[[0, 0, 1.5 * k] for k in range(4)], cell=[9.0, 9.0, 13.0], pbc=True)
    push = LennardJones(epsilon=0.01, sigma=3.6, rc=8.0, smooth=True)
    found = relaxed(layers, push, cell="fixed", fmax_ev_per_ang=1e-3)
    assert (found.status, found.values["stopped_by"]) == ("blown_up", "vacuum_lost"), found.error
    assert found.error.startswith("the vacuum was lost within ")
    assert set(found.arrays) == {"positions", "cell", "forces"}
    layers.cell[2, 2] = 25.0  # the same atoms come to rest where there is room
    assert relaxed(layers, push, cell="fixed", fmax_ev_per_ang=1e-3).status == "ok"


@pytest.mark.parametrize(("sigma_ang", "n_steps"), [(2.4, "some"), (1.5, "no")])
def test_atoms_that_do_not_see_one_another_are_at_no_minimum(sigma_ang, n_steps) -> None:
    """They are pushed, or begin, beyond the model's cutoff of 2.6 Å, where all forces and stresses end."""
    crystal = bulk("Cu", a=3.6 if n_steps == "some" else 4.0)
    found = relaxed(crystal, LennardJones(epsilon=0.1, sigma=sigma_ang, rc=2.6))
    assert (found.status, found.values["stopped_by"]) == ("blown_up", "apart"), found.error
    assert found.error.startswith("no stress is left at all after ")
    assert (found.values["n_steps"] > 0) == (n_steps == "some")
    held = relaxed(crystal, LennardJones(epsilon=0.1, sigma=sigma_ang, rc=2.6), cell="fixed")
    assert held.status == "ok"  # nobody knows what a cell that may not change should have


def test_what_a_model_cannot_answer_on_the_way_says_where() -> None:
    story = relax.steps(distorted(bulk("Cu", cubic=True)), SETTINGS)
    asked = next(story)
    for _ in range(3):
        asked = story.send(answer_of(asked, EMT()))
    with pytest.raises(NoAnswer, match=r"^NaN after 2 steps$") as found:
        story.throw(NoAnswer("nonfinite", "NaN"))
    assert found.value.status == "nonfinite"


def test_many_atoms_need_no_matrix_of_all(monkeypatch) -> None:
    monkeypatch.setattr("worker.minimum.springs.MOST_COORDINATES", 10)
    start = distorted(bulk("Cu", cubic=True).repeat((2, 1, 1)))
    start.set_constraint(FixAtoms([0]))
    found = relaxed(start, EMT(), **TIGHT)
    assert found.status == "ok"


@pytest.mark.parametrize("most", [5, 100])
def test_paths_are_kept_where_they_are_asked_for_and_bounded(monkeypatch, most) -> None:
    monkeypatch.setattr("worker.minimum.relaxation.MOST_FRAMES", most)
    start = distorted(bulk("Cu", cubic=True).repeat((2, 1, 1)))
    found = relaxed(start, EMT(), keep="trajectory", **TIGHT)
    path = found.arrays["path_positions"]
    assert 3 <= len(path) <= most
    assert {len(found.arrays[name]) for name in ("path_cell", "path_energy_ev", "path_step")} == {len(path)}
    assert np.array_equal(path[0], start.positions)
    assert np.array_equal(path[-1], found.arrays["positions"])
    steps = found.arrays["path_step"]
    assert (steps[0], (np.diff(steps) > 0).all(), steps[-1] <= found.values["n_steps"]) == (0, True, True)
    assert (np.diff(found.arrays["path_energy_ev"]) <= 1e-5).all()
    assert recordable(found, relax.VALUES, relax.ARRAYS, len(start)).status == "ok"
    assert "path_cell" not in relaxed(start, EMT()).arrays


def test_few_steps_suffice() -> None:
    """What these numbers were when the springs were fitted; ASE's BFGS takes more than twice as many."""
    metals = enumerate(("Cu", "Al", "Pt"))
    starts = [distorted(bulk(symbol, cubic=True).repeat((2, 1, 1)), seed=k) for k, symbol in metals]
    assert sum(relaxed(start, EMT()).values["n_evaluations"] for start in starts) <= 21
