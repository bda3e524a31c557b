"""MatGL: M3GNet, TensorNet, CHGNet, QET and SO3Net potentials, published or trained by users."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa

from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights
from worker.late_imports import TORCH_GEOMETRIC, late_imports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("matgl", "pymatgen", "torch-geometric", "torch")
IMPORTS = ("torch", "matgl.ext.ase")
FRAMEWORK = "torch"
DTYPES = ("float32", "float64")
HOSTS = ("huggingface.co",)

FILES = ("model.json", "model.pt", "state.pt")
ORGANISATION = "materialyze"
# what is trained with, and a table that the package's own dynamics writes (`worker.late_imports`)
LATE = {**TORCH_GEOMETRIC, "matgl": (".utils.training",), "matgl.ext.ase": ("pandas",)}
# peak memory of a dense solid in MB an atom, at an architecture's default size and in single precision;
# CHGNet's rises with the size of the batch, of which it compares all short bonds with each other
MB_PER_ATOM = {"M3GNet": 2.5, "TensorNet": 4.5, "QET": 3.5, "CHGNet": 12.0, "SO3Net": 55.0}


@dataclass(frozen=True)
class Graphs:
    """The package's own graphs, but with positions and cell in double precision; networks round to theirs."""

    converter: Any

    def get_graph(self, atoms: Atoms) -> tuple[Any, Any, Any]:
        """Return a graph, a (1, 3, 3) cell in Å, and the state."""
        import torch

        graph, _, state = self.converter.get_graph(atoms)
        graph.frac_coords = torch.as_tensor(atoms.get_scaled_positions(wrap=False))
        return graph, torch.as_tensor(atoms.cell.array)[None], state


@dataclass
class MatGL:
    """A loaded `matgl.apps.pes.Potential`; `single` is the package's own ASE calculator around it.

    No model takes a charge: QET can hold a total charge, but all structures that it was trained on are neutral.
    """

    single: Any
    converter: Graphs
    checkpoint_sha256: str | None
    dtype: str
    takes_charge: bool = False
    conservative: bool = True

    @property
    def cutoff_ang(self) -> float:
        """The larger of the cutoffs in Å; QET's charges attract each other no farther."""
        network = self.single.potential.model
        angles = (getattr(network, name, 0.0) for name in ("threebody_cutoff", "three_body_cutoff"))
        return float(max(network.cutoff, *angles))

    @property
    def elements(self) -> frozenset[int]:
        """Elements that the network has inputs for."""
        return frozenset(atomic_numbers[symbol] for symbol in self.single.element_types)

    @property
    def gives_stress(self) -> bool:
        """True if the weights were fitted to stresses."""
        return bool(self.single.potential.calc_stresses)

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        needed = max(MB_PER_ATOM.get(type(self.single.potential.model).__name__, 0.0), 4.5)
        needed *= 2 if self.dtype == "float64" else 1
        return atoms_that_fit(device, on_cpu=min(64, int(1000 / needed)), gpu_mb_per_atom=needed)

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        return self.single

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one forward and one backward pass."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> tuple[Any, Any, Any]:
        """Make the package's graphs, joined to one, with cells and states."""
        import torch
        from torch_geometric.data import Batch

        graphs, cells, states = zip(*map(self.converter.get_graph, batch), strict=True)
        return Batch.from_data_list(list(graphs)), torch.cat(cells), torch.as_tensor(np.stack(states))

    def answer(self, batch: Sequence[Atoms], graphs: tuple[Any, Any, Any]) -> list[Result]:
        """Evaluate a joined graph."""
        answers = self.single.potential(*graphs)
        energies, forces, stresses = (values.detach().cpu().numpy() for values in answers[:3])
        ends = np.cumsum([len(atoms) for atoms in batch])[:-1]
        if self.gives_stress:
            voigt = full_3x3_to_voigt_6_stress(stresses.reshape(-1, 3, 3)) * GPa
        else:
            voigt = [None] * len(batch)
        return [
            Result(float(e), f, s) for e, f, s in zip(energies.reshape(-1), np.split(forces, ends), voigt, strict=True)
        ]


def importing() -> AbstractContextManager[None]:
    """Return the context in which the package is imported: without what few of its functions need."""
    return late_imports(LATE)


def load(model: Model, device: str, dtype: str) -> MatGL:
    """Load a folder of weights, without running code from it and without asking the network.

    Raises
    ------
    WorkerError
        There is no such folder, it is not MatGL's, or what it holds is not a potential.
    """
    check_options(model, [])
    import matgl  # which also lets `torch.load` read its files
    from matgl.ext.ase import PESCalculator

    folder = _checked(model)
    try:
        potential = matgl.load_model(folder)
    except Exception as error:
        raise WorkerError(f"{model.name}: {folder} is not a MatGL checkpoint ({_reason(error)})") from error
    potential = (potential.double() if dtype == "float64" else potential.float()).to(device).eval()
    # switches for training and analysis that a checkpoint may carry
    potential.calc_forces, potential.calc_hessian, potential.debug_mode = True, False, False
    # neither unit nor order is the package's default
    single = PESCalculator(potential, stress_unit="eV/A3", use_voigt=True)
    single._atoms2graph = graphs = Graphs(single._atoms2graph)  # noqa: SLF001
    return MatGL(single, graphs, model.checkpoint.sha256, dtype)


def fetch(name: str, folder: Path) -> Path:
    """Download published weights."""
    from huggingface_hub import snapshot_download

    snapshot_download(f"{ORGANISATION}/{name}", local_dir=folder, allow_patterns=["*.json", "*.pt", "*.md", "LICENSE*"])
    return folder


def _checked(model: Model) -> Path:
    """Return the folder of weights; MatGL itself would ask the Hub for what it does not find there."""
    import torch

    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: matgl ships no weights, fetch them or name a folder")
    folder = existing_weights(model, model.checkpoint.path, folder=True)
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise WorkerError(f"{model.name}: {folder} is not a MatGL checkpoint, it lacks {', '.join(missing)}")
    try:
        about = json.loads((folder / "model.json").read_bytes())
        arguments = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
        top = (about["@module"], about["@class"])
        parts = {key: (value["@module"], value["@class"]) for key, value in arguments.items() if _names_a_class(value)}
    except Exception as error:
        raise WorkerError(f"{model.name}: {folder} is not a MatGL checkpoint ({sentence(error)})") from error
    # MatGL calls whatever class a file names with whatever arguments: only those of a potential are harmless
    if not re.fullmatch(r"matgl\.[\w.]+", str(top[0])):
        raise _strange(model, folder, top)
    if top[1] != "Potential" or not re.fullmatch(r"matgl\.apps\._?pes\w*", top[0]):
        raise WorkerError(f"{model.name}: {folder} holds a {top[1]}, which predicts a property and is no potential")
    for key, (module, kind) in parts.items():
        if key != "model" or kind not in MB_PER_ATOM or not re.fullmatch(r"matgl\.models(\._\w+)?", str(module)):
            raise _strange(model, folder, (module, kind))
    return folder


def _names_a_class(value: Any) -> bool:
    return isinstance(value, dict) and {"@class", "@module"} <= value.keys()


def _strange(model: Model, folder: Path, named: tuple[Any, Any]) -> WorkerError:
    return WorkerError(f"{model.name}: {folder} asks for {named[0]}.{named[1]}, which no potential of MatGL is made of")


def _reason(error: BaseException) -> str:
    """Word the first cause: MatGL's own words are the same for all of them."""
    while error.__cause__ is not None:
        error = error.__cause__
    return sentence(error)
