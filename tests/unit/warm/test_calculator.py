"""`from mira_cli import calculator`: ASE's own potentials, in processes of their own."""

import copy
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import CalculatorSetupError, PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import BFGS, FIRE
from ase.units import fs

from mira_cli import calculator
from mira_cli.errors import MiraError, UsageError
from mira_cli.warm.lost import RefusedStructureError
from tests.runs import REPOSITORY
from tests.unit.warm.calculators import notes, rattled, with_calculator


@pytest.fixture(scope="module")
def emt():
    with calculator("emt") as calc:
        yield calc


def test_numbers_are_those_of_the_calculator_itself(emt) -> None:
    for seed in range(3):
        ours, theirs = with_calculator(rattled(seed=seed), emt), with_calculator(rattled(seed=seed), EMT())
        assert ours.get_potential_energy() == pytest.approx(theirs.get_potential_energy(), abs=1e-10)
        assert ours.get_potential_energy(force_consistent=True) == ours.get_potential_energy()
        assert np.abs(ours.get_forces() - theirs.get_forces()).max() < 1e-10
        assert np.abs(ours.get_stress() - theirs.get_stress()).max() < 1e-10


def test_everything_that_steps_takes_the_same_steps(emt) -> None:
    def optimized(calc, optimizer, wrap=lambda atoms: atoms):
        atoms = with_calculator(rattled(seed=4), calc)
        run = optimizer(wrap(atoms), logfile=None)
        run.run(fmax=1e-3, steps=12)
        return atoms, run.nsteps

    for how in ((BFGS,), (FIRE,), (BFGS, FrechetCellFilter)):
        (ours, n), (theirs, m) = optimized(emt, *how), optimized(EMT(), *how)
        assert n == m
        assert np.abs(ours.positions - theirs.positions).max() < 1e-6
        assert np.abs(ours.cell.array - theirs.cell.array).max() < 1e-6
    ends = []
    for calc in (emt, EMT()):
        atoms = with_calculator(rattled(seed=5), calc)
        VelocityVerlet(atoms, 2 * fs).run(10)
        ends.append(atoms.positions)
    assert np.abs(ends[0] - ends[1]).max() < 1e-8


def test_a_band_of_images_shares_one_calculator(emt) -> None:
    slab = fcc111("Al", (2, 1, 2), vacuum=6.0)
    first, last = slab.copy(), slab.copy()
    last.positions[-1] += [0.4, 0.2, 0.1]
    images = [first, *(first.copy() for _ in range(2)), last]
    for image in images:
        image.calc = emt
    band = NEB(images, allow_shared_calculator=True, method="improvedtangent")
    band.interpolate()
    forces = band.get_forces()
    assert np.isfinite(forces).all()
    assert np.abs(forces).max() > 0


def test_a_script_of_phonopy_finds_the_same_modes(emt) -> None:
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    def frequencies(calc) -> np.ndarray:
        cell = bulk("Cu")
        unit = PhonopyAtoms(cell.symbols, cell=cell.cell.array, scaled_positions=cell.get_scaled_positions())
        phonons = Phonopy(unit, 2 * np.eye(3, dtype=int))
        phonons.generate_displacements(distance=0.02)
        given = [Atoms(s.symbols, s.positions, cell=s.cell, pbc=True) for s in phonons.supercells_with_displacements]
        phonons.forces = [with_calculator(atoms, calc).get_forces() for atoms in given]
        phonons.produce_force_constants()
        phonons.run_qpoints([[0.5, 0, 0], [0.25, 0.1, 0]])
        return phonons.qpoints.frequencies

    ours = frequencies(emt)
    assert ours.min() > 1.0
    assert np.abs(ours - frequencies(EMT())).max() < 1e-6


def test_a_calculator_begins_at_once_and_has_no_torch() -> None:
    code = "import sys, time; import mira_cli; assert len(sys.modules) < 200; from mira_cli import calculator; "
    code += "print([m for m in ('torch', 'snakemake', 'pyarrow', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "[]", done.stderr


