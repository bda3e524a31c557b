"""ANI of TorchANI: the published ensembles for organic molecules, and weights of users' own for their architectures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import Hartree

from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights, to_float64
from worker.late_imports import late_imports
from worker.prepare import PERIODIC

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from worker.job import Model

DISTRIBUTIONS = ("torchani", "torch")
IMPORTS = ("torch", "torchani.models", "torchani.ase")
FRAMEWORK = "torch"
DTYPES = ("float64", "float32")
HOSTS = ("huggingface.co", "github.com")

# what weights are fetched with, and what tables of dispersion are kept in (`worker.late_imports`): 0.05 for 0.25 s
LATE = {"torchani.arch": ("huggingface_hub",), "torchani.potentials.dftd3": ("h5py",)}
# a file is a state dict, which says nothing of the network that it is of: its name, and that of the file at the source
ARCHITECTURES = {
    "ANI1x": "ani1x_state_dict.pt",
    "ANI1ccx": "ani1ccx_state_dict.pt",
    "ANI2x": "ani2x_state_dict.pt",
    "ANI2xr": "ani2xr.pt",
    "ANI2dr": "ani2dr.pt",
    "ANI1xnr": "ani1xnr.pt",
}


@dataclass
class ANI:
    """A loaded ensemble; `network` is the package's own."""

    network: Any
    checkpoint_sha256: str | None
    dtype: str
    takes_charge: bool = False
    gives_stress: bool = True
    conservative: bool = True

    @property
    def cutoff_ang(self) -> float:
        """The farthest distance in Å that a pair has."""
        return float(self.network.cutoff)

    @property
    def elements(self) -> frozenset[int]:
        """Elements that there are networks for."""
        return frozenset(self.network.atomic_numbers.tolist())

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        # measured on CPUs, in double precision: 0.1 MB in molecules, 0.4 in water, 1.6 with the dispersion of ANI-2dr
        return atoms_that_fit(device, on_cpu=512, gpu_mb_per_atom=2.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator; a molecule is asked about without the box that it was prepared in."""
        from torchani.ase import Calculator

        class Own(Calculator):
            def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str]) -> None:
                super().calculate(_as_it_is(atoms), properties, system_changes)
                self.atoms = atoms.copy()  # what ASE compares the next structure with

        return Own(self.network)

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures: molecules in one pass, and each crystal, whose cell a pass has one of."""
        results: dict[int, Result] = {}
        molecules = [place for place, atoms in enumerate(batch) if not _is_periodic(atoms)]
        if molecules:
            results.update(zip(molecules, self._molecules([batch[place] for place in molecules]), strict=True))
        for place in sorted({*range(len(batch))} - {*molecules}):
            results[place] = self._crystal(batch[place])
        return [results[place] for place in range(len(batch))]

    def _molecules(self, batch: list[Atoms]) -> list[Result]:
        import torch

        most = max(len(atoms) for atoms in batch)
        numbers = np.full((len(batch), most), -1)
        positions = np.zeros((len(batch), most, 3))
        for row, atoms in enumerate(batch):
            numbers[row, : len(atoms)], positions[row, : len(atoms)] = atoms.numbers, atoms.positions
        places = self._tensor(positions).requires_grad_(True)
        energies = self.network((torch.as_tensor(numbers, device=places.device), places)).energies
        (slopes,) = torch.autograd.grad(energies.sum(), places)
        forces = -Hartree * to_float64(slopes)
        each = zip(Hartree * to_float64(energies), forces, batch, strict=True)
        return [Result(float(energy), force[: len(atoms)], None) for energy, force, atoms in each]

    def _crystal(self, atoms: Atoms) -> Result:
        import torch

        places = self._tensor(atoms.positions[None]).requires_grad_(True)
        strain = torch.zeros(3, 3, dtype=places.dtype, device=places.device, requires_grad=True)
        deformed = torch.eye(3, dtype=places.dtype, device=places.device) + 0.5 * (strain + strain.T)
        numbers = torch.as_tensor(atoms.numbers[None], device=places.device)
        pairs, images = _pairs(atoms, self.cutoff_ang)
        shifts = self._tensor(images) @ self._tensor(atoms.cell.array) @ deformed
        pairs = torch.as_tensor(pairs, device=places.device)
        energy = self.network.compute_from_external_neighbors(numbers, places @ deformed, pairs, shifts).energies.sum()
        slopes, virial = torch.autograd.grad(energy, (places, strain))
        stress = full_3x3_to_voigt_6_stress(Hartree * to_float64(virial) / atoms.get_volume())
        return Result(Hartree * float(energy.detach()), -Hartree * to_float64(slopes)[0], stress)

    def _tensor(self, array: Any) -> Any:
        weight = next(self.network.parameters())
        import torch

        return torch.as_tensor(array, dtype=weight.dtype, device=weight.device)


def _pairs(atoms: Atoms, cutoff_ang: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(2, n) atoms of each pair, once, and (n, 3) cells by which the first is moved.

    The package's own list holds all pairs of a crystal at once: 2.3 GB at 1,000 atoms, nine times that at 3,000. Its
    other one, by buckets, wants cells of several cutoffs.
    """
    seconds, firsts, images = neighbor_list("ijS", atoms, cutoff_ang)
    leading = np.sign(images) @ [4, 2, 1]  # the sign of an image's first number that is not zero
    once = (seconds < firsts) | ((seconds == firsts) & (leading > 0))
    return np.stack([firsts, seconds])[:, once], images[once].astype(float)


def _is_periodic(atoms: Atoms) -> bool:
    return any(atoms.info.get(PERIODIC, atoms.pbc))


def _as_it_is(atoms: Atoms) -> Atoms:
    copy = atoms.copy()
    if not _is_periodic(atoms):
        copy.pbc, copy.cell = False, None
    return copy


def importing() -> AbstractContextManager[None]:
    """Return the context in which the package is imported: without what few of its functions need."""
    return late_imports(LATE)


def load(model: Model, device: str, dtype: str) -> ANI:
    """Load weights into the network that they are of, without running code from them.

    Raises
    ------
    WorkerError
        There are no such weights, or they are of another network.
    """
    import torch
    from torchani import models

    check_options(model, ["architecture"])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: torchani ships no weights, and {model.checkpoint.bundled!r} was asked for")
    file = existing_weights(model, model.checkpoint.path)
    name = model.options.get("architecture")
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise WorkerError(f"{model.name}: option architecture is {name!r}, and is to be one of {known}")
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
        with mock.patch.object(models, "_fetch_state_dict", return_value=saved):
            network = getattr(models, name)(device=device, dtype=getattr(torch, dtype))
    except Exception as error:
        raise WorkerError(f"{model.name}: {file} does not hold the weights of {name} ({sentence(error)})") from error
    return ANI(network.eval(), model.checkpoint.sha256, dtype)


def fetch(name: str, folder: Path) -> Path:
    """Download weights with the package's own code."""
    if name not in ARCHITECTURES:
        raise WorkerError(f"torchani has no weights {name!r}, only {', '.join(ARCHITECTURES)}")
    os.environ["TORCHANI_DATA_DIR"] = str(folder)
    from torchani.arch import _fetch_state_dict
    from torchani.paths import state_dicts_dir

    _fetch_state_dict(ARCHITECTURES[name])
    return Path((state_dicts_dir() / ARCHITECTURES[name]).rename(folder / f"{name}.pt"))
