"""Runs on a real SLURM cluster that the suite starts on this machine: two CPU nodes, and one with two fake GPUs.

Where it cannot be started, all tests of this folder are skipped, loudly. What a test breaks is mended after it.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mira_cli.run.directory import RunDirectory
from mira_cli.slurm.queue import job_prefix
from tests.runs import REPOSITORY

TESTBED = REPOSITORY / "tests" / "testbed" / "slurm-test-cluster.sh"
VERSIONS = TESTBED.with_name("slurm-version.sh")
VERSION = os.environ.get("SLURM_TEST_VERSION")  # a release of Debian whose SLURM it is to be: bullseye, trixie, forky
collect_ignore = ["test_newer_version.py"] if VERSION else []
NODES = ("cpu1", "cpu2", "gpu1")

# Everything is seen at once; jobs are small enough for eight of them on a node.
SETTINGS = {
    "executor": "mira-slurm",
    "jobs": 50,
    "retries": 2,
    "keep-going": True,
    "rerun-incomplete": True,
    "rerun-triggers": ["mtime"],
    "scheduler": "greedy",
    "latency-wait": 5,
    "mira-slurm-status-command": "squeue",
    "mira-slurm-init-seconds-before-status-checks": 1,
    "mira-slurm-requeue": True,
}
RESOURCES = {
    "all": {"threads": 1, "mem_mb": 700, "runtime_min": 10},
    "cpu": {"partition": "cpu"},
    "gpu": {"partition": "gpu"},
}


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slurm)


def switch(*words: str) -> subprocess.CompletedProcess[str]:
    """Call the cluster's script."""
    return subprocess.run([TESTBED, *words], capture_output=True, text=True, timeout=600)


def programs_of(suite: str) -> str:
    """Folder with the programs of a release's SLURM; skips where there is none."""
    done = subprocess.run([VERSIONS, suite], capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"the SLURM of {suite} could not be unpacked: {why}")
    return done.stdout.strip()


class Cluster:
    """What a test asks of the cluster, and does to it."""

    def ask(self, *command: object) -> str:
        """What a command printed; fails where the command does."""
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def squeue(self, *options: str, ended: bool = False) -> list[dict[str, str]]:
        """The jobs in the queue; with `ended` also those that are over, as long as SLURM remembers them."""
        fields = {
            "id": "%i", "name": "%j", "state": "%T", "reason": "%r", "node": "%N", "partition": "%P", "folder": "%Z",
            "comment": "%k",
        }  # fmt: skip
        everything = ("--states=all",) if ended else ()
        out = self.ask("squeue", "--noheader", f"--format={'|'.join(fields.values())}", *everything, *options)
        # a name can hold a line break; such a job is not one of ours
        lines = (line.split("|", len(fields) - 1) for line in out.splitlines())
        return [dict(zip(fields, line, strict=True)) for line in lines if len(line) == len(fields)]

    def jobs_of(self, run: Path, *, ended: bool = False) -> list[dict[str, str]]:
        """The jobs of a run, its driver included."""
        prefix = job_prefix(RunDirectory(run.absolute()))
        return [job for job in self.squeue(ended=ended) if job["name"].startswith(prefix)]

    def scontrol(self, *words: object) -> str:
        """Call `scontrol`."""
        return self.ask("scontrol", *words)

    def job(self, number: str) -> dict[str, str]:
        """All that SLURM knows of one job: `JobState`, `Restarts`, `ExitCode`, `Comment`, …"""
        line = self.scontrol("show", "job", "--oneliner", number)
        return dict(re.findall(r"(\S+?)=(.*?)(?=\s+[A-Z][A-Za-z/:]*=|\s*$)", line))

    def wait_for(self, what: Callable[[], object], seconds: float = 300) -> object:
        """The first true value of `what`; fails if there is none in time."""
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, f"waited {seconds} s in vain; queue: {self.squeue(ended=True)}"
            time.sleep(0.1)
        return found

    def node_down(self, node: str) -> None:
        """Cut a node's cable: SLURM loses sight of it, its jobs go on."""
        self._do("node-down", node)

    def node_crash(self, node: str) -> None:
        """Cut a node's power: its jobs are gone."""
        self._do("node-crash", node)

    def node_up(self, node: str) -> None:
        """Bring a node back; it takes jobs afterwards."""
        self._do("node-up", node)

    def stop_controller(self) -> None:
        """Take SLURM's controller away: no command of SLURM works, jobs go on."""
        self._do("controller-down")

    def start_controller(self) -> None:
        """Bring the controller back, with all that it knew."""
        self._do("controller-up")

    def restart_controller(self) -> None:
        """Stop and start the controller."""
        self.stop_controller()
        self.start_controller()

    def hang_epilogs(self) -> None:
        """Keep jobs in COMPLETING when they are over, until the test ends."""
        self._do("epilogs-hang")

    def mend(self, folder: Path) -> None:
        """Undo what a test has done: cancel the jobs that it started below its folder, and bring back what is gone."""
        self._do("epilogs-end")
        if switch("status").returncode != 0:
            self.start_controller()
        if left := [job["id"] for job in self.squeue() if Path(job["folder"]).is_relative_to(folder)]:
            self.ask("scancel", *left)
        for node in NODES:
            if "drain" in self.ask("sinfo", "-h", "-N", "-n", node, "-o", "%T"):
                self.scontrol("update", f"NodeName={node}", "State=RESUME")
        self._do("start")

    def _do(self, *words: str) -> None:
        done = switch(*words)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    """The cluster, stopped at the end unless it was there before."""
    if VERSION:
        os.environ["PATH"] = os.pathsep.join([programs_of(VERSION), os.environ["PATH"]])
    there = switch("status").returncode == 0
    done = switch("start")
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1].removeprefix("slurm-test-cluster: ")
        pytest.skip(f"no SLURM cluster: {why}")
    yield Cluster()
    if not there:
        switch("stop")


@pytest.fixture(autouse=True)
def cluster(running_cluster, tmp_path) -> Iterator[Cluster]:
    """The cluster, whole and, for this test, empty."""
    yield running_cluster
    running_cluster.mend(tmp_path)


def write_profile(folder: Path, settings: dict | None = None, resources: dict | None = None) -> Path:
    """A profile for the test cluster; what is given is laid over `SETTINGS` and `RESOURCES`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**SETTINGS, **(settings or {})}))
    (folder / "resources.yaml").write_text(yaml.safe_dump({**RESOURCES, **(resources or {})}))
    return folder


@pytest.fixture
def profile(tmp_path) -> Path:
    """A profile for the test cluster as it is."""
    return write_profile(tmp_path / "profile")
