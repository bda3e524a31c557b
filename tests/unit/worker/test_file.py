"""Any calculator behind a family in a file: what it keeps, changes, prints or forks reaches no number."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.lj import LennardJones

from tests.own_files import LJ, REPOSITORY_WORKFLOW
from worker.contract import structure_refusal
from worker.errors import WorkerError
from worker.families import file as family
from worker.job import Checkpoint, Model
from worker.prepare import prepare_structure
from worker.story import Step
from worker.weights import private_copy

SAID = {
    "file": "mine.py", "elements": "H-Rn", "pbc": "none|full", "stress": True, "cutoff_ang": 6.0, "conservative": True,
    "reads": [], "dtypes": ["float64"], "framework": None, "options": {}, "files": [], "fresh": False,
}  # fmt: skip
CALCULATOR = """
from ase.calculators.calculator import Calculator
import numpy as np

class Mine(Calculator):
    implemented_properties = ["energy", "forces", "stress"]
    asked = 0

    def calculate(self, atoms=None, properties=(), system_changes=()):
        Calculator.calculate(self, atoms, properties, system_changes)
        n = len(atoms)
        self.results = {"energy": 1.0, "forces": np.zeros((n, 3)), "stress": np.zeros(6)}
"""
MINE = "\n    return Mine()\n"


def beginning(line: str) -> str:
    """The same, with a line more at the beginning of a calculation."""
    return CALCULATOR.replace("        n = len", f"        {line}\n        n = len")


def model(folder: Path, body: str, *, top: str = "", options: dict | None = None, **said) -> Model:
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "mine.py").write_text(f"{top}\n\ndef calculator(device, dtype, **options):{body}")
    (folder / "declared.json").write_text(json.dumps({**SAID, **said}))
    return Model("mine", "file", Checkpoint(None, folder, "abc"), options or {}, "float64", None, None)


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("worker.private.AT_END", tidied := [])

    def load(body: str, **more) -> family.InFile:
        return family.load(model(tmp_path, body, **more), "cpu", "float64")

    yield load
    for tidy in tidied:
        tidy()
    assert list(tmp_path.glob("mira-cache-*/mira-private-*")) == []


def answers(potential, *structures: Atoms):
    return potential.evaluate([prepare_structure(atoms, potential.cutoff_ang).atoms for atoms in structures])


def test_numbers_are_the_calculators_own(loaded) -> None:
    crystal, water = bulk("Cu", cubic=True), molecule("H2O")
    crystal.rattle(0.1, seed=1)
    for found, atoms in zip(answers(loaded(LJ), crystal, water), (crystal, water), strict=True):
        atoms.calc = LennardJones(sigma=2.2, epsilon=0.1, rc=6.0, smooth=True)
        assert found.energy_ev == pytest.approx(atoms.get_potential_energy(), rel=1e-10)
        assert found.forces_ev_per_ang == pytest.approx(atoms.get_forces(), rel=1e-10, abs=1e-8)
    assert found.stress_ev_per_ang3 is None
    (first,) = answers(loaded(LJ), crystal)
    assert first.stress_ev_per_ang3 == pytest.approx(crystal.get_stress(), rel=1e-10, abs=1e-8)


def test_results_of_the_last_structure_are_gone_before_the_next(loaded) -> None:
    keeps = beginning("if self.results:\n            return")
    first, second = answers(loaded(MINE, top=keeps), molecule("H2O"), molecule("CH4"))
    assert len(second.forces_ev_per_ang) == 5
    assert len(first.forces_ev_per_ang) == 3


def test_results_are_copies(loaded) -> None:
    one_array = CALCULATOR.replace("np.zeros((n, 3))", "self.same(n)") + (
        "\n    array = np.zeros((3, 3))\n    def same(self, n):\n        self.array += 1.0\n        return self.array\n"
    )
    first, second = answers(loaded(MINE, top=one_array), molecule("H2O"), molecule("H2O"))
    assert first.forces_ev_per_ang[0, 0] == 1.0
    assert second.forces_ev_per_ang[0, 0] == 2.0


def test_the_input_stays_as_it_is(loaded) -> None:
    spoils = beginning("atoms.positions += 1.0; atoms.info['x'] = 1")
    given = prepare_structure(bulk("Cu"), 6.0).atoms
    before = given.copy()
    loaded(MINE, top=spoils).evaluate([given])
    assert np.array_equal(given.positions, before.positions)
    assert given.info == before.info


def test_charge_and_spin_are_always_said(loaded) -> None:
    top = beginning("seen.append(atoms.copy())") + "\nseen = []\n"
    ion = molecule("H2O")
    ion.info |= {"charge": 1, "spin": 2}
    potential = loaded(MINE, top=top, reads=["charge", "spin"])
    answers(potential, ion, molecule("H2O"), molecule("NO"))
    seen = sys.modules["mira_file"].seen
    assert [(atoms.info["charge"], atoms.info["spin"]) for atoms in seen] == [(1, 2), (0, 1), (0, 2)]
    assert [atoms.get_initial_charges().sum() for atoms in seen] == [1, 0, 0]
    assert [atoms.get_initial_magnetic_moments().sum() for atoms in seen] == [1, 0, 1]
    answers(loaded(MINE, top=top), molecule("H2O"))
    assert sys.modules["mira_file"].seen[0].info == {}


def test_molecules_come_as_molecules_or_in_a_box(loaded) -> None:
    top = beginning("seen.append(atoms.copy())") + "\nseen = []\n"
    slab = bulk("Cu", cubic=True)
    slab.pbc = (True, True, False)
    answers(loaded(MINE, top=top), molecule("H2O"), slab)
    water, boxed = sys.modules["mira_file"].seen
    assert (water.pbc.any(), water.cell.rank, boxed.pbc.all()) == (False, 0, True)
    answers(loaded(MINE, top=top, pbc="full"), molecule("H2O"))
    (water,) = sys.modules["mira_file"].seen
    assert water.pbc.all()
    assert min(water.cell.lengths()) > 6.0


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"pbc": "none", "cutoff_ang": None}, {0}),
        ({"pbc": "full"}, {0, 1, 2, 3}),
        ({"pbc": "full", "cutoff_ang": None}, {3}),
        ({"pbc": "none|full", "cutoff_ang": None}, {0, 3}),
    ],
)
def test_what_a_method_cannot_take_is_refused_with_a_reason(loaded, said, taken) -> None:
    potential = loaded(LJ, **said)
    assert potential.periodicities == taken
    for n in range(4):
        atoms = bulk("Cu")
        atoms.pbc = np.arange(3) < n
        step = Step(None, 0, atoms)  # type: ignore[arg-type]
        why = structure_refusal(step, elements=None, takes_charge=False, periodicities=potential.periodicities)
        assert (why is None) is (n in taken)
        if why is not None:
            assert why.status == "unsupported_property"
            assert ("molecules" in str(why)) is (0 in taken)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('{"energy": 1.0, "forces": np.zeros((n, 3))}', "without stress"),
        ('{"energy": 1.0, "forces": None, "stress": np.zeros(6)}', "without forces"),
        ('{"energy": 1 + 0j, "forces": np.zeros((n, 3)), "stress": np.zeros(6)}', "energy is of type complex"),
        ('{"energy": 1.0, "forces": [["a"] * 3] * n, "stress": np.zeros(6)}', "forces is of type"),
        ('{"energy": 1.0, "forces": np.zeros((n, 3)), "stress": np.eye(3) + [[0, 1, 0]] * 3}', "not symmetric"),
    ],
)
def test_an_answer_that_is_none_is_an_error(loaded, answer, message) -> None:
    top = CALCULATOR.replace('{"energy": 1.0, "forces": np.zeros((n, 3)), "stress": np.zeros(6)}', answer)
    with pytest.raises((RuntimeError, ValueError), match=message):
        answers(loaded(MINE, top=top), bulk("Cu"))


def test_a_stress_tensor_becomes_six_numbers(loaded) -> None:
    top = CALCULATOR.replace("np.zeros(6)", "np.array([[1, 6, 5], [6, 2, 4], [5, 4, 3]])")
    (found,) = answers(loaded(MINE, top=top), bulk("Cu"))
    assert found.stress_ev_per_ang3.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("top", "body", "message"),
    [
        ("import not_a_package", LJ, "cannot be imported in its environment .*not_a_package"),
        ("raise SystemExit(3)", LJ, "cannot be imported"),
        ("", "\n    raise OSError('no weights')\n", "`calculator` in `mine.py` fails .*no weights"),
        ("", "\n    return 5\n", "returned int, no ASE calculator"),
    ],
)
def test_what_fails_when_it_is_loaded_is_one_sentence(loaded, top, body, message) -> None:
    with pytest.raises(WorkerError, match=message):
        loaded(body, top=top)


def test_code_that_ends_the_process_ends_one_structure(loaded) -> None:
    with pytest.raises(RuntimeError, match="wants to end the process"):
        answers(
            loaded(MINE, top=beginning("raise SystemExit")),
            bulk("Cu"),
        )


def test_what_it_writes_stays_out_of_the_records(loaded, tmp_path, monkeypatch) -> None:
    (tmp_path / "records").mkdir()
    monkeypatch.chdir(tmp_path / "records")
    top = beginning("open('drop.txt', 'w')")
    answers(loaded(MINE, top=top), bulk("Cu"))
    assert list((tmp_path / "records").iterdir()) == []
    assert Path.cwd() == tmp_path / "records"


def test_what_it_opens_is_there_when_it_computes(loaded, tmp_path) -> None:
    top = "from pathlib import Path\n" + beginning("assert (Path(__file__).parent / 'w.txt').read_text() == 'x'")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.txt").write_text("x")
    potential = loaded(MINE, top=top, files=["w.txt"])
    (tmp_path / "model" / "w.txt").unlink()  # as the worker does with its private copy
    assert answers(potential, bulk("Cu"))


def test_fresh_calculators_are_made_for_each_structure(loaded) -> None:
    top = f"{CALCULATOR}\nmade = []\n"
    body = "\n    made.append(1)\n    return Mine()\n"
    answers(loaded(body, top=top, fresh=True), bulk("Cu"), bulk("Cu"))
    assert len(sys.modules["mira_file"].made) >= 2
    answers(loaded(body, top=top), bulk("Cu"), bulk("Cu"))
    assert len(sys.modules["mira_file"].made) == 1


def test_a_child_that_its_code_forks_computes_nothing(tmp_path) -> None:
    top = beginning("import os\n        os.fork()")
    model(tmp_path, MINE, top=top)
    code = """
import os, sys
from pathlib import Path
from ase.build import bulk
from worker.families import file
from worker.job import Checkpoint, Model
from worker.prepare import prepare_structure
model = Model("mine", "file", Checkpoint(None, Path(sys.argv[1]), None), {}, "float64", None, None)
file.load(model, "cpu", "float64").evaluate([prepare_structure(bulk("Cu"), 6.0).atoms])
print("answered")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY_WORKFLOW), "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count("answered") == 1


def test_folders_of_a_worker_that_lives_for_days_are_not_taken_for_forgotten(loaded, tmp_path) -> None:
    potential = loaded(LJ)
    (tmp_path / "w").write_text("x")
    forgotten = potential.scratch.with_name("mira-private-of-one-that-was-killed")
    forgotten.mkdir()
    for folder in (potential.scratch, forgotten):
        os.utime(folder, (0, 0))
    with private_copy(tmp_path / "w", "another"):
        pass
    assert not forgotten.exists()
    assert answers(potential, bulk("Cu"))
