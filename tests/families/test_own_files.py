"""The families in files of `examples/your-own-model`: run as users run them, each in the environment of its lock."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.io import write

from tests import runs

from .conftest import python_of

EXAMPLES = runs.REPOSITORY / "examples" / "your-own-model"
ALONE = """
import json, sys
from ase.io import read
from tblite.ase import TBLite
found = []
for atoms in read(sys.argv[1], ':'):
    charge, spin = atoms.info.get('charge', 0), atoms.info.get('spin', 1)
    atoms.calc = TBLite(method='GFN1-xTB', accuracy=1e-3, charge=charge, multiplicity=spin, verbosity=0)
    found.append([atoms.get_potential_energy(), atoms.get_forces().tolist()])
print('\\n' + json.dumps(found))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The examples, as they are in the repository, with their locks."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(shutil.copytree(EXAMPLES, tmp_path / "own"))
    return Path.cwd()


def rattled(*structures):
    for seed, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=seed)
    return list(structures)


def test_tight_binding_has_the_librarys_own_numbers_and_takes_no_crystals(folder, mira) -> None:
    ion, radical = molecule("H2O"), molecule("NO")
    ion.info |= {"charge": 1, "spin": 2}
    radical.info |= {"charge": 0, "spin": 2}
    molecules = rattled(molecule("H2O"), ion, molecule("CH3CH2OH"), radical, molecule("C6H6"))
    write("a.extxyz", [*molecules, bulk("C")])
    mira("run", "a.extxyz", "-m", "file:gfn1.py", "-o", "run", "--runtime", "venv", "--trust-file", code=1)
    rows = runs.rows(folder / "run")
    assert [row["status"] for row in rows] == ["ok"] * 5 + ["unsupported_property"]
    assert "molecules alone" in rows[5]["error"]
    assert rows[0]["level_of_theory"] == "GFN1-xTB"
    plan = json.loads((folder / "run" / "work" / "plan.json").read_text())
    write("m.traj", molecules)
    command = [plan["models"][0]["python"], "-P", "-c", ALONE, "m.traj"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    answers = runs.answers(folder / "run")
    for energy, forces in json.loads(done.stdout.splitlines()[-1]):
        near = min(answers.values(), key=lambda answer: abs(answer[0] - energy))
        assert near[0] == pytest.approx(energy, abs=1e-7)
        assert near[1] == pytest.approx(np.array(forces), abs=1e-6)


def test_a_potential_with_a_file_of_parameters_gives_published_numbers(folder, mira) -> None:
    write("si.extxyz", bulk("Si", a=5.432))
    mira("run", "si.extxyz", "-m", "file:tersoff.py", "-o", "run", "--runtime", "venv", "--trust-file")
    (row,) = runs.rows(folder / "run")
    assert float(row["energy_ev"]) / 2 == pytest.approx(-4.63, abs=0.005)  # Tersoff 1989, table II
    assert abs(float(row["pressure_gpa"])) < 0.3  # at the lattice constant that he gives, 5.432 Å


def test_a_checkpoint_by_other_code_is_the_model_of_the_catalogue(folder, mira) -> None:
    bundled = "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth"
    packages = Path(python_of("fairchem-sevennet")).parents[1] / "lib"
    (checkpoint,) = packages.glob(f"python3*/site-packages/sevenn/pretrained_potentials/{bundled}")
    shutil.copy(checkpoint, "mine.pth")
    write("a.extxyz", rattled(bulk("Cu", cubic=True), bulk("NaCl", "rocksalt", a=5.64), molecule("H2O")))
    models = "file:sevennet.py,sevennet-0"
    mira("run", "a.extxyz", "-m", models, "-o", "run", "--runtime", "venv", "--trust-file", "--set", "accelerators=off")
    mine, theirs = (runs.answers(folder / "run", slug) for slug in ("file_sevennet_py", "sevennet_0"))
    assert len(mine) == 3
    for structure, (energy, forces) in mine.items():
        assert energy == pytest.approx(theirs[structure][0], abs=2e-5)
        assert forces == pytest.approx(theirs[structure][1], abs=2e-5)
