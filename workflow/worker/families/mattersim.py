"""MatterSim: MatterSim-v1.0.0 in two sizes, and checkpoints of its trainer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa

from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("mattersim", "pymatgen", "torch")
IMPORTS = ("torch", "mattersim.forcefield")
FRAMEWORK = "torch"
DTYPES = ("float32",)
HOSTS = ("raw.githubusercontent.com",)

FETCHED = ("mattersim-v1.0.0-1M", "mattersim-v1.0.0-5M")
# functions' coefficients, which networks make themselves; those of mattersim 1.0 did not save all of them
CONSTANTS = ("rbf.", "sbf.")
SILENCE_S = 60.0


@dataclass
class MatterSim:
    """A loaded MatterSim; `potential` is the package's own."""

    potential: Any
    device: str
    checkpoint_sha256: str | None
    takes_charge: bool = False
    dtype: str = "float32"
    gives_stress: bool = True
    conservative: bool = True

    @property
    def cutoff_ang(self) -> float:
        """Cutoff of the pair graph in Å."""
        return float(self.potential.model.model_args["cutoff"])

    @property
    def elements(self) -> frozenset[int]:
        """Elements that the network has inputs for; which of them were trained, only the catalogue knows."""
        return frozenset(range(1, self.potential.model.max_z + 1))

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        return atoms_that_fit(device, on_cpu=32, gpu_mb_per_atom=10.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        from mattersim.forcefield import MatterSimCalculator

        return MatterSimCalculator(potential=self.potential, device=self.device, args_dict={})

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one forward and one backward pass."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> Any:
        """Make the package's graphs, joined to one."""
        from torch_geometric.data import Batch

        return Batch.from_data_list([self._graph(atoms) for atoms in batch])

    def answer(self, batch: Sequence[Atoms], graphs: Any) -> list[Result]:  # noqa: ARG002 - the graph says it all
        """Evaluate a joined graph; the package derives forces and stresses in one backward pass."""
        answers = self.potential.predict_properties([graphs], include_forces=True, include_stresses=True)
        return [
            Result(energy, forces, full_3x3_to_voigt_6_stress(stress) * GPa)
            for energy, forces, stress in zip(*answers, strict=True)
        ]

    def _graph(self, atoms: Atoms) -> Any:
        """Build the graph as the package's calculator does, in the type that can be batched.

        `build_dataloader` of 1.2.5 gives graphs whose angles refer to the first structure of a batch.
        """
        from mattersim.datasets.utils.converter import GraphConverter, M3GNetData

        about = self.potential.model.model_args
        converter = GraphConverter("m3gnet", about["cutoff"], True, about["threebody_cutoff"])
        return M3GNetData(**converter.convert(atoms.copy()).to_dict())


def load(model: Model, device: str, dtype: str) -> MatterSim:  # noqa: ARG001 - DTYPES has one entry
    """Load a checkpoint without running code from it.

    The package's own loader takes what fits and leaves the rest of the network at random.

    Raises
    ------
    WorkerError
        There is no such checkpoint, or it is not MatterSim's.
    """
    check_options(model, [])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: mattersim ships no weights")
    file = existing_weights(model, model.checkpoint.path)
    try:
        potential = _read(file, device)
    except Exception as error:
        raise WorkerError(f"{model.name}: {file} is not a MatterSim checkpoint ({sentence(error)})") from error
    return MatterSim(potential, device, model.checkpoint.sha256)


def _read(file: Path, device: str) -> Any:
    import torch
    from mattersim.forcefield import Potential
    from mattersim.forcefield.m3gnet.m3gnet import M3Gnet

    saved = torch.load(file, map_location="cpu", weights_only=True)
    if saved["model_name"] != "m3gnet":
        raise ValueError(f"it holds a {saved['model_name']}, not an m3gnet")
    network = M3Gnet(device=device, **saved["model_args"])
    differing = sorted(n for n in set(saved["model"]) ^ set(network.state_dict()) if not n.startswith(CONSTANTS))
    if differing:
        raise ValueError(f"its weights do not fit its network, {differing[0]} for one")
    network.load_state_dict(saved["model"], strict=False)
    return Potential(network.to(device).eval().requires_grad_(False), device=device, model_name="m3gnet")


def fetch(name: str, folder: Path) -> Path:
    """Download a checkpoint with the package's own code."""
    known = {one.lower(): f"{one}.pth" for one in FETCHED}
    file = known.get(name.lower().removesuffix(".pth"))
    if file is None:
        raise WorkerError(f"mattersim has no weights {name!r}, only {', '.join(FETCHED)}")
    import requests
    from mattersim.utils import download_utils

    # its own call waits for ever, and requests does not heed the default of sockets
    download_utils.requests = SimpleNamespace(get=partial(requests.get, timeout=SILENCE_S))
    download_utils.download_checkpoint(file, save_folder=str(folder))
    return folder / file
