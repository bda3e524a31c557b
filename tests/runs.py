"""What tests of whole runs share: runs in the background, and what is left of a run."""

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
METALS = ("Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au")


def faulty(path: Path, **options) -> Path:
    """A models file with one model, `faulty`, that breaks as its options say."""
    row = {"title": "t", "family": "ase_builtin", "checkpoint": {"bundled": "faulty"}, "options": options}
    path.write_text(json.dumps({"models": {"faulty": row}}))
    return path


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "comparison.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def own_records(run: Path) -> list[Path]:
    """Folders of records, one a model and key, without those of what the task begins with."""
    jobs = [json.loads(file.read_text()) for file in run.glob("work/jobs/*/*.json")]
    begun = {job.get("begins_with_key") for job in jobs}
    return [folder for folder in run.glob("work/records/*/*") if folder.name not in begun]


def records(run: Path) -> list[dict]:
    """Every record line of a run's own task, the doubles too."""
    files = [file for folder in own_records(run) for file in folder.glob("*/records.jsonl")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [record for line in lines if (record := json.loads(line))["kind"] == "record"]


def attempts(run: Path) -> list[dict]:
    """Every attempt of a run."""
    lines = [line for file in run.glob("work/records/*/*/*/records.jsonl") for line in file.read_text().splitlines()]
    return [line for line in map(json.loads, lines) if line["kind"] == "attempt"]


def answers(run: Path, model: str = "*") -> dict[str, tuple[float, np.ndarray]]:
    """Energy and forces of each structure of a run of single points."""
    found = {}
    for file in run.glob(f"work/records/{model}/*/*/records.jsonl"):
        forces = np.fromfile(file.with_name("forces.f64")).reshape(-1, 3)
        for line in map(json.loads, file.read_text().splitlines()):
            if line["kind"] == "record" and line["status"] == "ok":
                first = line["forces_row"]
                found[line["structure"]] = line["energy_ev"], forces[first : first + line["n_atoms"]]
    return found


def statuses(run: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows(run):
        found.setdefault(row["model"], []).append(row["status"])
    return found


def processes_of(run: Path) -> list[int]:
    """Live processes that were started for a run."""
    mark = f"MIRA_RUN={run}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def workers_of(run: Path) -> list[int]:
    """Live workers of a run."""
    found = []
    for pid in processes_of(run):
        with suppress(OSError):
            if b"\0-m\0worker\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def to_workers(run: Path, number: int) -> None:
    """Stop the workers of a run, or let them go on: however long a command takes that looks at them."""
    for pid in workers_of(run):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _begin(before: Callable[[], object] | None) -> None:
    """Take signals as from a shell, also under `nohup` and in the background of a script, then what a test wants."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if before:
        before()


class Started:
    """A `mira` in the background."""

    def __init__(
        self, *arguments: object, before: Callable[[], object] | None = None, path: Path | None = None
    ) -> None:
        first = f"{path}:" if path else ""  # commands in this folder come before the system's
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as this, and is read meanwhile)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mira_cli", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": first + os.environ["PATH"]},
            start_new_session=True,
            preexec_fn=partial(_begin, before),
        )

    def said(self) -> str:
        """What it has said so far."""
        return os.pread(self._errors.fileno(), 1 << 24, 0).decode()

    def wait_for(self, found: Callable[[], Any], what: str, every_s: float = 0.05) -> Any:
        """What is found, as soon as there is something, while it runs."""
        deadline = time.monotonic() + 300
        while not (thing := found()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"no {what}: {self.said()}"
            time.sleep(every_s)
        return thing

    def wait_for_words(self, words: str) -> None:
        self.wait_for(lambda: words in self.said(), words)

    def wait_for_records(self, run: Path, count: int) -> None:
        self.wait_for(lambda: run.is_dir() and own_records(run) and len(records(run)) >= count, "records")

    def wait_for_worker(self, run: Path) -> int:
        """The number of the process that computes, as soon as there is one."""
        return self.wait_for(lambda: workers_of(run), "worker", every_s=0.02)[0]

    def send(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        self.process.communicate(timeout=300)
        err = self.said()
        assert "Traceback" not in err, err
        return self.process.returncode, err


def plant(run: Path) -> Path:
    """Modules of a user's own in a run directory, under names that MIRA needs; who takes one is noted in the file."""
    note = run.parent / "taken"
    packages = [f"{name}/__init__" for name in ("ase", "worker", "mira_cli", "snakemake")]
    for name in [*packages, "numpy", "random", "json"]:
        file = run / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"open({str(note)!r}, 'a').write('{name} ')\nraise ImportError('planted')\n")
    return note
