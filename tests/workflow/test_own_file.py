"""A family in a file through the whole workflow: what its code does to its process costs one structure alone."""

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
