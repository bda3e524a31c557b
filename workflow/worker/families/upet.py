"""UPET: PET-MAD, PET-OAM and the other published PET models, and PET checkpoints of metatrain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ase.stress import full_3x3_to_voigt_6_stress

from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights, to_float64
from worker.late_imports import late_imports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("upet", "metatrain", "metatomic-torch", "metatomic-ase", "vesin", "torch")
IMPORTS = ("torch", "upet.ase")
FRAMEWORK = "torch"
DTYPES = ("float32", "float64")
HOSTS = ("huggingface.co",)

# lists of neighbours for GPUs alone (`worker.late_imports`)
LATE = {"metatomic_ase._neighbors": ("nvalchemiops.torch.neighbors",)}
REPOSITORY = "lab-cosmo/upet"
# the image is without it: the box that MIRA puts a molecule into is too small for what is computed with it
LONG_RANGE_PACKAGE = "torch-pme"
# what a network may ask about a structure, and the key of `atoms.info` that it is read from
STATES = {"charge": "charge", "spin_multiplicity": "spin"}


@dataclass
class UPET:
    """A loaded PET; `single` is the package's own ASE calculator, which holds the network."""

    single: Any
    neighbours: Any
    checkpoint_sha256: str | None
    cutoff_ang: float
    elements: frozenset[int]
    dtype: str
    takes_charge: bool
    gives_stress: bool = True
    conservative: bool = True

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        # on GPUs nothing was measured: a careful guess at what the largest published networks keep of a dense solid
        return atoms_that_fit(device, on_cpu=64, gpu_mb_per_atom=40.0 * (2.0 if self.dtype == "float64" else 1.0))

    def calculator(self) -> Calculator:
        """Return the package's own calculator, told when a charge or spin is another one."""
        self.single.check_state = self.single.calculator.check_state
        return self.single

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one forward and one backward pass.

        The package's own way with a list, `compute_energy`, does not tell the network charge and spin.

        Raises
        ------
        PropertyNotImplementedError
            The network knows no such charge or spin.
        """
        import torch
        from metatomic.torch import ModelEvaluationOptions, ModelOutput

        inner = self.single.calculator
        systems, positions, strains = zip(*(self._system(atoms) for atoms in batch), strict=True)
        systems = self.neighbours.compute(systems=list(systems))
        for atoms, system in zip(batch, systems, strict=True):
            self._describe(atoms, system)
        wanted = {inner._energy_key: ModelOutput(unit="eV", explicit_gradients=[], sample_kind="atom")}  # noqa: SLF001
        options = ModelEvaluationOptions(length_unit="angstrom", outputs=wanted)
        output = inner._model(systems, options, check_consistency=False)[inner._energy_key].block()  # noqa: SLF001
        owners = output.samples.column("system").to(torch.int64)
        energies = output.values.new_zeros(len(batch), dtype=torch.float64)
        energies = energies.index_add(0, owners, output.values.reshape(-1).double())
        slopes = torch.autograd.grad(energies.sum(), [*positions, *strains])
        forces, virials = slopes[: len(batch)], slopes[len(batch) :]
        stresses = [_symmetric(virial) / atoms.cell.volume for virial, atoms in zip(virials, batch, strict=True)]
        return [
            Result(energy, -to_float64(slope), full_3x3_to_voigt_6_stress(stress))
            for energy, slope, stress in zip(energies.tolist(), forces, stresses, strict=True)
        ]

    def _system(self, atoms: Atoms) -> tuple[Any, Any, Any]:
        """Make the package's system, as its calculator does, with the tensors that energies are derived by."""
        import torch
        from metatomic.torch import System

        dtype, device = getattr(torch, self.dtype), self.single.calculator._device  # noqa: SLF001
        strain = torch.eye(3, dtype=dtype, device=device, requires_grad=True)
        positions = torch.as_tensor(atoms.positions, dtype=dtype, device=device).requires_grad_() @ strain
        cell = torch.as_tensor(atoms.cell.array, dtype=dtype, device=device) @ strain
        types = torch.as_tensor(atoms.numbers, dtype=torch.int32, device=device)
        return System(types, positions, cell, torch.as_tensor(atoms.pbc, device=device)), positions, strain

    def _describe(self, atoms: Atoms, system: Any) -> None:
        """Tell a system what its network asks about it."""
        from metatomic_ase._calculator import _get_ase_input

        if not self.takes_charge:
            return
        self._refuse_unknown_states(atoms)
        for name, kind in self.single.calculator._model.requested_inputs(use_new_names=True).items():  # noqa: SLF001
            system.add_data(name, _get_ase_input(atoms, name, kind, dtype=system.positions.dtype, device=system.device))

    def _refuse_unknown_states(self, atoms: Atoms) -> None:
        """Refuse charges and spins without an embedding."""
        from ase.calculators.calculator import PropertyNotImplementedError

        table = next(part for part in self.single.calculator._model.modules() if hasattr(part, "max_charge"))  # noqa: SLF001
        allowed = {"charge": (-table.max_charge, table.max_charge, 0), "spin": (1, table.max_spin_multiplicity, 1)}
        for key, (lowest, highest, default) in allowed.items():
            value = float(atoms.info.get(key, default))
            if not (value.is_integer() and lowest <= value <= highest):
                raise PropertyNotImplementedError(f"the model knows no {key} of {value:g}")


