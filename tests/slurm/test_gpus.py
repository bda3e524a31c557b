"""GPUs that SLURM hands out."""

import json

from tests.runs import faulty, statuses


def test_jobs_use_the_gpu_that_slurm_gave_them_and_say_which(mira, cluster, structures, profile, tmp_path) -> None:
    run = tmp_path / "run"
    models = ("--models", "faulty", "--models-file", faulty(tmp_path / "m.yaml", mode="sleep", seconds=1, gpu=True))
    settings = ("--set", "chunk_atoms=12", "--set", "resources.faulty.gpu=1")
    mira("run", structures, *models, "-o", run, "--profile", profile, *settings)
    assert statuses(run) == {"faulty": ["ok"] * 7}
    (model,) = json.loads((run / "provenance.json").read_text())["models"]
    assert {attempt["gpu"] for attempt in model["attempts"]} == {"0", "1"}
    ours = {job["id"]: job for job in cluster.jobs_of(run, ended=True)}
    assert {attempt["slurm_job_id"] for attempt in model["attempts"]} == set(ours)
    assert {job["partition"] for job in ours.values()} == {"gpu"}
