"""DIEP: the model in its wheel, and models that users exported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa

from worker.errors import WorkerError, sentence
from worker.families.base import (
    Result,
    atoms_that_fit,
    check_options,
    existing_weights,
    to_float64,
    unknown_bundled,
)
from worker.late_imports import TORCH_GEOMETRIC, late_imports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("diep", "pymatgen", "torch")
IMPORTS = ("torch", "diep.pretrained")
FRAMEWORK = "torch"
# in single precision, rounding makes forces of up to 75 eV/Å on atoms that are nearly, but not quite, in a line
DTYPES = ("float64", "float32")
HOSTS = ()

FILES = ("model.json", "model.pt", "state.pt")
# folders that ship in the wheel, below `diep/pretrained_models`, and their sha256 (`worker.weights.sha256`)
BUNDLED = {"diep_fold1": "2b67c62fe79940333a04fdf27c82bd933ab21aa55ed2752b021cabe1b536ec1e"}
# what is trained and looked at with (`worker.late_imports`)
LATE = {"diep.ext.ase": ("pandas",), "diep.utils.io": ("requests",), **TORCH_GEOMETRIC}


@dataclass
class DIEP:
    """A loaded `diep.apps.pes.Potential`; `single` is the package's own ASE calculator around it."""

    single: Any
    checkpoint_sha256: str | None
    dtype: str
    takes_charge: bool = False
    gives_stress: bool = True
    conservative: bool = True

    @property
    def cutoff_ang(self) -> float:
        """The larger of the cutoffs in Å."""
        network = self.single.potential.model
        return float(max(network.cutoff, network.threebody_cutoff))

    @property
    def elements(self) -> frozenset[int]:
        """Elements that the network has inputs for."""
        return frozenset(atomic_numbers[symbol] for symbol in self.single.element_types)

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        return atoms_that_fit(device, on_cpu=32, gpu_mb_per_atom=80.0 if self.dtype == "float64" else 40.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator, in this model's precision."""
        from diep.pretrained import DIEPCalculator

        potential = self

        class Calculator(DIEPCalculator):
            def calculate(self, *given: Any, **named: Any) -> None:
                potential._set_dtype()
                super().calculate(*given, **named)

        return Calculator(potential=self.single.potential, stress_unit="eV/A3")

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one forward and one backward pass."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> tuple[Any, Any]:
        """Make the package's graphs, joined to one, and cells."""
        import torch
        from torch_geometric.data import Batch

        self._set_dtype()
        graphs, cells, _ = zip(*map(self.single.graph_converter.get_graph, batch), strict=True)
        return Batch.from_data_list(list(graphs)), torch.cat(cells)

    def answer(self, batch: Sequence[Atoms], graphs: tuple[Any, Any]) -> list[Result]:
        """Evaluate a joined graph."""
        self._set_dtype()
        potential = self.single.potential
        device = potential.data_std.device
        graph, cells = (part.to(device) for part in graphs)
        _, forces, stresses, _ = potential(graph, cells)
        ends = np.cumsum([len(atoms) for atoms in batch])[:-1]
        return [
            Result(float(e.sum()), f, s)
            for e, f, s in zip(
                np.split(self._energies(graph), ends),
                np.split(to_float64(forces), ends),
                full_3x3_to_voigt_6_stress(to_float64(stresses).reshape(-1, 3, 3)) * GPa,
                strict=True,
            )
        ]

    def _energies(self, graph: Any) -> Any:
        """Energies of atoms in eV, (n_atoms,)."""
        # not those of structures, whose sums lose digits of single precision with every atom
        potential = self.single.potential
        energies = to_float64(graph.atomic_properties).reshape(-1) * float(potential.data_std)
        if potential.element_refs is None:
            return energies
        return energies + to_float64(potential.element_refs.property_offset)[to_float64(graph.node_type).astype(int)]

    def _set_dtype(self) -> None:
        """Set what the package computes in, for all threads."""
        from diep import config

        bits = int(self.dtype.removeprefix("float"))
        if config.float_th.itemsize * 8 != bits:
            config.set_default_dtype("float", bits)


def importing() -> AbstractContextManager[None]:
    """Return the context in which the package is imported: without what few of its functions need."""
    return late_imports(LATE)


def load(model: Model, device: str, dtype: str) -> DIEP:
    """Load a folder of weights without running code from it.

    Raises
    ------
    WorkerError
        There is no such folder, it is not DIEP's, or it holds a model of another kind.
    """
    check_options(model, [])
    folder = _checked(model)
    from diep.pretrained import DIEPCalculator, load_potential

    try:
        potential = load_potential(folder, device=device)
    except Exception as error:
        raise WorkerError(f"{model.name}: {folder} is not a DIEP model ({sentence(error)})") from error
    if potential.calc_repuls or potential.model.is_intensive or float(potential.data_mean):
        raise WorkerError(f"{model.name}: {folder} is a DIEP model of a kind that MIRA does not support")
    potential.calc_forces, potential.debug_mode, potential.apply_chunking = True, False, False
    potential.requires_grad_(requires_grad=False)
    potential = potential.double() if dtype == "float64" else potential.float()
    return DIEP(DIEPCalculator(potential=potential, stress_unit="eV/A3"), model.checkpoint.sha256, dtype)


def _checked(model: Model) -> Path:
    """Return the folder of weights, in which nothing but DIEP's own classes is asked for."""
    import torch

    folder = existing_weights(model, model.checkpoint.path or bundled(model)[0], folder=True)
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise WorkerError(f"{model.name}: {folder} is not a DIEP model, it lacks {', '.join(missing)}")
    try:
        arguments = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
        parts = {key: value for key, value in arguments.items() if isinstance(value, dict) and "@class" in value}
        named = {key: f"{value['@module']}.{value['@class']}" for key, value in parts.items()}
    except Exception as error:
        raise WorkerError(f"{model.name}: {folder} is not a DIEP model ({sentence(error)})") from error
    # the package makes whatever class a file names with whatever arguments
    for key, kind in named.items():
        if key != "model" or not re.fullmatch(r"diep(_pyg)?\.models(\._diep)?\.DIEP", kind):
            raise WorkerError(f"{model.name}: {folder} asks for {kind}, which no potential of DIEP is made of")
    return folder


def bundled(model: Model) -> tuple[Path, str]:
    """Return the folder of a model that ships in the wheel, and its sha256; raise `WorkerError` if there is none."""
    name = model.checkpoint.bundled
    if name not in BUNDLED:
        raise unknown_bundled(model, BUNDLED)
    from diep.pretrained import DEFAULT_MODEL_DIR

    return Path(DEFAULT_MODEL_DIR).parent / name, BUNDLED[name]
