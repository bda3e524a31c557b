"""One attempt at one job, from the lock on its records to `done.json`."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import time
import traceback
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from worker import accelerator, device, families, provenance, tasks, trials
from worker.ask_warm import ask_warm
from worker.atomic import write_json
from worker.batching import Budget, budget_for
from worker.contract import Finished
from worker.dispersion import DISTRIBUTION, dispersed
from worker.errors import WorkerError, sentence
from worker.evaluate import evaluate_all
from worker.failures import release_memory
from worker.first_task import FirstTask
from worker.journal import CONDEMNED, Journal
from worker.late_imports import ASE, late_imports
from worker.memory import max_rss_mb, room
from worker.progress import StoryProgress
from worker.records import RecordFiles, records_locked
from worker.structures import read_structures
from worker.under_way import FOLDER, UnderWay
from worker.weights import private_copy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from worker.accelerator import Accelerated
    from worker.device import Device
    from worker.families.base import Family, Potential
    from worker.gpu import Lease
    from worker.job import Job, Model
    from worker.stopping import Stop
    from worker.structures import Structure


def run_session(job: Job, folder: Path, done: Path, *, threads: int, network: str, stop: Stop) -> int:
    """Give every structure of a job its record.

    Parameters
    ----------
    job
        What to compute.
    folder
        Where the records are; if another worker is at it, its end is waited for.
    done
        The file that says that the job is done.
    threads, network
        For the attempt's line.
    stop
        Whether to stop early.

    Returns
    -------
    int
        0, or 128 + the signal's number if the worker was told to stop before the end.

    Raises
    ------
    WorkerError
        The job cannot go on; what is recorded stays.
    OSError
        The disk is full; what is recorded stays.
    """
    structures = read_structures(job.sources)
    task = tasks.find_task(job.task)
    tasks.check(job.task, job.settings, job.task_version, job.values)
    first: FirstTask | None = None
    folder, done = folder.absolute(), done.absolute()
    with records_locked(folder, stop):
        started = provenance.utc_now()
        # what libraries drop where they are (CHGNet a .cif of a structure that it cannot handle) stays here
        os.chdir(folder)
        records = RecordFiles(folder, job.values or task.VALUES, task.ARRAYS, needed={*task.VALUES} - {*task.OPTIONAL})
        journal = Journal(folder, records.ledger.statuses)
        stop.before_leaving = journal.close_for_good
        peak_gpu_mb, why_left = None, None
        try:
            _record_condemned(structures, records, journal)
            todo = [s for s in structures if s.hash not in records.ledger.statuses]
            if todo and job.warm:  # it is not asked about what may have ended a worker before
                innocent = [s for s in todo if s.hash not in journal.suspects]
                why_left = ask_warm(innocent, job.warm, records, stop.requested) or "a worker has died of what is left"
            elif todo:
                if job.begins_with:
                    first = FirstTask(job.begins_with, folder, [s.hash for s in todo])
                peak_gpu_mb = _attempt(job, todo, folder, records, journal, first, started, threads, network, stop)
            journal.close()
        except OSError:
            journal.close()  # the disk is full: no structure is to blame
            raise
        finally:
            records.close()
            if first:
                first.close()
        left = sum(s.hash not in records.ledger.statuses for s in structures)
        if left and (stop.requested.is_set() or not job.warm):
            return stop.exit_code
        summary = _summary(job, structures, records, started, peak_gpu_mb)
        if job.warm:  # what it leaves, another plan gives to a worker of the run's own
            summary |= {"warm": job.warm.address, "left": left, "why_left": why_left if left else None}
            summary["peak_rss_mb"] = None  # of the process that evaluates, it is not known
        write_json(done, summary, durable=True)
    return 0


def _record_condemned(structures: list[Structure], records: RecordFiles, journal: Journal) -> None:
    condemned = [s for s in structures if s.hash in journal.condemned()]
    if condemned:
        records.append([Finished(s, CONDEMNED) for s in condemned], max_rss_mb=max_rss_mb())
        journal.land(s.hash for s in condemned)


def _attempt(
    job: Job,
    todo: list[Structure],
    folder: Path,
    records: RecordFiles,
    journal: Journal,
    first: FirstTask | None,
    started: str,
    threads: int,
    network: str,
    stop: Stop,
) -> float | None:
    """Load the model and evaluate what is left; return the peak of GPU memory in MB, None on a CPU."""
    task = tasks.find_task(job.task)
    queued_atoms = sum(structure.n_atoms for structure in todo)
    loaded = load_for_job(job, threads=threads, atoms=queued_atoms, folder=folder, imports=getattr(task, "IMPORTS", ()))
    potential, chosen = loaded.potential, loaded.device
    attempt = attempt_of(job, loaded, started=started, threads=threads, network=network)
    records.append_attempt(attempt)
    if first:
        first.append_attempt(attempt)
    if job.batch_atoms:
        budget = Budget(job.batch_atoms, job.batch_atoms)
    else:
        budget = budget_for(
            potential.batch_atoms(chosen.id),
            queued_atoms,
            device=chosen.id,
            compiles_by_shape=getattr(potential, "compiles_by_shape", False),
            fatal_atoms=journal.fell_atoms,
        )
    under_way = UnderWay(folder.parent / FOLDER)  # not the job's: the rest of a plan may be another's
    under_way.forget(records.ledger.statuses)
    evaluate_all(
        todo,
        lambda one: first.steps(one, task, job.settings) if first else task.steps(one.atoms(), job.settings),
        budget,
        job.model,
        potential,
        records=records,
        journal=journal,
        stop=stop.requested,
        fitting=room(chosen, job.memory_mb).fitting,
        ahead=chosen.id != "cpu",  # there, the cores have no time left
        under_way=under_way,
        progress=StoryProgress(folder / "progress.json"),
        reached=first.record if first else lambda _: None,
    )
    return device.peak_gpu_mb(chosen)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A job's model, ready to be asked, and how it came to be: times in seconds; the lease holds its GPU."""

    family: Family
    potential: Potential
    device: Device
    choice: Accelerated
    lease: Lease | None
    import_s: float
    load_s: float


