"""ASE's own potentials through the worker's interface: the same numbers, and forces that are gradients."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.lj import LennardJones

from worker import families
from worker.device import PRETENDED
from worker.errors import WorkerError
from worker.families import ase_builtin
from worker.job import Checkpoint, Model
from worker.prepare import prepare_structure
from worker.session import framework_of

LJ = {"sigma": 2.3, "epsilon": 0.4, "rc": 6.0, "smooth": True}


def load(name: str, **options):
    model = Model(name, "ase_builtin", Checkpoint(name, None), options, "float64", None, stress=True)
    return families.find_family("ase_builtin").load(model, "cpu", "float64")


def rattled(atoms: Atoms) -> Atoms:
    atoms.rattle(0.05, seed=3)
    return atoms


def slab() -> Atoms:
    return rattled(fcc111("Pt", (2, 2, 3), vacuum=4.0, periodic=False))


STRUCTURES = [
    rattled(bulk("Cu", cubic=True)),
    rattled(bulk("Au") * (2, 1, 1)),
    slab(),
    rattled(Atoms("Ni3", positions=[[0, 0, 0], [2.4, 0, 0], [4.8, 0, 0]], cell=[7.2, 0, 0], pbc=(1, 0, 0))),
    molecule("CO"),
    Atoms("Al"),
]


@pytest.mark.parametrize(
    ("potential", "reference"),
    [(load("emt"), EMT), (load("lj", **LJ), lambda: LennardJones(**LJ))],
    ids=["emt", "lj"],
)
def test_the_numbers_are_ases_own(potential, reference):
    prepared = [prepare_structure(atoms, potential.cutoff_ang) for atoms in STRUCTURES]
    results = potential.evaluate([p.atoms for p in prepared])
    for atoms, result, p in zip(STRUCTURES, results, prepared, strict=True):
        same = atoms.copy()
        same.calc = reference()
        assert result.energy_ev == pytest.approx(same.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(result.forces_ev_per_ang, same.get_forces(), atol=1e-9)
        if p.periodic_3d:
            np.testing.assert_allclose(result.stress_ev_per_ang3, same.get_stress(), atol=1e-12)


@pytest.mark.parametrize("potential", [load("emt"), load("lj", **LJ)], ids=["emt", "lj"])
def test_forces_and_stress_are_gradients_of_the_energy(potential):
    atoms = prepare_structure(rattled(bulk("Cu") * (2, 1, 1)), potential.cutoff_ang).atoms
    (result,) = potential.evaluate([atoms])
    atoms.calc = potential.calculator()
    assert np.abs(result.forces_ev_per_ang).max() > 0.01
    np.testing.assert_allclose(result.forces_ev_per_ang, calculate_numerical_forces(atoms, eps=1e-4), atol=1e-6)
    numerical = calculate_numerical_stress(atoms, eps=1e-5, voigt=True)
    np.testing.assert_allclose(result.stress_ev_per_ang3, numerical, atol=1e-6)


def test_emt_says_what_it_knows():
    assert load("emt").elements == {1, 6, 7, 8, 13, 28, 29, 46, 47, 78, 79}
    assert load("emt").cutoff_ang == pytest.approx(EMT()._calc_cutoff(Atoms("Cu"))[1])
    assert load("lj", rc=4.0).cutoff_ang == 4.0
    assert load("lj", sigma=2.0).cutoff_ang == 6.0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vdw", {}, "ships no weights 'vdw', only emt, lj, faulty"),
        ("emt", {"sigma": 1}, "no option sigma .has none"),
        ("lj", {"sgima": 1}, "no option sgima .has epsilon, sigma"),
        ("faulty", {}, "mode must be one of"),
        ("faulty", {"mode": "load"}, "fails to load on purpose"),
    ],
)
def test_what_cannot_be_loaded(name, options, message):
    with pytest.raises(WorkerError, match=message):
        load(name, **options)


@pytest.mark.parametrize("name", ["base", "nonsense", "__init__", "os.path", ""])
def test_families_that_there_are_not(name):
    with pytest.raises(WorkerError, match="there is no model family"):
        families.find_family(name)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [("faulty", {"gpu": True}, PRETENDED), ("faulty", {"gpu": False}, None), ("faulty", {}, None), ("emt", {}, None)],
)
def test_only_a_faulty_model_pretends_to_use_a_gpu(name, options, expected):
    model = Model(name, "ase_builtin", Checkpoint(name, None), options, "float64", None, stress=True)
    assert framework_of(ase_builtin, model) == expected


def test_other_families_have_one_framework():
    model = Model("m", "mace", Checkpoint("m", None), {}, "float64", None, stress=True)
    assert framework_of(families.find_family("mace"), model) == "torch"


def test_a_fault_can_be_limited(tmp_path):
    counter = tmp_path / "count"
    batch = [Atoms("Cu"), Atoms("Au")]
    for _ in range(2):
        with pytest.raises(ValueError, match="on purpose"):
            load("faulty", mode="evaluate", times=2, counter=str(counter)).evaluate(batch)
    assert len(load("faulty", mode="evaluate", times=2, counter=str(counter)).evaluate(batch)) == 2
    picky = load("faulty", mode="nan", only_element="Au")
    assert [np.isnan(r.energy_ev) for r in picky.evaluate(batch)] == [False, True]
    assert set(ase_builtin.MODES) == {"evaluate", "nan", "crash", "sleep", "oom", "memory", "load"}
