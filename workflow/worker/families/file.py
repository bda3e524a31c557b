"""A family in one file of a user's own: any ASE calculator, asked so that nothing that it keeps or changes can matter.

The checkpoint is a folder that the host has made (`mira_cli.own_files.kept`): `declared.json`, what the file says of
itself, and `model/`, the file with what it opens. The code is imported here, inside its image, and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import sys
import traceback
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from worker import isolation
from worker.errors import WorkerError, sentence
from worker.families.base import Result, check_options
from worker.prepare import PERIODIC
from worker.private import private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from worker.job import Model

DISTRIBUTIONS = ()
IMPORTS = ("ase.calculators.calculator",)
FRAMEWORK = None  # each file has its own: `framework`
DTYPES = ("float64", "float32")
HOSTS = ()

FUNCTION = "calculator"
NO_BOX_ANG = 6.0  # where no structure needs a box: the method has no cutoff, or takes molecules as they are
ASYMMETRY = 1e-3  # of a stress, as a share of its largest component


def declared(model: Model) -> dict[str, Any]:
    """Return what the file says of itself.

    Raises
    ------
    WorkerError
        The folder is none that the host has made.
    """
    try:
        said: dict[str, Any] = json.loads((model.checkpoint.path or Path()).joinpath("declared.json").read_bytes())
    except (OSError, ValueError) as error:
        raise WorkerError(f"{model.name}: {model.checkpoint.path} holds no family in a file ({error})") from error
    return said


def framework(model: Model) -> str | None:
    """Return what the file computes with on a GPU; None if it knows none."""
    named: str | None = declared(model)["framework"]
    return named


def dtypes(model: Model) -> tuple[str, ...]:
    """Return the precisions that the file knows."""
    return tuple(declared(model)["dtypes"])


def _periodicities(said: dict[str, Any]) -> frozenset[int]:
    """In how many directions a structure may be periodic.

    Without a cutoff nothing says how large a box for what is not a crystal must be.
    """
    if said["pbc"] == "none":
        return frozenset({0})
    if said["cutoff_ang"] is not None:
        return frozenset(range(4))
    return frozenset({0, 3}) if said["pbc"] == "none|full" else frozenset({3})


@dataclass(eq=False)
class InFile:
    """What a file computes with, loaded."""

    make: Callable[[], Any]  # a calculator of the file's
    said: dict[str, Any]
    checkpoint_sha256: str | None
    dtype: str
    scratch: Path  # the current folder of its code
    kept: Any = None
    pid: int = field(default_factory=os.getpid)
    elements: frozenset[int] | None = None  # the host knows

    @property
    def cutoff_ang(self) -> float:
        """The farthest distance in Å at which two atoms interact directly, as the file says."""
        return float(self.said["cutoff_ang"] or NO_BOX_ANG)

    @property
    def takes_charge(self) -> bool:
        """Whether the file says that it reads a charge."""
        return "charge" in self.said["reads"]

    @property
    def charge_is_a_word(self) -> bool:
        """Whether it is for the check to find out if it does."""
        return self.takes_charge

    @property
    def gives_stress(self) -> bool:
        """Whether the file says that crystals have a stress."""
        return bool(self.said["stress"])

    @property
    def conservative(self) -> bool:
        """Whether the file says that forces are the gradient of the energy."""
        return bool(self.said["conservative"])

    @property
    def periodicities(self) -> frozenset[int]:
        """In how many directions a structure may be periodic."""
        return _periodicities(self.said)

    def batch_atoms(self, device: str) -> int:  # noqa: ARG002 - structures are computed one by one
        """Say how many atoms a batch should hold; batches only bound what a crash loses."""
        return 128

    def calculator(self) -> Calculator:
        """Return one that asks for energy, forces and stress one after the other, as users of ASE do."""
        return OneByOne(self)

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures one after the other."""
        return [self._result(atoms) for atoms in batch]

    def new(self) -> Any:
        """Make a calculator; a process that its code has forked ends there."""
        with self.guarded():
            made = self.make()
        if not callable(getattr(made, "calculate", None)) or not isinstance(getattr(made, "results", None), dict):
            raise WorkerError(f"`{self.said['file']}`: `{FUNCTION}` returned {type(made).__name__}, no ASE calculator")
        return made

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Let the file's code run: in a folder of its own, where what it writes stays; its end is not the worker's."""
        with contextlib.chdir(self.scratch):
            try:
                yield
            except SystemExit as error:
                said = f": {error.code}" if isinstance(error.code, str) else ""
                raise RuntimeError(f"the code of the file wants to end the process{said}") from error
            finally:
                if os.getpid() != self.pid:  # a child that it has forked: there must be one worker alone
                    os._exit(1)

    def _result(self, atoms: Atoms) -> Result:
        if self.kept is None or self.said["fresh"]:
            self.kept = self.new()
        calculator = self.kept
        calculator.reset()
        wants_stress = self.gives_stress and any(atoms.info.get(PERIODIC, (True,)))
        wanted = ["energy", "forces", *(["stress"] if wants_stress else [])]
        with self.guarded():
            calculator.calculate(self.given(atoms), wanted, all_changes)
            found = dict(calculator.results)
        if missing := [name for name in wanted if found.get(name) is None]:
            raise RuntimeError(f"the calculator answers without {' and '.join(missing)}")
        energy = _real("energy", found["energy"])
        stress = _voigt(_real("stress", found["stress"])) if wants_stress else None
        return Result(energy.item() if energy.size == 1 else np.nan, _real("forces", found["forces"]), stress)

    def given(self, atoms: Atoms) -> Atoms:
        """Copy a prepared structure as the calculator gets it: a molecule as one, charge and spin always said.

        Where they are said: `info["charge"]` and `info["spin"]` (2S+1), and as sums of initial charges and magnetic
        moments. A structure that names no spin has the lowest that its electrons allow.
        """
        as_it_is = self.said["pbc"] != "full" and not any(atoms.info.get(PERIODIC, (True,)))
        where = {} if as_it_is else {"cell": atoms.cell.array.copy(), "pbc": True}
        copy = Atoms(numbers=atoms.numbers.copy(), positions=atoms.positions.copy(), **where)
        if self.takes_charge:
            charge = atoms.info.get("charge") or 0
            lowest = 1 + round(int(copy.numbers.sum()) - charge) % 2
            spin = atoms.info.get("spin") or lowest
            copy.info = {"charge": _whole(charge), "spin": _whole(spin)}
            rest = [0.0] * (len(copy) - 1)
            copy.set_initial_charges([charge, *rest])
            if "spin" in self.said["reads"]:
                copy.set_initial_magnetic_moments([spin - 1, *rest])
        return copy


class OneByOne(Calculator):
    """A calculator of the file's behind ASE's own way to ask it: for one property, and then for the next."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012 - as ASE has it

    def __init__(self, potential: InFile) -> None:
        Calculator.__init__(self)
        self._potential, self._own = potential, potential.new()

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:  # noqa: ARG002
        """Ask for one property after the other, whatever is asked for."""
        if self._potential.said["fresh"]:
            self._own = self._potential.new()
        self._own.reset()  # as MIRA does: methods that begin with the last density err by what they converge to
        given = self._potential.given(atoms)
        given.calc = self._own
        with self._potential.guarded():
            self.results = {"energy": float(given.get_potential_energy()), "forces": given.get_forces()}
            if self._potential.gives_stress and given.pbc.any():
                self.results["stress"] = given.get_stress()