def load_for_job(job: Job, *, threads: int, atoms: int | None, folder: Path, imports: Iterable[str] = ()) -> Loaded:
    """Take a device, import what computes, and load the model in the fastest way that agrees with the plain one.

    Parameters
    ----------
    atoms
        Atoms that wait to be evaluated; None where that does not matter.
    folder
        Where trials of accelerators are written down.
    imports
        What else is imported.

    Raises
    ------
    WorkerError
        The model cannot be loaded, or not on the device, or not in the precision that the job says.
    """
    family = families.find_family(job.model.family)
    if job.model.dtype not in (known := dtypes_of(family, job.model)):
        can = ", ".join(known)
        raise WorkerError(f"{job.model.name} computes in {can}, not in {job.model.dtype}")
    framework = framework_of(family, job.model)
    lease = device.reserve(job, framework)
    begin = time.perf_counter()
    import_family(family)
    import_modules(imports)
    chosen = device.choose_device(job.device, framework, threads)
    if lease and chosen.id == "cpu":
        lease.release()
        lease = None
    imported = time.perf_counter()
    choice = accelerator.accelerate(
        family,
        job.model,
        load_model(family, job.model, chosen),
        chosen.id,
        setting=job.accelerators,
        atoms=atoms,
        folder=folder,
        surroundings=trials.surroundings(job, chosen, threads, family.DISTRIBUTIONS),
    )
    potential = dispersed(choice.potential, job.model)
    release_memory()  # of the network that is not used
    return Loaded(family, potential, chosen, choice, lease, imported - begin, time.perf_counter() - imported)


def attempt_of(job: Job, loaded: Loaded, *, started: str, threads: int, network: str) -> dict[str, Any]:
    """Describe where and with what a loaded model computes, JSON-ready."""
    added = [DISTRIBUTION] if job.model.added_dispersion else []
    return provenance.attempt(
        job,
        started=started,
        device=loaded.device,
        distributions=(*loaded.family.DISTRIBUTIONS, *added),
        checkpoint_sha256=loaded.potential.checkpoint_sha256,
        dtype=loaded.potential.dtype,
        threads=threads,
        import_s=loaded.import_s,
        load_s=loaded.load_s,
        network=network,
        accelerator=loaded.choice.name,
        refused=loaded.choice.refused,
    )


