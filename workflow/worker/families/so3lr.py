"""SO3LR: the model in the wheel of So3krates-torch, and models that users trained with it."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress

from worker.errors import WorkerError, sentence
from worker.families.base import (
    Result,
    atoms_that_fit,
    charge_aware,
    check_options,
    existing_weights,
    to_float64,
    unknown_bundled,
)
from worker.late_imports import late_imports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("so3krates-torch", "matscipy", "torch")
IMPORTS = ("torch", "so3krates_torch.calculator.so3")
FRAMEWORK = "torch"
# of each atom's energy, 164 eV are a constant, beside which single precision leaves five digits behind the point
DTYPES = ("float64", "float32")
HOSTS = ()

# what data sets are kept in (`worker.late_imports`)
LATE = {"so3krates_torch.data.utils": ("h5py",), "so3krates_torch.tools.utils": ("h5py",)}
# where the package's calculator of the published model ends electrostatics and dispersion, and over what length it lets
# dispersion go to zero; the file itself does not say it
LONG_RANGE_ANG, DAMPED_ANG = 12.0, 2.0
BUNDLED = {"so3lr": ("so3lr.model", "b5145564911ff983ed076ccb2bca5ce63454b74c9c8291092695463f1e6732be")}


@dataclass
class SO3LR:
    """A loaded network; `single` is the package's own ASE calculator, which holds it.

    The charge is read; the spin is not: the network has an input for it, whose weights are in the published model as
    they were before training.
    """

    single: Any
    checkpoint_sha256: str | None
    dtype: str
    gives_stress: bool = True
    conservative: bool = True

    @property
    def network(self) -> Any:
        """The network itself."""
        return self.single.models[0]

    @property
    def cutoff_ang(self) -> float:
        """Where electrostatics and dispersion end in Å, or else the cutoff of one interaction."""
        return float(self.single.r_max_lr or self.single.r_max)

    @property
    def takes_charge(self) -> bool:
        """True if the network has an input for the total charge."""
        return bool(self.network.use_charge_embed)

    @property
    def elements(self) -> frozenset[int] | None:
        """Elements that training has seen: whose scales it has changed; None where it changes none.

        The network computes any element up to 118, with numbers that it began with.
        """
        head = self.network.atomic_energy_output_block
        if not head.energy_learn_atomic_type_scales:
            return None
        return frozenset(z for z, scale in enumerate(head.energy_scales.weight.flatten().tolist(), 1) if scale != 1.0)

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        return atoms_that_fit(device, on_cpu=512, gpu_mb_per_atom=12.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        self._set_dtype()
        return charge_aware(self.single)

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one forward and one backward pass."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> dict[str, Any]:
        """Make the network's input for all structures at once, from the package's lists of neighbours.

        The package's own way holds what there is to train, one structure after the other: on molecules it takes three
        times as long.
        """
        import torch
        from so3krates_torch.data.neighborhood import get_neighborhood

        floats, periodic = getattr(torch, self.dtype), (True, True, True)
        reach = float(self.single.r_max), self.single.r_max_lr
        found = [get_neighborhood(atoms.positions, *reach, periodic, atoms.cell.array.copy()) for atoms in batch]
        sizes = [len(atoms) for atoms in batch]
        ends = np.cumsum([0, *sizes])

        def joined(place: int) -> Any:
            return torch.tensor(np.concatenate([one[place] for one in found]), dtype=floats)

        def edges(place: int) -> Any:
            return torch.tensor(np.concatenate([one[place] + n for one, n in zip(found, ends, strict=False)], axis=1))

        numbers = torch.tensor(np.concatenate([atoms.numbers for atoms in batch]), dtype=torch.long)
        made = {
            "positions": torch.tensor(np.concatenate([atoms.positions for atoms in batch]), dtype=floats),
            "atomic_numbers": numbers,
            "node_attrs": torch.nn.functional.one_hot(numbers - 1, len(self.single.z_table)).to(floats),
            "cell": joined(3),
            "edge_index": edges(0),
            "shifts": joined(1),
            "unit_shifts": joined(2),
            "batch": torch.repeat_interleave(torch.tensor(sizes)),
            "ptr": torch.tensor(ends),
            "head": torch.zeros(len(batch), dtype=torch.long),
            "total_charge": torch.tensor([float(atoms.info.get("charge", 0)) for atoms in batch], dtype=floats),
            "total_spin": torch.zeros(len(batch), dtype=floats),
        }
        if self.single.r_max_lr:
            made |= {"edge_index_lr": edges(4), "shifts_lr": joined(5), "unit_shifts_lr": joined(6)}
        return made

    def answer(self, batch: Sequence[Atoms], graphs: dict[str, Any]) -> list[Result]:
        """Evaluate a joined graph."""
        self._set_dtype()
        data = {name: part.to(self.single.device) for name, part in graphs.items()}
        output = self.network(data, compute_stress=True)
        ends = np.cumsum([len(atoms) for atoms in batch])[:-1]
        # summed here, where single precision would lose digits with every atom
        energies = np.split(to_float64(output["node_energy"]).reshape(-1), ends)
        forces, stresses = np.split(to_float64(output["forces"]), ends), to_float64(output["stress"])
        return [
            Result(float(e.sum()), f, full_3x3_to_voigt_6_stress(s))
            for e, f, s in zip(energies, forces, stresses, strict=True)
        ]

    def _set_dtype(self) -> None:
        """Set what the package takes the precision of graphs from, for all threads."""
        import torch

        torch.set_default_dtype(getattr(torch, self.dtype))


def importing() -> AbstractContextManager[None]:
    """Return the context in which the package is imported: without what few of its functions need."""
    return late_imports(LATE)


def load(model: Model, device: str, dtype: str) -> SO3LR:
    """Load a network.

    Files of this family are pickles: one from a stranger runs the stranger's code.

    Raises
    ------
    WorkerError
        There is no such file, it is not a network of this family, or MIRA does not support its kind.
    """
    check_options(model, [])
    file = existing_weights(model, model.checkpoint.path or bundled(model)[0])
    import torch
    from so3krates_torch.calculator.so3 import TorchkratesCalculator
    from so3krates_torch.modules import models as networks

    try:
        network = torch.load(file, map_location=device, weights_only=False)
    except Exception as error:
        raise WorkerError(f"{model.name}: {file} is not an SO3LR model ({sentence(error)})") from error
    if not isinstance(network, networks.SO3LR):
        raise WorkerError(f"{model.name}: {file} is not an SO3LR model (it is of type {type(network).__name__})")
    for unsupported, words in (("num_output_heads", "several heads"), ("use_pme", "electrostatics on a mesh")):
        if getattr(network, unsupported, False):
            raise WorkerError(f"{model.name}: {file} has {words}, which MIRA does not support")
    with contextlib.redirect_stdout(sys.stderr):  # the package says which precision it changes
        single = TorchkratesCalculator(
            models=network.eval(),
            r_max_lr=float(network.r_max_lr or LONG_RANGE_ANG) if network.use_lr else None,
            dispersion_energy_cutoff_lr_damping=network.dispersion_energy_cutoff_lr_damping or DAMPED_ANG,
            compute_stress=True,
            device=device,
            default_dtype=dtype,
        )
    return SO3LR(single, model.checkpoint.sha256, dtype)


def bundled(model: Model) -> tuple[Path, str]:
    """Return the file of a model that ships in the wheel, and its sha256; raise `WorkerError` where there is none."""
    name = model.checkpoint.bundled
    if name not in BUNDLED:
        raise unknown_bundled(model, BUNDLED)
    import so3krates_torch

    file, sha256 = BUNDLED[name]
    return Path(so3krates_torch.__file__).parent / "pretrained" / "so3lr" / file, sha256
