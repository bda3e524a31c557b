"""The layout of a run directory, and how one is opened without harming what is not ours.

```
run.yaml               the settings of the last call
comparison.csv …       the results
logs/                  one log a job, and Snakemake's own
work/run.json          says that this directory is a run
work/settings.yaml     the settings of the last call, complete
work/driver.json       who carries the run out: a process here, or a SLURM job
work/plan.json         what the Snakefile reads
work/structures/       the normalised input (see structures/packs.py)
work/jobs/MODEL/       what each job must do
work/records/MODEL/KEY/JOB/   what the workers found (see run/records.py)
work/done/MODEL/       one small file for each finished job
work/rmsd.json         RMSD between minima that have been measured, by what was compared
```
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mira_cli import __version__
from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.files import read_json, write_json

FORMAT = 1
RESULTS = ("comparison.csv", "comparison.parquet", "energies.csv", "results.extxyz", "provenance.json")
COMPARISONS = (  # where there is one
    *("pairs.csv", "disagreement.csv", "reference.csv", "reference_errors.csv", "energies_aligned.csv"),
)
OF_SCALARS = (  # the same for other numbers that a task gives
    *("scalars.csv", "scalar_errors.csv", "spread.csv", "minima.csv", "relax.csv"),
)
CURVES = "curves.csv"  # of a task that has some
MOVED = "relaxed"  # the folder of geometries in which a task that moves atoms ends, a file a model
PATHS = "trajectories"  # the same of all geometries on the way there, where the run keeps them


@dataclass(frozen=True)
class RunDirectory:
    """Paths of one run."""

    root: Path

    @property
    def work(self) -> Path:
        """The folder of what the machinery keeps."""
        return self.root / "work"

    @property
    def structures(self) -> Path:
        """Packs and index of the input."""
        return self.work / "structures"

    @property
    def reference(self) -> Path:
        """The same of relaxed references, where the run has some."""
        return self.work / "reference"

    @property
    def jobs(self) -> Path:
        """Job files."""
        return self.work / "jobs"

    @property
    def plan(self) -> Path:
        """The file that the Snakefile reads."""
        return self.work / "plan.json"

    @property
    def wanted(self) -> Path:
        """The file that says what the results must hold: changes only when that changes."""
        return self.work / "wanted.json"

    @property
    def collected(self) -> Path:
        """Says that the results were written."""
        return self.work / "collected.json"

    @property
    def events(self) -> Path:
        """Snakemake's events of the last call, as JSON lines."""
        return self.work / "events.jsonl"

    @property
    def logs(self) -> Path:
        """Logs of jobs and of Snakemake."""
        return self.root / "logs"

    @property
    def config(self) -> Path:
        """Settings of the last call."""
        return self.root / "run.yaml"

    @property
    def settings(self) -> Path:
        """Settings of the last call, also where `run.yaml` is the user's own."""
        return self.work / "settings.yaml"

    @property
    def driver(self) -> Path:
        """The file that says who carries the run out, or did last."""
        return self.work / "driver.json"

    @property
    def cancel(self) -> Path:
        """There while somebody wants the run to stop."""
        return self.work / "cancel"

    def done(self, slug: str, job: str) -> Path:
        """The file that says a job is over: the only output that Snakemake knows of."""
        return self.work / "done" / slug / f"{job}.json"

    @property
    def rmsd(self) -> Path:
        """RMSD between minima, which take long to measure."""
        return self.work / "rmsd.json"

    def records(self, slug: str, key: str) -> Path:
        """Folder of all records of one model with one set of settings."""
        return self.work / "records" / slug / key


def is_run(root: Path) -> bool:
    """True if a directory is a run of ours."""
    return (root / "work" / "run.json").is_file()


def look_at_run(root: Path) -> RunDirectory:
    """A run directory, or the place for one, without touching anything.

    Raises
    ------
    UsageError
        The directory holds something else, or a run of another MIRA.
    """
    run = RunDirectory(root.absolute())
    if run.root.exists() and not run.root.is_dir():
        raise UsageError(f"`{root}` is a file, not a run directory", hint="choose another with `-o`")
    if run.root.is_dir() and not is_run(run.root):
        if not _is_nothing_yet(run) and not is_run(run.root):  # another `mira` may just have made it
            raise UsageError(
                f"`{root}` holds something that is not a MIRA run", hint="choose an empty or new directory with `-o`"
            )
    elif (read_json(run.work / "run.json") or {}).get("mira_run", FORMAT) != FORMAT:
        raise UsageError(f"`{root}` was made by another version of MIRA", hint="choose another directory with `-o`")
    return run


def _is_nothing_yet(run: RunDirectory) -> bool:
    """Whether nothing is there but what comes before a run: Snakemake's folder, a user's settings, our first file."""
    if {entry.name for entry in run.root.iterdir()} - {".snakemake", "run.yaml", "work"}:
        return False
    try:
        begun = {entry.name for entry in run.work.iterdir()}
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        return False
    return all(name.startswith(".") and "run.json" in name for name in begun)  # not complete yet


def new_job_prefix(root: Path) -> str:
    """A name for the SLURM jobs of a run, from what its directory is called and where it is."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", root.name).strip("-")[:24] or "run"
    return f"mira-{words}-{hashlib.sha256(os.path.realpath(root).encode(errors='replace')).hexdigest()[:8]}"


def inode(root: Path) -> int | None:
    """Number of a directory on its file system: the same on all hosts, another for a copy."""
    try:
        return root.stat().st_ino
    except OSError:
        return None


def open_run(root: Path) -> RunDirectory:
    """Open a run directory, or make one where there is nothing.

    Raises
    ------
    UsageError
        As `look_at_run`.
    EnvironmentNotReadyError
        It cannot be written.
    """
    try:
        run = look_at_run(root)
        run.work.mkdir(parents=True, exist_ok=True)
        known = read_json(run.work / "run.json") or {}
        if not is_run(run.root) or known.get("inode") != inode(run.root):  # new, or a copy
            born = {"mira_run": FORMAT, "created": datetime.now(UTC).isoformat(), "mira": __version__, **known}
            name = {"job_prefix": new_job_prefix(run.root), "inode": inode(run.root)}
            write_json(run.work / "run.json", born | name)
        (run.work / ".writable").touch()
    except OSError as error:
        raise EnvironmentNotReadyError(
            f"cannot write the run directory `{root}`: {error.strerror}", hint="choose another with `-o`"
        ) from error
    return run
