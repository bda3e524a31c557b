"""Trajectories as jobs of a cluster: a time limit in the middle costs the last seconds, and no digit."""

import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.io import write

from tests.runs import faulty, rows
from tests.unit.worker.tasks.stories_by_ase import end_of
from worker.tasks import md

from .sound import LJ, records_of, said

TIMES = {
    "timestep_fs": 4, "sample_fs": 8, "equilibration_ps": 0.08, "duration_ps": 0.44, "min_length_ang": 0,
    "max_drift_ev_per_atom_per_ps": 10, "ensemble": "nvt", "temperature_k": 100,
}  # fmt: skip
STEPS, SECONDS = 130, 1.0


def test_a_time_limit_in_a_trajectory_goes_on_from_its_milestone(cluster, mira, tmp_path, profile) -> None:
    write(tmp_path / "Cu.extxyz", bulk("Cu", cubic=True))
    models = faulty(tmp_path / "models.yaml", mode="sleep", seconds=SECONDS)
    settings = [word for name, value in TIMES.items() for word in ("--set", f"task.{name}={value}")]
    run = tmp_path / "run"
    mira("run", tmp_path / "Cu.extxyz", "-m", "faulty", "--models-file", models, "-o", run, "--profile", profile,
         "--task", "md", *settings, "--set", "runtime_min=1")  # fmt: skip
    assert "ended: TIMEOUT" in said(run)
    jobs = [cluster.job(job["id"]) for job in cluster.jobs_of(run, ended=True) if "faulty" in job["comment"]]
    jobs.sort(key=lambda job: job["TimeLimit"])  # each has more than the one before
    assert [job["TimeLimit"] for job in jobs] == ["00:01:00", "00:02:00", "00:03:00"][: len(jobs)]
    assert len(jobs) > 1
    hours, minutes, seconds = map(int, jobs[-1]["RunTime"].split(":"))
    assert 3600 * hours + 60 * minutes + seconds < STEPS * SECONDS  # it did not begin again
    (record,) = records_of(run, "faulty")
    assert record["evaluated_atoms"] == 4 * (STEPS + 1)  # as if nobody had been ended
    assert record["wall_s"] > STEPS * SECONDS  # what the ended worker took counts
    alone = end_of(md, bulk("Cu", cubic=True), LennardJones(**LJ), **TIMES)
    (row,) = rows(run)
    assert row["status"] == alone.status
    for name in ("mean_temperature_k", "drift_ev_per_atom_per_ps"):
        assert float(row[name]) == pytest.approx(alone.values[name], rel=1e-6)
    assert not list(run.glob("work/records/faulty/*/under_way/*"))
