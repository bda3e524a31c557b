"""MACE: the foundation models of every generation, and models trained by users."""

from __future__ import annotations

import copy
import importlib
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from worker import accelerator
from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights, to_float64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("mace-torch", "e3nn", "matscipy", "torch")
# `mace` must be imported before `e3nn` is: it lets torch load e3nn's own pickles
IMPORTS = ("torch", "mace.calculators")
FRAMEWORK = "torch"
DTYPES = ("float64", "float32")
HOSTS = ("github.com", "raw.githubusercontent.com")

# what models with Coulomb interactions are made of; the image has none of these packages, and the box that MIRA
# puts a molecule into is too small for them
LONG_RANGE_CLASSES = ("PolarMACE", "MACELES")
LONG_RANGE_PACKAGES = ("graph_longrange", "les")
# inputs of a network for the whole structure, the key of `atoms.info` that each is read from, and its default
STATES = {"total_charge": ("charge", 0.0), "total_spin": ("spin", 1.0)}
# kernels that the package can compute with, and its module that converts a network to them
KERNELS = {"OpenEquivariance": "mace.cli.convert_e3nn_oeq", "cuequivariance": "mace.cli.convert_e3nn_cueq"}
# a network of usual size is converted in 5 to 10 s, while a GPU does some thousand atoms a second
REPAID_ATOMS = 50_000
_VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


@dataclass
class Mace:
    """A loaded MACE; `single` is the package's own ASE calculator, which holds the network."""

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
        """Cutoff of one interaction in Å."""
        return float(self.single.r_max)

    @property
    def elements(self) -> frozenset[int]:
        """Elements of the checkpoint."""
        return frozenset(int(z) for z in self.single.z_table.zs)

    @property
    def takes_charge(self) -> bool:
        """True if the network has an input for the total charge."""
        return "total_charge" in self._embedded

    @property
    def _embedded(self) -> dict[str, dict[str, Any]]:
        return dict(getattr(self.network, "embedding_specs", None) or {})

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        # measured on networks of 128, 512 and 1152 features an atom, doubled for solids denser than copper
        width = self.network.products[0].linear.irreps_out.dim
        gpu_mb_per_atom = (5 + 0.04 * width) * (1.0 if self.dtype == "float64" else 0.6)
        return atoms_that_fit(device, on_cpu=32, gpu_mb_per_atom=gpu_mb_per_atom)

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        return self.single

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one forward and one backward pass.

        Raises
        ------
        PropertyNotImplementedError
            The network knows no such charge or spin.
        """
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> Any:
        """Make the package's graphs, joined to one."""
        from mace.tools.torch_geometric import Batch

        return Batch.from_data_list([self._graph(atoms) for atoms in batch])

    def answer(self, batch: Sequence[Atoms], graphs: Any) -> list[Result]:
        """Evaluate a joined graph."""
        output = self.network(graphs.to(self.single.device).to_dict(), compute_stress=True)
        energies, forces, stresses = (to_float64(output[name]) for name in ("energy", "forces", "stress"))
        ends = np.cumsum([len(atoms) for atoms in batch])[:-1]
        return [
            Result(float(e), f, ((s + s.T) / 2)[_VOIGT])
            for e, f, s in zip(energies, np.split(forces, ends), stresses, strict=True)
        ]

    def _graph(self, atoms: Atoms) -> Any:
        from mace.data import AtomicData, KeySpecification, config_from_atoms
        from mace.tools.torch_tools import default_dtype

        self._refuse_unknown_states(atoms)
        keys = KeySpecification(info_keys={name: key for name, (key, _) in STATES.items()}, arrays_keys={})
        with default_dtype(self.dtype):
            return AtomicData.from_config(
                config_from_atoms(atoms, key_specification=keys, head_name=self.single.head),
                z_table=self.single.z_table,
                cutoff=self.cutoff_ang,
                heads=self.single.available_heads,
            )

    def _refuse_unknown_states(self, atoms: Atoms) -> None:
        """Refuse charges and spins without an embedding: MACE cuts off fractions, and a GPU is lost at a bad index."""
        from ase.calculators.calculator import PropertyNotImplementedError

        for name in STATES.keys() & self._embedded.keys():
            spec = self._embedded[name]
            key, default = STATES[name]
            value = float(atoms.info.get(key, default))
            index = value + spec.get("offset", 0)
            if spec["type"] == "categorical" and not (index.is_integer() and 0 <= index < spec["num_classes"]):
                raise PropertyNotImplementedError(f"the model knows no {key} of {value:g}")


def load(model: Model, device: str, dtype: str) -> Mace:
    """Load a checkpoint.

    Checkpoints of this family are pickles: a file from a stranger runs the stranger's code.

    Raises
    ------
    WorkerError
        There is no such checkpoint, it is not MACE's, or the head does not fit it.
    """
    check_options(model, ["head"])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: mace ships no weights, and {model.checkpoint.bundled!r} was asked for")
    file = existing_weights(model, model.checkpoint.path)
    from mace.calculators import MACECalculator

    network = _unpickled(model, file, device)
    heads = [str(head) for head in getattr(network, "heads", None) or ["Default"]]
    # given the network, as a path would be taken for a pattern and `[1]` in a name for a set of letters
    single = MACECalculator(models=[network], device=device, default_dtype=dtype, head=_head(model, heads))
    network.requires_grad_(False)
    return Mace(single, model.checkpoint.sha256, dtype)


