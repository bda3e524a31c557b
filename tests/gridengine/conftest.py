"""Runs on a real Grid Engine that the suite starts on this machine: one host with eight slots.

Where it cannot be started, all tests of this folder are skipped, loudly.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mira_cli.queues.scheduler import Listed
from mira_cli.queues.table import SCHEDULERS, list_jobs
from mira_cli.run.directory import RunDirectory
from mira_cli.slurm.queue import job_prefix
from tests.runs import REPOSITORY

TESTBED = REPOSITORY / "tests" / "testbed" / "gridengine-test-cluster.sh"


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.gridengine)


def switch(*words: str) -> subprocess.CompletedProcess[str]:
    """Call the cluster's script."""
    return subprocess.run([TESTBED, *words], capture_output=True, text=True, timeout=600)


class GridEngine:
    """What a test asks of the cluster, and does to it."""

    def jobs_of(self, run: Path) -> list[Listed]:
        """The jobs of a run that are not over."""
        return list_jobs(SCHEDULERS["sge"], job_prefix(RunDirectory(run.absolute())))

    def submit(self, *words: str) -> str:
        """Submit a job that ends at once, with some words of `qsub`; its number."""
        call = ["qsub", "-terse", "-b", "y", "-j", "y", *words, "true"]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()

    def submitted(self) -> int:
        """How many jobs the cluster has been sent so far."""
        return int(self.submit("-o", "/dev/null"))

    def delete(self, number: str) -> None:
        """Cancel a job from outside."""
        subprocess.run(["qdel", number], check=True, capture_output=True)

    def wait_for(self, what: Callable[[], object], seconds: float = 240) -> object:
        """The first true value of `what`; fails if there is none in time."""
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, f"waited {seconds} s in vain"
            time.sleep(0.2)
        return found


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[dict[str, str]]:
    """Variables that its commands need; stopped at the end unless it was there before."""
    there = switch("status").returncode == 0
    done = switch("start")
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1].removeprefix("gridengine-test-cluster: ")
        pytest.skip(f"no Grid Engine: {why}")
    yield dict(line.split("=", 1) for line in done.stdout.splitlines())
    if not there:
        switch("stop")


@pytest.fixture(autouse=True)
def cluster(running_cluster, monkeypatch) -> Iterator[GridEngine]:
    """The cluster; what a test has left in its queue is deleted."""
    for name, value in running_cluster.items():
        monkeypatch.setenv(name, value)
    yield GridEngine()
    subprocess.run(["qdel", "-u", str(os.environ.get("USER", "root"))], capture_output=True)


@pytest.fixture
def profile(tmp_path) -> Path:
    """A profile for the test cluster, with frequent polls."""
    folder = tmp_path / "profile"
    folder.mkdir()
    options = {"mira-queue-seconds-between-polls": 1, "latency-wait": 5}
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    asks = {"extends": "sge", "all": {"threads": 1, "mem_mb": 1500, "runtime_min": 10}}
    (folder / "resources.yaml").write_text(yaml.safe_dump(asks))
    return folder
