"""A family in a file in an Apptainer image of its own: the numbers of its virtual environment."""

import shutil

import pytest
from ase.build import bulk
from ase.io import write

from mira_cli.images import apptainer
from tests import runs

pytestmark = [
    pytest.mark.apptainer,
    pytest.mark.families,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(apptainer.works() is not None, reason=f"{apptainer.works()}"),
]


def test_numbers_are_the_same_in_both_runtimes(tmp_path, mira, monkeypatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    own = shutil.copytree(runs.REPOSITORY / "examples" / "your-own-model", tmp_path / "with, comma")
    silicon = bulk("Si", cubic=True)
    silicon.rattle(0.05, seed=0)
    write(tmp_path / "si.traj", silicon)
    # a list, since the path has a comma
    (tmp_path / "run.yaml").write_text(f"structures: si.traj\nmodels: ['file:{own}/tersoff.py']\n")
    for runtime in ("venv", "apptainer"):
        mira("run", tmp_path / "run.yaml", "--runtime", runtime, "--trust-file", "-o", tmp_path / runtime, "--no-reuse")
    (venv,), (sif,) = (runs.rows(tmp_path / runtime) for runtime in ("venv", "apptainer"))
    for number in ("energy_ev", "fmax_ev_per_ang", "stress_xx_ev_per_ang3"):
        assert float(sif[number]) == pytest.approx(float(venv[number]), rel=1e-9)
    assert runs.attempts(tmp_path / "apptainer")[0]["network"] == "isolated"
