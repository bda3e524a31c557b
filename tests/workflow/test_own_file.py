"""A family in a file through the whole workflow: what its code does to its process costs one structure alone."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from tests import runs
from tests.own_files import MIRA, source, stand_in
from tests.own_files import write as write_file

# gold kills the process, silver makes it print what is no JSON and leave a child behind
BODY = """
    import os, signal
    from ase.calculators.lj import LennardJones

    class Mine(LennardJones):
        def calculate(self, atoms=None, properties=(), system_changes=()):
            if "Au" in atoms.symbols:
                os.kill(os.getpid(), signal.SIGKILL)
            if "Ag" in atoms.symbols:
                print('{"kind": "record"')
                os.fork()
            LennardJones.calculate(self, atoms, ["energy", "forces", "stress"], system_changes)

    return Mine(sigma=2.2, epsilon=options["epsilon"], rc=6.0, smooth=True)
"""


@pytest.fixture
def given(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MIRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    crystals = [bulk(symbol, cubic=True) for symbol in ("Cu", "Ag", "Au", "Al")]
    for seed, atoms in enumerate(crystals):
        atoms.rattle(0.1, seed=seed)
    write(tmp_path / "crystals.extxyz", crystals)
    return tmp_path / "crystals.extxyz"


def test_a_run_with_a_file_that_misbehaves(given, mira, tmp_path) -> None:
    file = write_file(tmp_path, source(f'{MIRA}, "options": {{"epsilon": 0.1}}', BODY))
    stand_in(file)
    words = ("run", given, "-m", f"file:{file},file:{file}?epsilon=0.2", "-o", tmp_path / "run", "--runtime", "venv")
    refused = mira(*words, code=2)
    assert "`--trust-file`" in refused.stderr
    assert not (tmp_path / "run").exists()
    mira(*words, "--trust-file", code=1)
    rows = runs.rows(tmp_path / "run")
    assert [row["status"] for row in rows[::2]] == ["ok", "ok", "failed", "ok"]
    assert float(rows[1]["energy_ev"]) == pytest.approx(2 * float(rows[0]["energy_ev"]))
    assert len(runs.records(tmp_path / "run")) == 8  # one of each: no child of its code has written any

    before = runs.attempts(tmp_path / "run")
    mira("resume", tmp_path / "run", code=1)  # trusted once; nothing is computed again
    assert runs.attempts(tmp_path / "run") == before
    file.write_text(file.read_text().replace("2.2", "2.3"))
    asked = mira("resume", tmp_path / "run", code=2)
    assert "has changed since it was trusted" in asked.stderr
    mira("resume", tmp_path / "run", "--trust-file", code=1)
    assert runs.rows(tmp_path / "run")[0]["energy_ev"] != rows[0]["energy_ev"]


# sleeps once its check is over, which runs in a temporary folder
SLOW = """
    import os, time
    from ase.calculators.lj import LennardJones

    class Slow(LennardJones):
        def calculate(self, atoms=None, properties=(), system_changes=()):
            time.sleep(1.5 if os.path.exists({flag!r}) else 0)
            LennardJones.calculate(self, atoms, ["energy", "forces", "stress"], system_changes)

    return Slow(sigma=2.2, epsilon=0.1, rc=6.0, smooth=True)
"""


def test_plain_snakemake_and_a_killed_driver_compute_nothing_twice(given, mira, started, tmp_path) -> None:
    flag = tmp_path / "slow"
    file = write_file(tmp_path, source(MIRA, SLOW.format(flag=str(flag))))
    stand_in(file)
    (tmp_path / "plain").mkdir()
    settings = tmp_path / "run.yaml"
    settings.write_text("structures: crystals.extxyz\nmodels: [file:mine.py]\nruntime: venv\nreuse: false\n")
    plain = [sys.executable, "-m", "snakemake", "--snakefile", "Snakefile", "--directory", tmp_path / "plain"]
    plain += ["--configfile", settings, "--workflow-profile", "profiles/local"]

    def snakemake() -> subprocess.CompletedProcess[str]:
        return subprocess.run(list(map(str, plain)), capture_output=True, text=True, cwd=runs.REPOSITORY, check=False)

    refused = snakemake()
    assert refused.returncode == 1
    assert "`--trust-file`" in refused.stderr
    mira("run", given, "-m", f"file:{file}", "-o", tmp_path / "a", "--runtime", "venv", "--trust-file")
    assert (done := snakemake()).returncode == 0, done.stderr
    plain_rows, own_rows = ([row["energy_ev"] for row in runs.rows(tmp_path / name)] for name in ("plain", "a"))
    assert plain_rows == own_rows

    flag.touch()
    run = tmp_path / "killed"
    call = ("run", given, "-m", f"file:{file}", "-o", run, "--runtime", "venv", "--no-reuse")
    call = (
        *call,
        "--set",
        "resources.all.batch_atoms=4",
        "--set",
        "resources.all.chunk_atoms=1000",
        "--set",
        "warm=false",
    )
    one = started(*call)
    one.wait_for_records(run, 1)
    one.send(signal.SIGKILL)
    one.process.wait()
    assert len(runs.records(run)) < 4
    mira(*call)
    assert len(runs.records(run)) == 4
