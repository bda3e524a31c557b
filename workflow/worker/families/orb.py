"""Orb: v2 and v3, conservative and direct, OrbMol, and checkpoints trained by users."""

from __future__ import annotations

import inspect
import json
import pickle
import shutil
import tempfile
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, charge_aware, check_options, existing_weights, to_float64
from worker.families.orb_graphs import joined_graphs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("orb-models", "nvalchemi-toolkit-ops", "warp-lang", "torch")
IMPORTS = ("torch", "orb_models.forcefield.pretrained", "orb_models.forcefield.inference.calculator")
FRAMEWORK = "torch"
DTYPES = ("float32", "float64")
HOSTS = ("orbitalmaterials-public-models.s3.us-west-1.amazonaws.com",)

# "float32-high", the package's default, is TF32
PRECISIONS = {"float32": "float32-highest", "float64": "float64"}
RADIUS_ANG = 6.0  # of every architecture
# Ewald sums depend on what else is in the batch, and the box that MIRA puts a molecule into is too small for them
LONG_RANGE = "orbmol-v2"
LARGE_ATOMS = 2000  # from which on the package sorts atoms into cells, which one core of a CPU is slow at
MAX_Z = 117  # the one-hot code has 118 places, and the first is that of no element


@dataclass
class Orb:
    """A loaded Orb."""

    network: Any
    adapter: Any
    device: str
    checkpoint_sha256: str | None
    dtype: str
    conservative: bool
    takes_charge: bool
    gives_stress: bool
    # what the network has inputs for; which of them were trained, only the catalogue knows
    elements: frozenset[int] = frozenset(range(1, MAX_Z + 1))

    @property
    def cutoff_ang(self) -> float:
        """Cutoff of the graph in Å."""
        return float(self.adapter.radius)

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        # measured on networks of full size in single precision, at the limit of 120 neighbours
        gpu_mb_per_atom = (12.0 if self.conservative else 3.0) * (2.0 if self.dtype == "float64" else 1.0)
        return atoms_that_fit(device, on_cpu=64, gpu_mb_per_atom=gpu_mb_per_atom)

    def calculator(self) -> Calculator:
        """Return the package's own calculator, given charge and spin as it wants them."""
        from orb_models.forcefield.inference.calculator import ORBCalculator

        potential = self

        class Calculator(ORBCalculator):
            def calculate(self, atoms: Any = None, *args: Any, **kwargs: Any) -> None:
                potential._set_dtype()
                super().calculate(potential._described(atoms), *args, **kwargs)

        return charge_aware(Calculator(self.network, self.adapter, device=self.device))

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one pass."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> Any:
        """Make the package's graphs on the CPU, joined to one; None where a GPU makes them much faster."""
        if self.device != "cpu" and max(len(atoms) for atoms in batch) >= LARGE_ATOMS:
            return None
        return self._joined(batch, "cpu", lists=self.dtype == "float32")

    def answer(self, batch: Sequence[Atoms], graphs: Any) -> list[Result]:
        """Evaluate a joined graph."""
        self._set_dtype()
        graphs = self._joined(batch, self.device, lists=False) if graphs is None else graphs.to(self.device)
        output = self.network.predict(graphs)
        prefix = "grad_" if self.conservative else ""
        energies = to_float64(output["energy"]).reshape(-1)
        forces = np.split(to_float64(output[f"{prefix}forces"]), np.cumsum([len(atoms) for atoms in batch])[:-1])
        stresses = to_float64(output[f"{prefix}stress"]).reshape(-1, 6) if self.gives_stress else [None] * len(batch)
        return [Result(float(e), f, s) for e, f, s in zip(energies, forces, stresses, strict=True)]

    def _joined(self, batch: Sequence[Atoms], device: str, *, lists: bool) -> Any:
        self._set_dtype()
        return joined_graphs(self.adapter, [self._described(atoms) for atoms in batch], device, lists=lists)

    def _described(self, atoms: Atoms) -> Atoms:
        """Copy a structure; charge and spin are both there, as plain numbers, or neither is."""
        copy = atoms.copy()
        charge, spin = copy.info.pop("charge", 0), copy.info.pop("spin", 1)
        if self.takes_charge:
            copy.info.update(charge=float(charge), spin=float(spin))
        return copy

    def _set_dtype(self) -> None:
        """Set what the package takes the precision of graphs from, for all threads."""
        import torch

        torch.set_default_dtype(getattr(torch, self.dtype))