def test_batches_give_an_answer_or_a_reason_for_each(emt) -> None:
    apart, together = rattled(), Atoms("Cu2", [[0, 0, 0], [0, 0, 1e-4]], cell=[9, 9, 9], pbc=True)
    nan = rattled()
    nan.positions[0, 0] = np.nan
    charged = rattled()
    charged.info["charge"] = 1
    two = rattled()
    two.info |= {"charge": 1, "total_charge": -1}
    structures = [apart, bulk("Si"), Atoms(), nan, together, charged, two, molecule("CO"), rattled(2, 2, 2)]
    found = emt.evaluate(structures)
    assert [one.status for one in found] == [
        *("ok", "unsupported_element", "invalid_input", "invalid_input", "invalid_input"),
        *("unsupported_property", "invalid_input", "ok", "ok"),
    ]
    assert [bool(one.error) for one in found] == [one.status != "ok" for one in found]
    assert found[2].error == "no atoms"
    assert found[3].error == "positions are not finite numbers"
    assert found[7].stress_ev_per_ang3 is None
    assert found[8].forces_ev_per_ang.shape == (32, 3)
    assert found[0].energy_ev == with_calculator(apart, emt).get_potential_energy()
    assert emt.evaluate([]) == []
    with pytest.raises(UsageError, match="structure 1 is a `NoneType`"):
        emt.evaluate([*structures[:1], None])


def test_reasons_and_statuses_are_those_of_a_run(emt, mira, tmp_path) -> None:
    from ase.io import write

    from tests.runs import rows

    structures = [rattled(), bulk("Si"), Atoms("Cu2", [[0, 0, 0], [0, 0, 1e-4]], cell=[9, 9, 9], pbc=True)]
    structures += [Atoms("Cu", cell=[1e-9, 3, 3], pbc=True), rattled()]
    structures[-1].info["charge"] = 2
    write(tmp_path / "given.extxyz", structures)
    mira("run", tmp_path / "given.extxyz", "-m", "emt", "-o", tmp_path / "run", code=1)
    found = emt.evaluate(structures)
    for row, one in zip(rows(tmp_path / "run"), found, strict=True):
        assert (row["status"], row["error"] or None) == (one.status, one.error)
        if one.energy_ev is not None:
            assert float(row["energy_ev"]) == pytest.approx(one.energy_ev, abs=1e-6)  # a file has eight digits


def test_what_is_odd_is_a_note_of_the_answer(emt) -> None:
    near, charged = Atoms("Cu2", [[0, 0, 0], [0, 0, 1.35]]), rattled()
    charged.info |= {"total_charge": 0, "q": 1}
    found = emt.evaluate([rattled(), near, charged, Atoms("Pd", info={"charge": 1})])
    assert [one.status for one in found] == ["ok", "ok", "ok", "unsupported_property"]
    assert found[0].notes == ()
    assert "Å" in found[1].notes[0]
    assert len(found[2].notes) == 2
    assert "number of electrons is odd" in found[3].notes[0]


@pytest.mark.parametrize(
    ("atoms", "status", "said"),
    [
        (Atoms(), "invalid_input", "no atoms"),
        (Atoms("Cu", [[np.nan, 0, 0]]), "invalid_input", "not finite"),
        (Atoms("Cu2", [[0, 0, 0], [0, 0, 0]]), "invalid_input", "same place"),
        (bulk("Si"), "unsupported_element", "does not know Si"),
        (Atoms("Cu", info={"charge": -1}), "unsupported_property", "a charge of -1 e"),
        (Atoms("Cu", info={"charge": "much"}), "invalid_input", "is no number"),
    ],
)
def test_a_structure_that_cannot_be_asked_about_is_an_error_of_ase(emt, atoms, status, said) -> None:
    with pytest.raises(RefusedStructureError, match=said) as caught:
        with_calculator(atoms.copy(), emt).get_potential_energy()
    assert caught.value.status == status
    assert isinstance(caught.value, CalculatorSetupError)
    assert isinstance(caught.value, MiraError)
    assert with_calculator(rattled(), emt).get_potential_energy()


def test_a_stress_that_is_not_defined_is_no_number(emt) -> None:
    atoms = with_calculator(molecule("CO"), emt)
    assert np.isfinite(atoms.get_forces()).all()
    with pytest.raises(PropertyNotImplementedError, match="three directions"):
        atoms.get_stress()
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_charges()


