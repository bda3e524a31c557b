"""Networks compiled for this machine, kept in this user's cache beside the trials, so that later jobs only load them.

A file is kept under its own sha256, and a note under that of all that it depends on, word for word in the note: many
jobs may look, one at a time compiles, and what is damaged is not loaded. Compiling happens in a process of its own,
with a limit: it takes gigabytes and minutes, and what goes wrong in it ends nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker import isolation, provenance, trials
from worker.atomic import write_json
from worker.errors import WorkerError
from worker.private import FORGOTTEN_S, PREFIX, remove_forgotten
from worker.weights import sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from worker.job import Model

FOLDER = "compiled"
LIMIT_S = 600.0


def depends_on(weights_sha256: str, distributions: Iterable[str], threads: int) -> dict[str, Any]:
    """Return what a network compiled for a CPU depends on, JSON-ready."""
    return {
        "weights": weights_sha256,
        "packages": provenance.packages(distributions),
        "worker": trials.code_sha256(),
        "threads": threads,  # they are compiled in, and so is what the processor can do
        "machine": trials.machine(),
    }


def kept(about: dict[str, Any]) -> Path | None:
    """Return a compiled network by what it depends on; None if there is none, or not as it was kept."""
    try:
        note = json.loads(_note(about).read_bytes())
        if note["about"] != json.loads(json.dumps(about)):
            return None
        wanted = str(note["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    file = _folder() / f"{wanted}.pt2"
    try:
        found = sha256(file)
    except OSError as error:
        found = str(error.strerror)
    if found == wanted:
        return file
    print(f"worker: the compiled network {file} is damaged, and not used", file=sys.stderr, flush=True)
    return None


def compile_apart(about: dict[str, Any], model: Model, limit_s: float = LIMIT_S) -> None:
    """Compile a model's network in another process (`worker.compile_network`), and keep it.

    Raises
    ------
    WorkerError
        There is no compiler, another job is at it, or compiling fails, takes too long, or has done so within a day.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise WorkerError(f"there is no C++ compiler `{compiler}`, which compiling the network takes")
    folder = _folder()
    folder.mkdir(mode=0o700, exist_ok=True)  # what is in it is run
    note = _note(about)
    failure = note.with_suffix(".failed.json")
    with _alone(note.with_suffix(".lock")):
        if kept(about):
            return
        if reason := _lately(failure):
            raise WorkerError(f"{reason} (within the last day: {failure})")
        remove_forgotten(folder)
        print("worker: the network is compiled first, once for this machine", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder) as scratch:
            try:
                made = _compiled(Path(scratch), model, int(about["threads"]), limit_s)
            except WorkerError as error:
                write_json(failure, {"reason": str(error)}, durable=False)
                raise
            found = sha256(made)
            made.replace(folder / f"{found}.pt2")
        write_json(note, {"about": about, "sha256": found}, durable=False)


def _compiled(scratch: Path, model: Model, threads: int, limit_s: float) -> Path:
    """Run the other process in a folder of its own; what it has compiled."""
    described, made, log = scratch / "model.json", scratch / "network.pt2", scratch / "log"
    checkpoint = {"bundled": model.checkpoint.bundled, "path": str(model.checkpoint.path or "") or None}
    content = {
        "name": model.name,
        "family": model.family,
        "checkpoint": checkpoint | {"sha256": model.checkpoint.sha256},
        "options": model.options,
        "dtype": model.dtype,
        "elements": model.elements and sorted(model.elements),
        "stress": model.stress,
    }
    write_json(described, content, durable=False)
    command = [sys.executable, "-P", "-m", "worker.compile_network", str(described), str(made), str(threads)]
    place = {"PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(scratch)}
    place["TORCHINDUCTOR_CACHE_DIR"] = str(scratch / "inductor")  # all that is kept of it is what it ends with
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=scratch, env=os.environ | place, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            process_group=0,
        )  # fmt: skip
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise WorkerError(f"compiling the network took more than {limit_s:.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code != 0 or not made.is_file():
        said = log.read_text(errors="replace").strip().splitlines()
        why = f"signal {-code}, as where memory runs out" if code < 0 else (said[-1] if said else f"exit code {code}")
        raise WorkerError(f"compiling the network failed: {why}")
    return made


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock, which the kernel lets go of with the process; nobody waits minutes for it."""
    with lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkerError("another job is compiling the network, which later jobs will use") from None
        yield


def _lately(failure: Path) -> str | None:
    """Why compiling failed within a day, if it did."""
    try:
        if time.time() - failure.stat().st_mtime < FORGOTTEN_S:
            return str(json.loads(failure.read_bytes())["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _folder() -> Path:
    return isolation.cache_folder() / FOLDER


def _note(about: dict[str, Any]) -> Path:
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return _folder() / f"{name}.json"