def _whole(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _real(name: str, values: Any) -> NDArray[np.float64]:
    """Copy of an answer as float64; raises `ValueError` where it holds anything but real numbers."""
    array = np.array(values)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"the calculator's {name} is of type {array.dtype}, not of real numbers")
    return array.astype(np.float64)


def _voigt(stress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stress as xx yy zz yz xz xy; raises `ValueError` for a tensor that is not symmetric."""
    if stress.shape != (3, 3):
        return stress
    if np.abs(stress - stress.T).max() > ASYMMETRY * np.abs(stress).max():
        raise ValueError("the calculator's stress is not symmetric")
    voigt: NDArray[np.float64] = full_3x3_to_voigt_6_stress(stress)
    return voigt


def load(model: Model, device: str, dtype: str) -> InFile:
    """Import a file and make its calculator.

    Raises
    ------
    WorkerError
        It cannot be imported, or its function fails.
    """
    said = declared(model)
    check_options(model, said["options"])
    assert model.checkpoint.path is not None
    code = model.checkpoint.path / "model"
    if said["files"]:
        code = _linked(code)
    scratch = private_folder(isolation.cache_folder())
    potential = InFile(lambda: None, said, model.checkpoint.sha256, dtype, scratch)
    try:
        with potential.guarded():
            module = _imported(code / said["file"])
            potential.make = partial(getattr(module, FUNCTION), device, dtype, **model.options)
    except (Exception, SystemExit) as error:
        traceback.print_exc(file=sys.stderr)
        lacks = isinstance(error, ImportError)
        then = ": name what it imports in its dependencies, and lock it again" if lacks else ""
        why = f"`{said['file']}` cannot be imported in its environment ({sentence(error)}){then}"
        raise WorkerError(why) from error
    try:
        potential.kept = potential.new()
    except WorkerError:
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        raise WorkerError(f"`{FUNCTION}` in `{said['file']}` fails ({sentence(error)})") from error
    return potential


def _imported(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location("mira_file", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mira_file"] = module  # where dataclasses and pickle look for it
    spec.loader.exec_module(module)
    return module


def _linked(code: Path) -> Path:
    """The same files in a folder that stays: some calculators open theirs when they first compute."""
    target = private_folder(isolation.cache_folder()) / "model"

    def link(source: str, copy: str) -> None:
        try:
            os.link(source, copy)
        except OSError:
            shutil.copyfile(source, copy)

    shutil.copytree(code, target, copy_function=link)
    return target
