"""Limits that a login node sets for its processes, as `ulimit -t` does."""

import resource
from pathlib import Path

from tests.runs import faulty


def test_a_job_does_not_inherit_them(started, structures, profile, tmp_path) -> None:
    run = tmp_path / "run"
    models = ("--models", "faulty", "--models-file", faulty(tmp_path / "m.yaml", mode="sleep", seconds=2))
    driver = started(
        "run", structures, *models, "-o", run, "--profile", profile,
        before=lambda: resource.setrlimit(resource.RLIMIT_CPU, (900, 900)),
    )  # fmt: skip
    worker = driver.wait_for_worker(run)
    limits = {pid: Path(f"/proc/{pid}/limits").read_text() for pid in (driver.process.pid, worker)}
    cpu = [line.split()[3:5] for text in limits.values() for line in text.splitlines() if line.startswith("Max cpu")]
    assert cpu == [["900", "900"], ["unlimited", "unlimited"]]
    assert driver.end()[0] == 0
