"""One check from the import of the model to its findings."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from worker import accelerator, device, families, provenance
from worker import sample_structures as structures
from worker.check import agreement, gradients, memory, recorded_statuses, symmetries
from worker.check.measures import Deviation, ask_one
from worker.dispersion import dispersed
from worker.errors import WorkerError, sentence
from worker.probe import checkpoint_facts
from worker.session import dtypes_of, framework_of, import_family, load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ase import Atoms

    from worker.families.base import Potential
    from worker.job import Job, Model

GRADIENTS = (gradients.forces, gradients.stress)
SYMMETRIES = (
    symmetries.rotation,
    symmetries.translation,
    symmetries.permutation,
    symmetries.cell,
    symmetries.supercell,
    symmetries.box,
)

PAIR = "two molecules"


def check(job: Job, threads: int, *, quick: bool = False, answer_s: float | None = None) -> dict[str, Any]:
    """Load the model of a job and measure everything; JSON-ready.

    Parameters
    ----------
    quick
        Whether to ask about few structures, and in the model's own precision alone.
    answer_s
        Longest time in s that the first answer about each may take; the process then says where it is, and ends.

    Raises
    ------
    WorkerError
        It cannot be loaded.
    """
    begin = time.perf_counter()
    family = families.find_family(job.model.family)
    if job.model.dtype not in (known := dtypes_of(family, job.model)):
        raise WorkerError(f"{job.model.name} computes in {', '.join(known)}, not in {job.model.dtype}")
    framework = framework_of(family, job.model)
    lease = device.reserve(job, framework)  # kept until the process ends
    import_family(family)
    chosen = device.choose_device(job.device, framework, threads)
    plain = load_model(family, job.model, chosen)
    choice = accelerator.accelerate(family, job.model, plain, chosen.id, setting=job.accelerators)
    potential, used = dispersed(choice.potential, job.model), choice.name
    del plain
    loaded = time.perf_counter()

    def fresh() -> Potential:
        return dispersed(load_model(family, job.model, chosen), job.model)

    doubles = potential.dtype == "float32" and "float64" in known and not quick
    findings = {
        "facts": checkpoint_facts(potential),
        **measure(job.model, potential, fresh, few_slopes=doubles or quick, few_structures=quick, answer_s=answer_s),
    }
    if doubles:
        # the formulas themselves, without the noise of single precision; not beside the other, since some families
        # change the precision of the whole process
        del potential, choice
        gc.collect()
        double = dispersed(load_model(family, replace(job.model, dtype="float64"), chosen), job.model)
        given = _asked(job.model, double)
        findings["rows"] += [asdict(row) for row in _each(GRADIENTS, double, given)]
    return {
        **findings,
        "device": chosen.id,
        "device_name": chosen.name,
        "accelerator": used,
        "packages": provenance.packages(family.DISTRIBUTIONS),
        "load_s": round(loaded - begin, 2),
        "check_s": round(time.perf_counter() - loaded, 2),
        "gpu": lease.gpu if lease else None,
    }


def measure(
    model: Model,
    potential: Potential,
    fresh: Callable[[], Potential],
    *,
    few_slopes: bool = False,
    few_structures: bool = False,
    answer_s: float | None = None,
) -> dict[str, Any]:
    """Measure a loaded model.

    Parameters
    ----------
    model, potential
        What the catalogue says about the model, and the model.
    fresh
        Loads the model once more.
    few_slopes
        Take slopes of the energy, the slow part, of two structures only.
    few_structures
        Ask about a crystal, a slab and a molecule alone, as far as the model takes them.
    answer_s
        See `check`.

    Returns
    -------
    dict
        `rows` (see `Deviation`), `records` (see `recorded_statuses.recorded`), `changed_inputs`, and `deaf`, whether
        a charge that the model is said to read changes nothing; JSON-ready.
    """
    given = _asked(model, potential)
    if few_structures:
        given = {name: atoms for name, atoms in given.items() if name not in {"elemental", "compound"}}
    if answer_s is not None:
        _wait_for_each(potential, given, answer_s)
    sloped = {name: atoms for name, atoms in given.items() if not few_slopes or name in {"triclinic", "molecule"}}
    alone = {name: a for name, a in structures.extremes(known_to(model, potential)).items() if _takes(potential, a)}
    of_ions = {
        name: a for name, a in given.items() if name != PAIR
    }  # which of the two loses the electron is a hard case
    rows = [
        *_each(GRADIENTS, potential, sloped),
        *_each((*SYMMETRIES, agreement.calculator), potential, given),
        *_guarded("batch", "all", potential, lambda: agreement.batch(potential, given)),
        *_guarded("stale", "all", potential, lambda: memory.stale(potential, fresh, given)),
        *_guarded("sticky", "all", potential, lambda: memory.sticky(potential, fresh, of_ions)),
    ]
    return {
        "rows": [asdict(row) for row in rows],
        "records": recorded_statuses.recorded(model, potential, given | alone),
        "changed_inputs": agreement.changed_inputs(potential, given),
        "deaf": getattr(potential, "charge_is_a_word", False) and memory.is_deaf(potential, of_ions),
    }


def _wait_for_each(potential: Potential, given: dict[str, Atoms], answer_s: float) -> None:
    """Ask about each structure once, and end the process where an answer takes longer."""
    for name, atoms in given.items():
        print(f"worker.check: asked about {name}, {len(atoms)} atoms", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(answer_s, exit=True)
        with contextlib.suppress(Exception):  # other measures report it
            ask_one(potential, atoms)
        faulthandler.cancel_dump_traceback_later()


def _asked(model: Model, potential: Potential) -> dict[str, Atoms]:
    """Structures that a model is asked about: those that it takes; of molecules, two."""
    made = structures.structures_to_check(known_to(model, potential), charged=potential.takes_charge)
    taken = {name: atoms for name, atoms in made.items() if _takes(potential, atoms)}
    if len(taken) == 1 and "molecule" in taken:
        taken[PAIR] = structures.dimer(taken["molecule"])
    return taken


def _takes(potential: Potential, atoms: Atoms) -> bool:
    taken = getattr(potential, "periodicities", None)
    return taken is None or int(atoms.pbc.sum()) in taken


def known_to(model: Model, potential: Potential) -> frozenset[int] | None:
    """Atomic numbers that both the catalogue and the weights name; None if neither has a limit."""
    limits = [limit for limit in (model.elements, potential.elements) if limit is not None]
    return frozenset.intersection(*limits) if limits else None


def _each(
    measures: Iterable[Callable[..., list[Deviation]]], potential: Potential, given: dict[str, Atoms]
) -> list[Deviation]:
    rows = []
    for take in measures:
        for case, atoms in given.items():
            rows += _guarded(take.__name__, case, potential, partial(take, potential, case, atoms))
    return rows


def _guarded(name: str, case: str, potential: Potential, take: Callable[[], list[Deviation]]) -> list[Deviation]:
    """Take a measure; an error is a finding too, and the others go on."""
    try:
        return take()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        print(f"worker.check: {name}, {case}: {sentence(error)}", file=sys.stderr, flush=True)
        return [Deviation(name, case, "", None, dtype=potential.dtype, error=sentence(error))]
