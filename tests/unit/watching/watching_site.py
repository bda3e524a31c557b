"""Run directories made by hand, to the letter of what `mira` and its workers write."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mira_cli.run.collected import wanted_sha256
from mira_cli.run.directory import RESULTS, RunDirectory, open_run
from mira_cli.statuses import ANSWERED

KEY = "0123456789abcdef"


HOLD = """
import sys, time
from pathlib import Path
from mira_cli.run.directory import open_run
from mira_cli.run.lock import run_locked
with run_locked(open_run(Path(sys.argv[1]))) as lock:
    print("locked", flush=True)
    time.sleep(60)
"""


def hash_of(structure: str) -> str:
    return (structure.encode().hex() * 32)[:32]


class Site:
    """A run with an index, a plan and wanted models; records and events are added by the tests."""

    def __init__(self, root: Path, structures: str = "abcd", models: tuple[str, ...] = ("lj",), invalid: int = 0):
        self.run: RunDirectory = open_run(root)
        self.run.structures.mkdir(exist_ok=True)
        hashes = [*map(hash_of, structures), *[""] * invalid]
        table = pa.table({"hash": hashes, "invalid": ["bad" if not h else None for h in hashes]})
        pq.write_table(table, self.run.structures / "index.parquet")
        self.models = [{"name": m, "slug": m.replace("-", "_"), "key": KEY} for m in models]
        (self.run.wanted).write_text(json.dumps({"models": self.models, "structures": None}))

    def plan(self, executor: str | None = None, **jobs: list[str]) -> None:
        """Jobs of each model, by slug."""
        extra = {"executor": executor, "job_prefix": "mira-run-1"} if executor else {}
        models = [{**model, "jobs": jobs.get(model["slug"], [])} for model in self.models]
        self.run.plan.write_text(json.dumps({"schema": 1, "models": models, **extra}))

    def record(self, job: str, structures: str, status: str = "ok", *, model: str = "lj", key: str = KEY, **more):
        """Append records of two atoms, with their forces."""
        folder = self.run.records(model, key) / job
        folder.mkdir(parents=True, exist_ok=True)
        for structure in structures:
            ok = status in ANSWERED
            row = (folder / "forces.f64").stat().st_size // 24 if (folder / "forces.f64").is_file() else 0
            if ok:
                with (folder / "forces.f64").open("ab") as stream:
                    stream.write(bytes(48))
            line = {
                "kind": "record", "structure": hash_of(structure), "status": status,
                "error": None if status == "ok" else f"{status} it is", "energy_ev": -1.0 if ok else None,
                "stress_ev_per_ang3": None, "n_atoms": 2, "forces_row": row if ok else None,
                "batch_size": 1, "wall_s": 0.5, **more,
            }  # fmt: skip
            self.append(folder / "records.jsonl", line)

    def attempt(self, job: str, *, model: str = "lj", **more) -> None:
        folder = self.run.records(model, KEY) / job
        folder.mkdir(parents=True, exist_ok=True)
        self.append(folder / "records.jsonl", {"kind": "attempt", "device": "cpu", "device_name": None, **more})

    def done(self, job: str, model: str = "lj") -> None:
        file = self.run.done(model, job)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")

    def collect(self) -> None:
        for name in RESULTS:
            (self.run.root / name).touch()
        self.run.collected.write_text(json.dumps({"wanted": wanted_sha256(self.run)}))

    def driver(self, **note) -> None:
        names = ("host", "pid", "pid_started", "slurm_job_id", "started", "ended", "exit_code", "message")
        empty = dict.fromkeys(names)
        self.run.driver.write_text(json.dumps({**empty, "kind": "foreground", **note}))

    def event(self, event: str | None, **more) -> None:
        self.append(self.run.events, {"t": 1.0, "event": event, **more})

    def started(self, number: int, job: str) -> None:
        """As Snakemake tells of a job, in its order."""
        self.event("job_started", jobs=[number])
        self.event("job_info", jobid=number, wildcards={"job": job})

    @staticmethod
    def append(file: Path, line: dict) -> None:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def fake_squeue(folder: Path, lines: list[str], *, code: int = 0) -> str:
    """A `squeue` that prints these lines; returns the PATH that finds it first. It counts its calls in a file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "queue.txt").write_text("".join(f"{line}\n" for line in lines))
    script = folder / "squeue"
    script.write_text(f'#!/bin/sh\necho x >> "{folder}/calls"\ncat "{folder}/queue.txt"\nexit {code}\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@contextmanager
def held(site: Site, script: str = HOLD) -> Iterator[subprocess.Popen]:
    """Another process holds the lock of the run."""
    child = subprocess.Popen([sys.executable, "-c", script, str(site.run.root)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "locked\n"
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
