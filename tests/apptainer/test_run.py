"""The main job on real weights, in both runtimes: the same numbers, and the libraries' own."""

import csv
import json
from pathlib import Path

import pytest
from ase.build import bulk, fcc111, molecule
from ase.io import write

from mira_cli.images import apptainer

pytestmark = [
    pytest.mark.apptainer,
    pytest.mark.families,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(apptainer.works() is not None, reason=f"{apptainer.works()}"),
]
MODELS = "sevennet-0,chgnet-0.3.0,sevennet-mf-0-r2scan"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, mira) -> dict[str, Path]:
    """The same structures with the same models in both runtimes."""
    folder = tmp_path_factory.mktemp("both runtimes")
    rattled = bulk("NaCl", "rocksalt", a=5.64) * (2, 1, 1)
    rattled.rattle(0.1, seed=1)
    left_handed = rattled.copy()
    left_handed.set_cell(left_handed.cell[[1, 0, 2]])
    slab = fcc111("Cu", (2, 2, 2), vacuum=6.0)
    slab.rattle(0.05, seed=2)
    frames = [rattled, left_handed, slab, molecule("H2O"), bulk("Po", "sc", a=3.35)]
    write(folder / "frames.traj", frames)
    for runtime in ("venv", "apptainer"):
        how = ("--runtime", runtime, "--no-reuse")
        mira("run", folder / "frames.traj", "-m", MODELS, "-o", folder / runtime, *how, code=1)
    return {runtime: folder / runtime for runtime in ("venv", "apptainer")}


def table(run: Path) -> list[dict[str, str]]:
    with (run / "comparison.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_both_runtimes_give_the_same_numbers(runs) -> None:
    for one, other in zip(table(runs["venv"]), table(runs["apptainer"]), strict=True):
        assert (one["structure_id"], one["model"], one["status"]) == (
            other["structure_id"],
            other["model"],
            other["status"],
        )
        assert (one["runtime"], other["runtime"]) == ("venv", "apptainer")
        assert one["weights_sha256"] == other["weights_sha256"] != ""
        for column in ("energy_per_atom_ev", "fmax_ev_per_ang", "pressure_gpa"):
            assert bool(one[column]) == bool(other[column])
            if one[column]:
                assert float(one[column]) == pytest.approx(float(other[column]), abs=1e-5)


def test_statuses_and_stress_are_honest(runs) -> None:
    for row in table(runs["apptainer"]):
        frame = int(row["structure_id"].partition("#")[2])
        assert row["status"] == ("unsupported_element" if frame == 4 else "ok")
        assert bool(row["stress_xx_ev_per_ang3"]) == (frame in {0, 1})


def test_left_handed_cell_has_the_same_answer(runs) -> None:
    rows = table(runs["apptainer"])
    for right, left in zip(rows[:3], rows[3:6], strict=True):
        for column in ("energy_ev", "stress_xx_ev_per_ang3", "stress_yz_ev_per_ang3"):
            assert float(right[column]) == pytest.approx(float(left[column]), abs=2e-5)


def test_workers_had_no_network_and_say_where_they_ran(runs) -> None:
    for runtime, run in runs.items():
        for model in json.loads((run / "provenance.json").read_text())["models"]:
            (attempt,) = model["attempts"]
            assert attempt["image"]["runtime"] == runtime
            assert attempt["network"] == "isolated"
            assert attempt["python"].startswith("3.13")


def test_other_runtime_recomputes_nothing(runs, mira) -> None:
    folder = runs["venv"].parent
    told = mira("run", folder / "frames.traj", "-m", MODELS, "-o", runs["venv"], "--runtime", "apptainer", "-n").stderr
    assert told.count("nothing to compute, 5 kept") == 3
