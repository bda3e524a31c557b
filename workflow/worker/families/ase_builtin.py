"""ASE's own calculators, for the first minute and for tests, and a model that fails on purpose.

`emt` and `lj` need nothing but ASE. `faulty` is a Lennard-Jones potential that breaks in a way of your
choice, so that every failure of a real model can be rehearsed through the whole stack. Its options:

mode
    `evaluate` raises for a batch that holds a culprit; `nan` answers NaN for a culprit; `crash` kills the
    process; `sleep` waits for `seconds`; `oom` is out of memory if a batch that holds a culprit has more than
    `max_atoms` atoms (0 if not given); `memory` really takes `mb` megabytes; `load` fails to load.
only_element
    Symbol of the element that makes a structure a culprit. Without it every structure is one.
times
    How often to fail before behaving well. Without it always.
counter
    Absolute path of a file that counts failures, if `times` is to hold across processes.
gpu
    Hold a GPU as a model of a real framework would, whatever the mode, and compute on the CPU all the same. On a
    cluster, a job gets one where `resources` say so (`resources.<model>.gpu=1`).
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_numbers

from worker.device import PRETENDED
from worker.errors import WorkerError
from worker.families.base import Result, check_options, unknown_bundled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ()
IMPORTS = ("ase.calculators.emt", "ase.calculators.lj")
FRAMEWORK = None
DTYPES = ("float64",)
HOSTS = ()

LJ_OPTIONS = ("epsilon", "sigma", "rc", "ro", "smooth")
FAULT_OPTIONS = ("mode", "only_element", "times", "counter", "seconds", "max_atoms", "mb", "gpu")
MODES = ("evaluate", "nan", "crash", "sleep", "oom", "memory", "load")
FAULTY_LJ = {"epsilon": 0.1, "sigma": 2.2, "rc": 6.0}


@dataclass
class Builtin:
    """A potential made of an ASE calculator."""

    make: Callable[[], Calculator]
    cutoff_ang: float
    elements: frozenset[int] | None = None
    takes_charge: bool = False
    checkpoint_sha256: str | None = None
    dtype: str = "float64"
    gives_stress: bool = True
    conservative: bool = True

    def batch_atoms(self, device: str) -> int:  # noqa: ARG002 - there is only the CPU
        """Say how many atoms a batch should hold; batches only bound what a crash loses."""
        return 512

    def calculator(self) -> Calculator:
        """Return a fresh calculator."""
        return self.make()

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures one after the other."""
        results = []
        for atoms in batch:
            calculator = self.make()
            calculator.calculate(atoms, ["energy", "forces", "stress"])
            found = calculator.results
            results.append(Result(float(found["energy"]), found["forces"], found.get("stress")))
        return results


@dataclass
class Faulty(Builtin):
    """A potential that breaks as its options say."""

    options: dict[str, Any] = field(default_factory=dict)
    failed: int = 0

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Break, or evaluate."""
        culprits = [i for i, atoms in enumerate(batch) if self._is_culprit(atoms)]
        mode = self.options["mode"]
        fits = mode in {"oom", "crash"} and sum(map(len, batch)) <= self.options.get("max_atoms", 0)
        if not culprits or fits or not self._may_fail():
            return super().evaluate(batch)
        if mode == "evaluate":
            raise ValueError("this model fails on purpose")
        if mode == "oom":
            raise MemoryError("out of memory on purpose")
        if mode == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if mode == "memory":
            held = np.ones(int(self.options.get("mb", 1000)) * 131_072)  # a megabyte of float64
            time.sleep(3.0 * held[0])  # whoever watches looks now and then
        if mode == "sleep":
            time.sleep(self.options.get("seconds", 3600.0))
        results = super().evaluate(batch)
        if mode == "nan":
            for i in culprits:
                results[i] = Result(np.nan, results[i].forces_ev_per_ang, results[i].stress_ev_per_ang3)
        return results

    def fail_to_load(self) -> None:
        """Fail if loading is what should fail.

        Raises
        ------
        WorkerError
            It is, and has not failed often enough yet.
        """
        if self.options["mode"] == "load" and self._may_fail():
            raise WorkerError("this model fails to load on purpose")

    def _is_culprit(self, atoms: Atoms) -> bool:
        element = self.options.get("only_element")
        return self.options["mode"] != "load" and (element is None or element in atoms.symbols)

    def _may_fail(self) -> bool:
        """Count one failure if there are any left, before it happens: afterwards may be too late."""
        times, counter = self.options.get("times"), self.options.get("counter")
        if times is None:
            return True
        if counter and Path(counter).exists():
            self.failed = int(Path(counter).read_text())
        if self.failed >= times:
            return False
        self.failed += 1
        if counter:
            Path(counter).write_text(str(self.failed))
        return True


def framework(model: Model) -> str | None:
    """Return what a model computes with; only a faulty one can pretend to use a GPU."""
    return PRETENDED if model.checkpoint.bundled == "faulty" and model.options.get("gpu") else FRAMEWORK


def load(model: Model, device: str, dtype: str) -> Builtin:  # noqa: ARG001 - CPU and float64 only
    """Make one of the built-in potentials.

    Raises
    ------
    WorkerError
        There is no such potential or option, or loading is what should fail.
    """
    makers = {"emt": _emt, "lj": _lj, "faulty": _faulty}
    if model.checkpoint.bundled not in makers:
        raise unknown_bundled(model, makers)
    return makers[model.checkpoint.bundled](model)


def _emt(model: Model) -> Builtin:
    from ase.calculators import emt
    from ase.units import Bohr

    check_options(model, [])
    # as in `EMT._calc_cutoff`: the shells of the largest atom in the table, and half an Å of decay
    largest = max(row[1] for row in emt.parameters.values()) * Bohr
    cutoff = emt.beta * largest * 0.5 * (sqrt(3.0) + sqrt(4.0)) + 0.5
    return Builtin(emt.EMT, cutoff, frozenset(atomic_numbers[symbol] for symbol in emt.parameters))


def _lj(model: Model) -> Builtin:
    from ase.calculators.lj import LennardJones

    check_options(model, LJ_OPTIONS)
    return Builtin(lambda: LennardJones(**model.options), float(LennardJones(**model.options).parameters["rc"]))


def _faulty(model: Model) -> Builtin:
    from ase.calculators.lj import LennardJones

    check_options(model, FAULT_OPTIONS)
    if model.options.get("mode") not in MODES:
        raise WorkerError(f"{model.name}: mode must be one of {', '.join(MODES)}")
    potential = Faulty(lambda: LennardJones(**FAULTY_LJ), FAULTY_LJ["rc"], options=model.options)
    potential.fail_to_load()
    return potential
