"""What a job is on its node: the worker, and nothing that it does not need."""

import json
from contextlib import suppress
from pathlib import Path

from tests.runs import processes_of

from .conftest import write_profile
from .sound import assert_sound, records_of, slow_call


def step(run: Path, job: str) -> list[tuple[int, list[str]]]:
    """Processes of a run's job, with their arguments."""
    found = []
    for pid in processes_of(run):
        with suppress(OSError):  # just gone
            words, variables = (Path(f"/proc/{pid}/{file}").read_text().split("\0") for file in ("cmdline", "environ"))
            if f"SLURM_JOB_ID={job}" in variables:
                found.append((pid, words))
    return found


def running(cluster, run: Path) -> list[dict[str, str]]:
    return [job for job in cluster.jobs_of(run) if job["state"] == "RUNNING" and "faulty" in job["comment"]]


def test_a_job_is_its_worker_alone(cluster, started, structures, tmp_path) -> None:
    profile = write_profile(tmp_path / "two", resources={"faulty": {"threads": 2}})
    one = started(*slow_call(tmp_path, structures, profile, seconds=2.0), "--set", "chunk_atoms=400")
    run = tmp_path / "run"
    cluster.wait_for(lambda: run.is_dir() and len(records_of(run, "faulty")) > 0)
    (job,) = running(cluster, run)
    ((pid, command),) = step(run, job["id"])  # no shell, no Snakemake, no step of srun
    assert command[1:4] == ["-P", "-m", "worker"]
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert f"SLURM_JOB_ID={job['id']}" in environment
    assert "SLURM_CPUS_PER_TASK=2" in environment
    code, err = one.end()
    assert code == 0, err
    assert_sound(run)
    attempt = json.loads(next(run.glob("work/records/faulty/*/*/records.jsonl")).read_text().splitlines()[0])
    assert attempt["threads"] == 2
    assert attempt["slurm_job_id"] == job["id"]
    assert sorted(file.suffix for file in (run / "logs" / "faulty").iterdir()) == [".log"]


def test_scancel_ends_the_worker_at_once(cluster, started, structures, tmp_path, profile) -> None:
    one = started(*slow_call(tmp_path, structures, profile, seconds=60.0), "--set", "chunk_atoms=400")
    run = tmp_path / "run"
    cluster.wait_for(lambda: run.is_dir() and [job for job in running(cluster, run) if step(run, job["id"])])
    (job,) = running(cluster, run)
    cluster.wait_for(lambda: [command for _, command in step(run, job["id"]) if "worker" in command])
    pids = [pid for pid, _ in step(run, job["id"])]
    cluster.ask("scancel", job["id"])
    cluster.wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), seconds=20)
    one.send()  # it would be tried again
    one.end()
    assert processes_of(run) == []
