"""Faster networks, each used only where it answers as the plain one does.

A family may have several ways to compute one model: kernels of another package on GPUs, its own convolution on CPUs.
What they promise does not count. Both networks are asked about a few small structures, and where they differ by more
than rounding, the plain one is used and the log says why. Since no number changes, what was used is not in a record's
key; each attempt says it. Where the same trial has gone well before (`worker.trials`), the faster one is used at once.

A kernel can also take the process with it. So a trial is written down before it begins, and whoever finds the note of
one that never ended does without.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import sys
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from worker import trials
from worker.atomic import write_json
from worker.beyond import beyond
from worker.errors import WorkerError, sentence
from worker.failures import Failure, kind_of, release_memory
from worker.prepare import prepare_structure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from worker.families.base import Family, Potential, Result
    from worker.job import Model
    from worker.prepare import Prepared

FUSED = "fused convolution"
# kernels for GPUs: what computes, and the distribution that has the version
KERNELS = {
    "FlashTP": ("flashTP_e3nn", "flashTP_e3nn"),
    "OpenEquivariance": ("openequivariance", "openequivariance"),
    "cuequivariance": ("cuequivariance_ops_torch", "cuequivariance-torch"),
}
# a crystal, one without any symmetry, and a molecule: three structures of `worker.check`, together in one batch
ASKED = ("compound", "triclinic", "molecule")
# How far two answers may be apart: what is always allowed, and the share of the size that is. Networks that compute the
# same in another order were off by at most 1e-7 eV/atom, 2e-6 eV/Å and 1e-7 eV/Å³ in single precision.
ALLOWED = {
    "float32": {"energy": (5e-6, 1e-6), "forces": (5e-5, 2e-5), "stress": (2e-6, 2e-5)},
    "float64": {"energy": (1e-8, 1e-8), "forces": (1e-7, 1e-7), "stress": (1e-9, 1e-7)},
}
UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å³"}
NOTE = "accelerator.json"


@dataclass(frozen=True, eq=False)
class Offer:
    """A faster way to compute a model that is loaded.

    Attributes
    ----------
    name
        As records have it, with a version.
    make
        Makes the faster potential. It leaves the plain one as it is, and raises where it cannot.
    module
        What must be importable for it.
    repaid_atoms
        Atoms in a job from which on making it is worth its time.
    prepare
        What takes minutes before it can be made, in another process; it raises where that fails. Only long jobs wait
        for it, and who says `on`.
    by_size
        Whether what it answers could depend on how much is asked: it is then tried with more batches.
    """

    name: str
    make: Callable[[], Any]  # a `Potential`, which families keep to without a word
    module: str | None = None
    repaid_atoms: int = 0
    prepare: Callable[[], None] | None = None
    by_size: bool = False


@dataclass(frozen=True, eq=False)
class Accelerated:
    """What a model is computed with.

    Attributes
    ----------
    potential
        The faster one, or the plain one.
    name
        The accelerator in use; None for the plain potential.
    refused
        Accelerators that were tried first, and why each is not used.
    """

    potential: Potential
    name: str | None = None
    refused: dict[str, str] = field(default_factory=dict)


def kernels(usable: dict[str, Callable[[], Any]], repaid_atoms: int) -> list[Offer]:
    """Offer those kernels for GPUs that are installed, the ones that someone must have added on purpose first.

    Parameters
    ----------
    usable
        Names of `KERNELS` that the family can compute with, and what makes the potential.
    repaid_atoms
        See `Offer`.
    """
    offers = []
    for kernel, (module, distribution) in KERNELS.items():
        if kernel in usable and importlib.util.find_spec(module):
            try:
                name = f"{kernel} {version(distribution)}"
            except PackageNotFoundError:  # built from source
                name = kernel
            offers.append(Offer(name, usable[kernel], module, repaid_atoms))
    return offers


def require(network: Any, kernel: str) -> None:
    """Make sure that a network has parts of a kernel: packages go on without where they cannot convert one.

    Raises
    ------
    WorkerError
        It has none.
    """
    if not any(type(part).__module__.lower().startswith(kernel.lower()) for part in network.modules()):
        raise WorkerError(f"the family's package made a network without {kernel}")


def accelerate(
    family: Family,
    model: Model,
    potential: Potential,
    device: str,
    *,
    setting: str = "auto",
    atoms: int | None = None,
    folder: Path | None = None,
    surroundings: dict[str, Any] | None = None,
) -> Accelerated:
    """Find the fastest way to compute a model that answers as the plain one does.

    Parameters
    ----------
    family, model, potential
        The model, plainly loaded.
    device
        `cpu` or `cuda:0`.
    setting
        `auto`: where the work repays it; `on`: wherever there is one; `off`: never.
    atoms
        Atoms that wait to be evaluated; None where that does not matter.
    folder
        Where trials are written down; None for nowhere.
    surroundings
        What their outcome depends on beside the model (`worker.trials`); None if each is to be made again.

    Raises
    ------
    WorkerError
        The GPU is lost: this process can compute nothing more, the next one can, and does without.
    """
    offers = _offers(family, model, potential, device) if setting != "off" else []
    if setting == "auto":
        offers = [offer for offer in offers if _is_repaid(offer, atoms)]
    if not offers:
        return Accelerated(potential)
    note = folder / NOTE if folder else None
    about = None
    if surroundings is not None and potential.checkpoint_sha256 is not None:
        about = {**surroundings, **_about(model, potential)}
    asked = _Asked(cache(partial(structures_asked, model, potential)), cache(partial(_of_all_sizes, model, potential)))
    return _first_that_agrees(offers, potential, asked, note, about)


def _offers(family: Family, model: Model, potential: Potential, device: str) -> list[Offer]:
    compiled_of, offers_of = getattr(family, "compiled", None), getattr(family, "accelerators", None)
    compiled: list[Offer] = compiled_of(model, potential, device) if compiled_of else []
    return [*compiled, *(offers_of(potential, device) if offers_of else [])]


def _is_repaid(offer: Offer, atoms: int | None) -> bool:
    return offer.prepare is None if atoms is None else offer.repaid_atoms <= atoms


def _about(model: Model, potential: Potential) -> dict[str, Any]:
    """What of a model the outcome of a trial depends on, JSON-ready."""
    return {
        "family": model.family,
        "checkpoint": potential.checkpoint_sha256,
        "options": model.options,
        "dtype": potential.dtype,
        "elements": [sorted(known) for known in (model.elements, potential.elements) if known is not None],
    }


@dataclass(frozen=True, eq=False)
class _Asked:
    """What both networks are asked about: one batch, or also those of `Offer.by_size`; made when it is needed."""

    batch: Callable[[], list[Prepared]]
    of_all_sizes: Callable[[], list[list[Prepared]]]

    def by(self, offer: Offer) -> list[list[Prepared]]:
        return [self.batch(), *(self.of_all_sizes() if offer.by_size else [])]


def structures_asked(model: Model, potential: Potential) -> list[Prepared]:
    """Make the structures of `ASKED`, of elements that a model knows."""
    from worker.sample_structures import structures_to_check as structures_of  # makes ASE import what few jobs need

    given = structures_of(_known(model, potential), charged=potential.takes_charge)
    return [prepare_structure(given[name], potential.cutoff_ang) for name in ASKED]


def _known(model: Model, potential: Potential) -> frozenset[int] | None:
    """Elements that both the catalogue and the weights know; None if neither says."""
    limits = [limit for limit in (model.elements, potential.elements) if limit is not None]
    return frozenset.intersection(*limits) if limits else None


def _of_all_sizes(model: Model, potential: Potential) -> list[list[Prepared]]:
    """Batches: an atom without neighbours, two of these, a pair, a large crystal, and many structures."""
    from ase import Atoms

    crystal, *others = structures_asked(model, potential)
    z = min(_known(model, potential) or {1})
    atom = prepare_structure(Atoms([z]), potential.cutoff_ang)
    pair = prepare_structure(Atoms([z, z], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), potential.cutoff_ang)
    large = prepare_structure(crystal.atoms * (2, 2, 2), potential.cutoff_ang)
    return [[atom], [atom, atom], [pair], [large], [crystal, *others, atom, large, *others, pair, crystal]]


def _first_that_agrees(
    offers: list[Offer],
    plain: Potential,
    asked: _Asked,
    note: Path | None,
    about: dict[str, Any] | None,
) -> Accelerated:
    refused: dict[str, str] = {}
    fatal = _noted(note)
    for offer in offers:
        if offer.name in fatal:
            reason: str | None = "an earlier attempt ended while it was tried"
        elif (reason := _unprepared(offer)) is None:
            _write_down(note, [*fatal, offer.name])
            trial = about and {**about, "accelerator": offer.name}
            known = trial is not None and trials.went_well(trial)
            # where the process does not survive this, the note stays
            fast, reason = _tried(offer, plain, [] if known else asked.by(offer))
            _write_down(note, fatal)
            if fast is not None:
                if trial and not known:
                    trials.remember(trial)
                return Accelerated(fast, offer.name, refused)
        refused[offer.name] = str(reason)
        print(f"worker: {offer.name} is not used: {reason}", file=sys.stderr, flush=True)
        release_memory()
    return Accelerated(plain, None, refused)


def _unprepared(offer: Offer) -> str | None:
    """Prepare what is offered, before its trial is written down: a job may well be stopped meanwhile."""
    try:
        if offer.prepare:
            offer.prepare()
    except Exception as error:  # noqa: BLE001 - whatever it is, there is the plain network
        return _words(error)
    return None


def _tried(offer: Offer, plain: Potential, asked: list[list[Prepared]]) -> tuple[Potential | None, str | None]:
    """Make what is offered and ask both, where there is something to ask; the potential if it is good, else why not."""
    try:
        expected = [_answers(plain, batch) for batch in asked]
        fast = _made(offer)
        differences = (
            difference(answers, _answers(fast, batch), batch, plain.dtype)
            for answers, batch in zip(expected, asked, strict=True)
        )
        reason = next(filter(None, differences), None)
    except Exception as error:
        if kind_of(error) is Failure.DEVICE_LOST:
            raise WorkerError(
                f"the GPU failed while {offer.name} was tried, a restart goes on without it: {sentence(error)}"
            ) from error
        return None, _words(error)
    return (None, reason) if reason else (fast, None)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, WorkerError) else sentence(error)


def _made(offer: Offer) -> Potential:
    with contextlib.redirect_stdout(sys.stderr):  # packages talk about conversions
        if offer.module:
            importlib.import_module(offer.module)
        faster: Potential = offer.make()
        return faster


def _answers(potential: Potential, asked: list[Prepared]) -> list[Result]:
    return potential.evaluate([prepared.atoms for prepared in asked])


def difference(plain: Sequence[Result], fast: Sequence[Result], asked: Sequence[Prepared], dtype: str) -> str | None:
    """Say in what two potentials differ by more than rounding; None if in nothing.

    Parameters
    ----------
    plain, fast
        Their answers.
    asked
        What both were asked about.
    dtype
        Precision that they compute in.
    """
    if len(fast) != len(plain):
        return f"{len(fast)} answers for {len(plain)} structures"
    for a, b, prepared in zip(plain, fast, asked, strict=True):
        n_atoms = len(prepared.atoms)
        pairs: dict[str, tuple[Any, Any]] = {
            "energy": (np.float64(a.energy_ev) / n_atoms, np.float64(b.energy_ev) / n_atoms),
            "forces": (a.forces_ev_per_ang, b.forces_ev_per_ang),
        }
        if prepared.periodic_3d and a.stress_ev_per_ang3 is not None:
            pairs["stress"] = (a.stress_ev_per_ang3, b.stress_ev_per_ang3)
        for quantity, (expected, found) in pairs.items():
            floor, share = ALLOWED[dtype][quantity]
            if np.shape(expected) != np.shape(found):
                return f"{quantity} of shape {np.shape(found)} instead of {np.shape(expected)}"
            off, allowed = np.abs(expected - found).max(), floor + share * np.abs(expected).max()
            if not off <= allowed:  # nan is not
                unit, formula = UNITS[quantity], prepared.atoms.get_chemical_formula()
                limit = f"{allowed:.2g}"
                told = beyond(off, float(limit))
                return f"{quantity} off by {told} {unit} in {formula}, where {limit} is allowed"
    return None


def _noted(note: Path | None) -> list[str]:
    """Names of accelerators that an earlier process did not survive the trial of."""
    try:
        return [str(name) for name in json.loads(note.read_bytes())["tried"]] if note else []
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is damaged
        return []


def _write_down(note: Path | None, names: list[str]) -> None:
    if note and names:
        write_json(note, {"tried": names}, durable=False)
    elif note:
        note.unlink(missing_ok=True)