def framework_of(family: Family, model: Model) -> str | None:
    """Return what a model computes with: the family's framework, unless the family says it model by model."""
    of_model = getattr(family, "framework", None)
    return of_model(model) if of_model else family.FRAMEWORK


def dtypes_of(family: Family, model: Model) -> tuple[str, ...]:
    """Return the precisions that a model computes in: the family's, unless the family says it model by model."""
    of_model = getattr(family, "dtypes", None)
    return tuple(of_model(model)) if of_model else family.DTYPES


def import_family(family: Family) -> None:
    """Import what a family computes with; raise `WorkerError` where the image lacks it."""
    importing = getattr(family, "importing", nullcontext)
    gc.disable()  # what is imported stays: to look for what could go takes a twelfth of the time, now and later
    try:
        with late_imports(ASE):
            import_modules(family.IMPORTS[:1])
            with importing():
                import_modules(family.IMPORTS[1:])
    finally:
        gc.freeze()
        gc.enable()


def import_modules(names: Iterable[str]) -> None:
    """Import what is computed with; raise `WorkerError` where the image lacks it."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise WorkerError(f"this image cannot import {name}: {sentence(error)}") from error


def load_model(family: Family, model: Model, chosen: Device) -> Potential:
    """Load a model, after making sure that its weights are those that were asked for.

    Raises
    ------
    WorkerError
        It cannot be loaded, or its checkpoint is another one than the plan, or the family for its package, knows.
    """
    of_package = getattr(family, "bundled", None) if model.checkpoint.path is None else None
    place, wanted = of_package(model) if of_package else (model.checkpoint.path, model.checkpoint.sha256)
    if place is None:
        return _loaded(family, model, chosen)
    with private_copy(place, model.name) as copy:
        if wanted not in (None, copy.sha256):
            of_others = f"is not the file that {family.DISTRIBUTIONS[0]} was published with; build the image again"
            raise WorkerError(f"{model.name}: {place} {of_others if of_package else _changed(place)}")
        try:
            return _loaded(family, replace(model, checkpoint=copy), chosen)
        except WorkerError as error:  # in which users find their own file
            raise WorkerError(str(error).replace(str(copy.path), str(place)), code=error.code) from error


def _changed(place: Path) -> str:
    lost = next((path for path in place.rglob("*") if path.is_symlink() and not path.exists()), None)
    if lost:  # a container shows what is in a folder, and not what its links lead to
        return f"holds a link to what is not visible here, {lost.relative_to(place)}; put a copy in its place"
    return "has changed since the run was planned"


def _loaded(family: Family, model: Model, chosen: Device) -> Potential:
    try:
        return family.load(model, chosen.id, model.dtype)
    except WorkerError:
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stderr)  # unforeseen, so the log should hold all there is
        raise WorkerError(f"{model.name} cannot be loaded ({sentence(error)})") from error


def _summary(
    job: Job, structures: list[Structure], records: RecordFiles, started: str, peak_gpu_mb: float | None
) -> dict[str, Any]:
    """Sum up a job; times in seconds over all attempts, rates only where something was evaluated."""
    ledger = records.ledger
    last = ledger.attempts[-1] if ledger.attempts else {}
    seconds = ledger.evaluate_s
    return {
        "job": job.id,
        "model": job.model.name,
        "counts": dict(Counter(ledger.statuses[s.hash] for s in structures if s.hash in ledger.statuses)),
        "structures": len(structures),
        "started": ledger.attempts[0]["started"] if ledger.attempts else started,
        "finished": provenance.utc_now(),
        "import_s": last.get("import_s"),
        "load_s": last.get("load_s"),
        "evaluate_s": round(seconds, 3),
        "structures_per_s": round(ledger.evaluated / seconds, 3) if seconds else None,
        "atoms_per_s": round(ledger.evaluated_atoms / seconds, 3) if seconds else None,
        "peak_rss_mb": max_rss_mb(),
        "peak_gpu_mb": peak_gpu_mb,
        "attempts": len(ledger.attempts),
    }
