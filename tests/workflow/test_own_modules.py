"""A run directory is a user's: what lies there under the name of a module is never taken for it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

from tests.runs import METALS, REPOSITORY, faulty, plant, rows, statuses

WORKFLOW = (
    "--snakefile", REPOSITORY / "Snakefile", "--workflow-profile", REPOSITORY / "profiles" / "local",
    "--configfile", "run.yaml",
)  # fmt: skip
BIN = Path(sys.executable).parent  # commands, so that only what they start can look into the current folder


def call(*command: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


def snakemake(run: Path) -> None:
    call(BIN / "snakemake", *WORKFLOW, cwd=run)


def compute_here(run: Path) -> None:
    call(BIN / "mira", "run", "run.yaml", cwd=run)


def resume(run: Path) -> None:
    call(BIN / "mira", "resume", ".", cwd=run)


def detached(run: Path) -> None:
    call(BIN / "mira", "resume", ".", "--detach", cwd=run)
    deadline = time.monotonic() + 120
    while (note := json.loads((run / "work" / "driver.json").read_text()))["kind"] != "background" or not note["ended"]:
        assert time.monotonic() < deadline, (run / "logs" / "driver.log").read_text()
        time.sleep(0.2)


@pytest.mark.parametrize("go_on", [compute_here, resume, detached, snakemake])
def test_modules_in_the_run_directory_are_not_taken(mira, structures, tmp_path, go_on) -> None:
    late = structures / "Pt.cif"
    late.unlink()
    run = tmp_path / "run"
    mira("run", structures, "--models", "emt", "-o", run)
    taken = plant(run)
    write(late, bulk("Pt", cubic=True))
    go_on(run)
    assert not taken.exists(), taken.read_text()
    found = {row["structure_id"].partition(".")[0]: row for row in rows(run)}
    assert set(found) == set(METALS)
    for metal, row in found.items():
        atoms = bulk(metal, cubic=True)
        atoms.calc = EMT()
        assert abs(float(row["energy_ev"]) - atoms.get_potential_energy()) < 1e-9, row


def test_plain_snakemake_collects_what_there_is_with_a_python_in_any_folder(mira, structures, tmp_path) -> None:
    place = tmp_path / "my pythons"
    call(sys.executable, "-m", "venv", "--without-pip", place, cwd=tmp_path)
    (library,) = place.glob("lib/python*/site-packages")
    (library / "all.pth").write_text("\n".join(entry for entry in sys.path if entry) + "\n")
    run = tmp_path / "run"
    mira("run", structures, "--models", "emt", "-o", run)
    taken = plant(run)
    (run / "comparison.csv").unlink()
    models_file = faulty(tmp_path / "models.yaml", mode="load")
    (run / "run.yaml").write_text(f"structures: {structures}\nmodels: [emt, faulty]\nmodels_files: [{models_file}]\n")
    call(place / "bin" / "python", "-P", "-m", "snakemake", *WORKFLOW, cwd=run, code=1)
    assert statuses(run) == {"emt": ["ok"] * len(METALS), "faulty": ["failed"] * len(METALS)}
    assert not taken.exists(), taken.read_text()


def test_packages_of_another_python_are_not_taken(mira, structures, tmp_path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    taken = plant(others)
    (others / "mira_cli" / "__init__.py").unlink()  # who names another MIRA there wants that one
    run = tmp_path / "run"
    mira("run", structures, "--models", "emt", "-o", run, PYTHONPATH=f"{others}:{REPOSITORY}")
    assert statuses(run) == {"emt": ["ok"] * len(METALS)}
    assert not taken.exists(), taken.read_text()