def _symmetric(tensor: Any) -> Any:
    """A virial as a float64 array: networks that only learn what a rotation is have one that is not symmetric."""
    array = to_float64(tensor)
    return (array + array.T) / 2


def importing() -> AbstractContextManager[None]:
    """Return the context in which the package is imported: without what CPUs do not use."""
    return late_imports(LATE)


def load(model: Model, device: str, dtype: str) -> UPET:
    """Load a checkpoint.

    Checkpoints of this family are pickles: a file from a stranger runs the stranger's code.

    Raises
    ------
    WorkerError
        There is no such checkpoint, it is not PET's, or it has no such variant of the energy.
    """
    check_options(model, ["variant"])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: upet ships no weights, and {model.checkpoint.bundled!r} was asked for")
    file = existing_weights(model, model.checkpoint.path)
    from metatomic_ase._neighbors import AllNeighborsCalculator

    single = _calculator(model, file, device, dtype)
    network = single.calculator._model  # noqa: SLF001 - nothing else leads to it
    if single.calculator._energy_key is None:  # noqa: SLF001
        raise WorkerError(f"{model.name}: {file} predicts no energy")
    inputs = set(network.requested_inputs(use_new_names=True))
    if strange := sorted(inputs - STATES.keys()):
        raise WorkerError(f"{model.name}: {file} wants to know {', '.join(strange)}, which MIRA does not tell")
    lists = network.requested_neighbor_lists()
    return UPET(
        single,
        AllNeighborsCalculator(lists, skin=0.0),  # with a skin, lists would depend on what was asked before
        model.checkpoint.sha256,
        cutoff_ang=max(float(one.engine_cutoff("angstrom")) for one in lists),
        elements=frozenset(int(z) for z in network.capabilities().atomic_types),
        dtype=dtype,
        takes_charge=bool(inputs),
    )


def _calculator(model: Model, file: Path, device: str, dtype: str) -> Any:
    from upet.ase import UPETCalculator

    variant = model.options.get("variant")
    how = {"variants": {"energy": variant} if variant else None, "uncertainty_threshold": None}
    try:
        return UPETCalculator(checkpoint_path=str(file), device=device, dtype=dtype, **how)
    except Exception as error:
        if LONG_RANGE_PACKAGE in str(error):
            said = f"{file} has long-range interactions, which MIRA does not support"
        elif "variant" in str(error):  # missing or unknown
            said = f"{file}: {' '.join(str(error).split())}"
        else:
            said = f"{file} is not a UPET checkpoint ({sentence(error)})"
        raise WorkerError(f"{model.name}: {said}") from error


def fetch(name: str, folder: Path) -> Path:
    """Download a checkpoint: by its file, since the package asks the Hub for a list of them first.

    Raises
    ------
    WorkerError
        The package has no such weights.
    """
    from huggingface_hub import hf_hub_download
    from upet import _version
    from upet._models import parse_checkpoint_filename

    kind, size, version = parse_checkpoint_filename(f"{name}.ckpt")
    if version is None or f"{kind}-{size}" not in _version.UPET_AVAILABLE_MODELS:
        raise WorkerError(f"upet has no weights {name!r}, only versions of {', '.join(_version.UPET_AVAILABLE_MODELS)}")
    hf_hub_download(REPOSITORY, f"{name}.ckpt", subfolder="models", local_dir=folder)
    return folder / "models" / f"{name}.ckpt"
