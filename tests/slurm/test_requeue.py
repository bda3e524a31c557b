"""A node is lost in the middle of a job: SLURM starts the job again, and no structure is blamed for it."""

import json

from tests.runs import faulty, records, statuses


def test_nothing_is_blamed_or_computed_twice_when_a_node_is_lost_twice(
    started, cluster, structures, profile, tmp_path
) -> None:
    run = tmp_path / "run"
    models = ("--models", "faulty", "--models-file", faulty(tmp_path / "m.yaml", mode="sleep", seconds=8))
    settings = ("--set", "batch_atoms=4", "--set", "resources.faulty.slurm_extra=--nodelist=cpu2")
    mira = started("run", structures, *models, "-o", run, "--profile", profile, *settings)
    for lost in (1, 2):  # as often as would condemn a structure that is alone in flight when its worker dies
        mira.wait_for_records(run, lost)
        (job,) = cluster.jobs_of(run)
        (journal,) = run.glob("work/records/*/*/*/inflight.json")
        cluster.wait_for(lambda path=journal: len(json.loads(path.read_text())["in_flight"]) == 1)
        cluster.node_crash("cpu2")
        cluster.wait_for(lambda job=job, lost=lost: cluster.job(job["id"])["Restarts"] == str(lost), seconds=90)
        cluster.node_up("cpu2")
        cluster.wait_for(lambda job=job: cluster.job(job["id"])["JobState"] == "RUNNING", seconds=90)
    code, err = mira.end()
    assert code == 0, err
    assert statuses(run) == {"faulty": ["ok"] * 7}
    assert len(records(run)) == 7
    assert len(cluster.jobs_of(run, ended=True)) == 1