def load(model: Model, device: str, dtype: str) -> Orb:
    """Load a checkpoint without running code from it.

    A checkpoint says nothing about its network. The option `architecture` does: with the name of the package's
    model that it is, or was trained from, or with a JSON object of

    function
        An architecture of `orb_models.forcefield.pretrained`.
    arguments
        Its keyword arguments; none by default.
    max_num_neighbors
        Neighbours of an atom within 6 Å that count; 120 by default.
    zbl
        How the repulsion of pairs is added up: `sum`, the default, or `mean` as in the package's own
        conservative models of the third generation.

    Raises
    ------
    WorkerError
        There is no such checkpoint, it is not Orb's, or the architecture does not fit it.
    """
    check_options(model, ["architecture"])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: orb ships no weights, and {model.checkpoint.bundled!r} was asked for")
    file = existing_weights(model, model.checkpoint.path)
    import torch
    from orb_models.common.models.load import load_regressor_state_dict

    torch.set_default_dtype(torch.float32)  # an earlier model's would change the last digits of tables
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        named = isinstance(state, dict) and all(isinstance(value, torch.Tensor) for value in state.values())
    except Exception as error:
        # torch's words about what is not only tensors are advice to run the code in it
        said = "it is no file of tensors" if isinstance(error, pickle.UnpicklingError) else sentence(error)
        raise WorkerError(f"{model.name}: {file} is not an Orb checkpoint ({said})") from error
    if not named or not state:
        raise WorkerError(f"{model.name}: {file} is not an Orb checkpoint (it holds no named tensors)")
    try:
        network, adapter = _built(model, file, device, PRECISIONS[dtype])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            missing = load_regressor_state_dict(network, state).missing_keys
    except (RuntimeError, TypeError, ValueError, AssertionError, AttributeError) as error:
        raise _misfit(model, file, f"{type(error).__name__}: {error}") from error
    # the package only warns of these, and computes with random numbers in their place
    needed = [key for key in missing if not key.startswith("grad_stress_normalizer.")]
    if needed:
        raise _misfit(model, file, f"it lacks {needed[0]}")
    if getattr(network, "coulomb_module", None) is not None:
        raise _long_range(model)
    return Orb(
        network,
        adapter,
        device,
        model.checkpoint.sha256,
        dtype,
        conservative=hasattr(network, "grad_forces_name"),
        takes_charge=network.model.conditioner is not None,
        gives_stress=bool(network.has_stress),
    )


def _built(model: Model, file: Path, device: str, precision: str) -> tuple[Any, Any]:
    """Build the network and what makes its graphs, and load the weights."""
    from orb_models.forcefield import pretrained
    from orb_models.forcefield.forcefield_adapter import ForcefieldAtomsAdapter

    wanted = model.options.get("architecture")
    if wanted == LONG_RANGE:
        raise _long_range(model)
    how = {"device": device, "precision": precision, "compile": False}
    if wanted in names():
        return pretrained.ORB_PRETRAINED_MODELS[wanted](weights_path=str(file), **how)
    described = _description(model, wanted)
    network = getattr(pretrained, described["function"])(device=device, **described["arguments"])
    network = pretrained.load_model(network, str(file), **how)
    if network.pair_repulsion:
        network.pair_repulsion_fn.node_aggregation = described["zbl"]
    return network, ForcefieldAtomsAdapter(RADIUS_ANG, described["max_num_neighbors"])


def _description(model: Model, wanted: Any) -> dict[str, Any]:
    """Read an architecture that has no name of its own."""
    from orb_models.forcefield import pretrained

    if not str(wanted).startswith("{"):
        said = "no architecture was asked for" if wanted is None else f"orb has no architecture {wanted!r}"
        raise WorkerError(f"{model.name}: {said}; an Orb checkpoint is one of, or trained from: {', '.join(names())}")
    functions = [name for name in vars(pretrained) if name.endswith("_architecture")]
    defaults = {"arguments": {}, "max_num_neighbors": 120, "zbl": "sum"}
    try:
        described = defaults | json.loads(wanted)
        good = (
            described.keys() == defaults.keys() | {"function"}
            and described["function"] in functions
            and isinstance(described["arguments"], dict)
            and isinstance(described["max_num_neighbors"], int)
            and described["max_num_neighbors"] > 0
            and described["zbl"] in ("sum", "mean")
        )
    except ValueError as error:
        raise WorkerError(f"{model.name}: the option architecture is not JSON ({sentence(error)})") from error
    if not good:
        keys = ", ".join(sorted(defaults))
        raise WorkerError(
            f"{model.name}: the option architecture needs a function ({', '.join(functions)}), and may have {keys}"
        )
    return described


def _misfit(model: Model, file: Path, why: str) -> WorkerError:
    short = textwrap.shorten(why, 200, placeholder="…")
    return WorkerError(f"{model.name}: {file} does not fit the architecture that is given ({short})")


def _long_range(model: Model) -> WorkerError:
    return WorkerError(f"{model.name}: orb models with long-range electrostatics ({LONG_RANGE}) are not supported")


def names() -> tuple[str, ...]:
    """Names of models that `fetch` takes, and that an architecture may have."""
    from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS

    return tuple(
        name
        for name, loader in ORB_PRETRAINED_MODELS.items()
        # those that predict only a dispersion energy, and those that are withdrawn
        if not name.startswith("separate-")
        and name != LONG_RANGE
        and "precision" in inspect.signature(loader).parameters
    )


def fetch(name: str, folder: Path) -> Path:
    """Download weights with the package's own code into an empty folder.

    Raises
    ------
    WorkerError
        The package has no such weights.
    """
    from cached_path import cached_path
    from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS

    if name not in names():
        raise WorkerError(f"orb has no weights {name!r}, only {', '.join(names())}")
    url = inspect.signature(ORB_PRETRAINED_MODELS[name]).parameters["weights_path"].default
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        brought = cached_path(url, cache_dir=scratch, quiet=True)
        return Path(shutil.move(brought.resolve(), folder / f"{name}.ckpt"))