def test_nothing_is_kept_of_the_structure_before(emt) -> None:
    charged = with_calculator(rattled(), emt)
    neutral = charged.get_potential_energy()
    charged.info["charge"] = 1
    with pytest.raises(RefusedStructureError):  # although neither positions nor elements have changed
        charged.get_potential_energy()
    with pytest.raises(RefusedStructureError):
        charged.get_forces()
    del charged.info["charge"]
    assert charged.get_potential_energy() == neutral
    charged.positions[0] = charged.positions[1]
    with pytest.raises(RefusedStructureError):
        charged.get_stress()
    assert emt.results == {}
    one, other = with_calculator(rattled(seed=1), emt), with_calculator(rattled(2, 1, 1, seed=2), emt)
    energies = one.get_potential_energy(), other.get_potential_energy()
    assert (one.get_potential_energy(), other.get_potential_energy()) == energies


def test_coincident_atoms_are_found_at_any_step(emt) -> None:
    """The whole check is left out where atoms have moved little: never where two of them have met."""
    atoms = with_calculator(rattled(), emt)
    atoms.get_forces()
    way = atoms.get_distance(0, 1, mic=True, vector=True)
    for part in (0.02, 0.04, 0.06):
        atoms.positions[0] += part * way
        atoms.get_forces()
    atoms.positions[0] += 0.85 * way
    with pytest.raises(RefusedStructureError):
        atoms.get_forces()
    squeezed = with_calculator(rattled(), emt)
    squeezed.get_forces()
    squeezed.set_cell(squeezed.cell.array * 0.2, scale_atoms=True)
    with pytest.raises(RefusedStructureError):
        squeezed.get_forces()


def test_two_calculators_at_once_answer_each_for_itself(emt) -> None:
    with calculator("lj", options={"sigma": 2.2, "rc": 6.0}) as lj:
        assert lj.worker.pid != emt.worker.pid
        for seed in range(5):
            one, other = with_calculator(rattled(seed=seed), emt), with_calculator(rattled(seed=seed), lj)
            assert one.get_potential_energy() != other.get_potential_energy()
            assert one.get_potential_energy() == pytest.approx(
                with_calculator(one.copy(), EMT()).get_potential_energy()
            )


def test_threads_that_ask_together_get_their_own_answers(emt) -> None:
    structures = [rattled(1 + n % 2, 1, 1, seed=n) for n in range(40)]
    expected = [with_calculator(atoms.copy(), EMT()).get_potential_energy() for atoms in structures]
    found = [0.0] * len(structures)

    def ask(first: int) -> None:
        own = copy.deepcopy(emt)
        for n in range(first, len(structures), 4):
            found[n] = with_calculator(structures[n].copy(), own).get_potential_energy()

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == pytest.approx(expected, abs=1e-9)


def test_calculators_are_copied_with_their_atoms_and_not_sent_elsewhere(emt) -> None:
    atoms = with_calculator(rattled(), emt)
    energy = atoms.get_potential_energy()
    assert copy.deepcopy(atoms).get_potential_energy() == energy
    with pytest.raises(UsageError, match="another process"):
        pickle.dumps(emt)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "sevennet-9"}, "unknown model `sevennet-9`"),
        ({"model": "emt,lj"}, "names 2 models"),
        ({"model": "emt", "dtype": "float32"}, "does not run in float32"),
        ({"model": "emt", "device": "tpu"}, "setting `device`"),
        ({"model": "lj", "options": {"width": 1}}, "has no option `width`"),
        ({"model": "mace:/no/where.model"}, "there is no checkpoint"),
    ],
)
def test_what_a_run_would_refuse_is_refused_in_its_words(given, said) -> None:
    with pytest.raises(MiraError, match=said) as caught:
        calculator(given.pop("model"), **given)
    assert "hint: " in notes(caught.value)


def test_the_page_about_calculators_runs() -> None:
    page = (REPOSITORY / "docs" / "reference" / "calculator.md").read_text(encoding="utf-8")
    blocks = page.split("```python\n")[1:]
    script = "\n".join(block.partition("```")[0] for block in blocks).replace("mace-mpa-0", "emt")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "unsupported_element None the model does not know Si" in done.stdout