def accelerators(potential: Mace, device: str) -> list[accelerator.Offer]:
    """Offer faster networks."""
    if device == "cpu":
        return [accelerator.Offer(accelerator.FUSED, partial(_fused, potential))]
    if type(potential.network).__name__ != "ScaleShiftMACE":  # the package converts no other kind
        return []
    return accelerator.kernels(
        {kernel: partial(mace_with_kernel, potential, kernel) for kernel in KERNELS}, REPAID_ATOMS
    )


def mace_with_kernel(potential: Mace, kernel: str) -> Mace:
    """Convert a network to one of `KERNELS`.

    Raises
    ------
    WorkerError
        The package has gone on without.
    """
    from mace.tools.torch_tools import default_dtype

    with default_dtype(potential.dtype):  # which the package sets for good
        # it takes `cuda`, but not `cuda:0`, for a GPU on which products and sums can be fused
        convert = importlib.import_module(KERNELS[kernel]).run
        network = convert(potential.network, device=potential.single.device.type)
    accelerator.require(network, kernel)
    return _with_network(potential, network.requires_grad_(False))


def _with_network(potential: Mace, network: Any) -> Mace:
    single = copy.copy(potential.single)
    single.models = [network]
    return replace(potential, single=single)


def _fused(potential: Mace) -> Mace:
    """Let a network compute its convolutions in the way that is fast on CPUs.

    Raises
    ------
    WorkerError
        It can compute none of them.
    """
    import torch

    from worker.families.convolution import convolutions_of, twin

    def forward(convolution: Any, nodes: Any, filters: Any, weights: Any, ends: Any) -> Any:
        return convolution(nodes, filters, weights, ends[0], ends[1])

    network = twin(potential.network)
    network.interactions = twin(network.interactions)
    layers = dict(network.interactions.named_children())
    products = {
        name: layer.conv_tp
        for name, layer in layers.items()
        if hasattr(layer, "conv_tp") and not hasattr(layer, "conv_fusion")
    }
    for name, convolution in convolutions_of(products, getattr(torch, potential.dtype)).items():
        changed = twin(layers[name])
        del changed.conv_tp  # a function takes its place
        # the switch of MACE's own accelerators: the product is then asked for the sum over the edges as well
        changed.conv_fusion, changed.conv_tp = True, partial(forward, convolution)
        setattr(network.interactions, name, changed)
    return _with_network(potential, network)


def _unpickled(model: Model, file: Path, device: str) -> Any:
    import torch
    from mace.modules import MACE

    long_range = WorkerError(
        f"{model.name}: {file} has long-range electrostatics (MACE-POLAR, MACE-LES), which MIRA does not support"
    )
    try:
        network = torch.load(file, map_location=device, weights_only=False)
    except Exception as error:
        if isinstance(error, ImportError) and str(error.name).partition(".")[0] in LONG_RANGE_PACKAGES:
            raise long_range from error
        raise WorkerError(f"{model.name}: {file} is not a MACE model ({sentence(error)})") from error
    kind = type(network).__name__
    if kind in LONG_RANGE_CLASSES:
        raise long_range
    if not isinstance(network, MACE):
        raise WorkerError(f"{model.name}: {file} is not a MACE model (it is of type {kind})")
    return network


def _head(model: Model, heads: list[str]) -> str:
    """Choose a head; the package would take the last one in place of one that it does not know."""
    wanted = model.options.get("head")
    if wanted is None and len(heads) == 1:
        return heads[0]
    if wanted not in heads:
        said = "no head was asked for" if wanted is None else f"it has no head {wanted!r}"
        raise WorkerError(f"{model.name}: {said}; heads of this checkpoint: {', '.join(heads)}")
    return str(wanted)


def names() -> tuple[str, ...]:
    """Names of weights that `fetch` takes: the package's loader, and its name for the model."""
    from mace.calculators import foundations_models as models

    mp = (f"mace_mp:{name}" for name in models.mace_mp_urls)
    off = (f"mace_off:{name}" for name in models.mace_off_urls)
    return (*mp, *off, "mace_omol:extra_large", "mace_anicc")


def fetch(name: str, folder: Path) -> Path:
    """Download weights with the package's own code into an empty folder.

    Raises
    ------
    WorkerError
        The package has no such weights.
    """
    from mace.calculators import foundations_models as models

    if name not in names():
        raise WorkerError(f"mace has no weights {name!r}, only {', '.join(names())}")
    loader, _, variant = name.partition(":")
    models.torch = SimpleNamespace(load=lambda *_, **__: None)  # or it would run what arrived before anybody hashed it
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch
        if loader == "mace_mp":
            models.download_mace_mp_checkpoint(variant)
        elif loader == "mace_anicc":  # by itself it writes into the installed package
            models.mace_anicc(device="cpu", model_path=f"{scratch}/anicc.model", return_raw_model=True)
        else:
            getattr(models, loader)(variant, device="cpu", return_raw_model=True)
        (brought,) = (path for path in Path(scratch).rglob("*") if path.is_file())
        return Path(shutil.move(brought, folder / f"{variant or loader}.model"))
