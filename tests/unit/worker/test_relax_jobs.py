"""Relaxations through a whole worker: slabs get their virial, and a settings' mistake ends in a sentence."""

import json

import numpy as np
import pytest
from ase.build import bulk, fcc111

from mira_cli.config import build_config
from mira_cli.errors import UsageError
from tests.unit.worker.jobs import hash_of, read_records, run_worker, write_job
from tests.unit.worker.tasks.relaxations import SETTINGS, geometry, relaxed


def test_a_worker_relaxes_crystals_slabs_and_what_it_cannot_at_once(tmp_path) -> None:
    from ase.calculators.emt import EMT

    crystal, slab, wrong = bulk("Cu", a=3.7, cubic=True), fcc111("Cu", (1, 1, 3), a=3.7, vacuum=4.0), bulk("Fe")
    task = {"name": "relax", "settings": SETTINGS, "version": 1}
    write_job(tmp_path, [crystal, slab, wrong], task=task)
    done = run_worker(tmp_path)
    assert done.returncode == 0, done.stderr
    records = read_records(tmp_path)
    first, second, third = (records[hash_of(k)] for k in range(3))
    assert (first["status"], second["status"], third["status"]) == ("ok", "ok", "unsupported_element")
    assert (first["cell_relaxed"], second["cell_relaxed"]) == ("full", "in_plane")
    assert second["stress_ev_per_ang3"] is None
    assert second["smax_gpa"] <= 0.1
    cells = np.fromfile(tmp_path / "records/cell.f64").reshape(-1, 3, 3)
    for start, record in ((crystal, first), (slab, second)):
        alone = geometry(start, relaxed(start, EMT()))
        assert np.allclose(cells[record["cell_row"] // 3], alone.cell.array, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fmax_ev_per_ang": 0}, "fmax_ev_per_ang"),
        ({"fmax_ev_per_ang": 1e9}, "fmax_ev_per_ang"),
        ({"smax_gpa": -1}, "smax_gpa"),
        ({"cell": "11000"}, "six digits"),
        ({"cell": 110}, "six digits"),
        ({"pressure_gpa": "10GPa"}, "must be a number, not '10GPa'"),
        ({"fmax_ev_per_ang": "nan"}, "must be a number, not 'nan'"),
        ({"smax_gpa": "inf"}, "must be a number, not 'inf'"),
        ({"cell": "cubic"}, "six digits"),
        ({"cell": "000000"}, "six digits"),
        ({"cell": "fixed", "pressure_gpa": 5}, "pressure_gpa"),
        ({"optimizer": "sgd"}, "must be 'lbfgs', 'bfgs' or 'fire', not 'sgd'"),
        ({"max_steps": 0}, "max_steps"),
        ({"steps": 9}, "no setting `steps`"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence(settings, words) -> None:
    assignments = ["task=relax", *(f"task.{name}={json.dumps(value)}" for name, value in settings.items())]
    with pytest.raises(UsageError, match=words) as found:
        build_config({"structures": ["x"], "models": ["emt"]}, assignments)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(("text", "mask"), [("110001", "110001"), ("001000", "001000"), ("'000011'", "000011")])
def test_masks_are_read_as_they_are_written(text, mask) -> None:
    config = build_config({"structures": ["x"], "models": ["emt"]}, ["task=relax", f"task.cell={text}"])
    assert config.asked_task["settings"]["cell"] == mask
