"""SevenNet: SevenNet-0, l3i5, multi-fidelity models, and checkpoints trained by users."""

from __future__ import annotations

import copy
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from worker import accelerator
from worker.errors import WorkerError, sentence
from worker.families.base import (
    Result,
    atoms_that_fit,
    check_options,
    existing_weights,
    unknown_bundled,
)
from worker.families.numpy_pickles import harmless
from worker.late_imports import TORCH_GEOMETRIC, late_imports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("sevenn", "e3nn", "torch")
IMPORTS = ("torch", "sevenn.calculator", "sevenn.checkpoint")
FRAMEWORK = "torch"
DTYPES = ("float32",)
HOSTS = ("github.com",)

# what is trained, looked at and made formulas and data sets with (`worker.late_imports`)
LATE = {
    "e3nn.o3._angular_spherical_harmonics": ("sympy",),
    "sevenn.checkpoint": ("pandas",),
    "sevenn.train.dataset": ("sklearn.linear_model",),
    **TORCH_GEOMETRIC,
}

# names and their constants in `sevenn._const`: those that ship in the wheel, with the sha256 of their files, and those
# that the package downloads
BUNDLED = {
    "7net-0": ("SEVENNET_0_11Jul2024", "7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36"),
    "7net-0_22may2024": ("SEVENNET_0_22May2024", "5d389fafd512e6ae2830d74d0b66ffc49a55d3832653ff8e7bf7f1343013c1d1"),
    "7net-l3i5": ("SEVENNET_l3i5", "a7ff190d41efe5b8317a03d20a468e4036a1a3e64e0b14fdbab64ac3f4bfc09d"),
    "7net-mf-0": ("SEVENNET_MF_0", "81791329b37d445f46b531578c182c41792d98c7814222c9e5dde276402225fd"),
}
FETCHED = {
    "7net-mf-ompa": "SEVENNET_MF_ompa",
    "7net-omat": "SEVENNET_omat",
    "7net-omni": "SEVENNET_omni",
    "7net-omni-i8": "SEVENNET_omni_i8",
    "7net-omni-i12": "SEVENNET_omni_i12",
}
# kernels that the package can compute with, and its argument that asks for them
KERNELS = {"FlashTP": "enable_flash", "OpenEquivariance": "enable_oeq", "cuequivariance": "enable_cueq"}
# a network of usual size is converted in 2 to 5 s, while a GPU does some thousand atoms a second
REPAID_ATOMS = 20_000
# the model's own order is xx yy zz xy yz zx, and its sign is that of a pressure
_TO_ASE = [0, 1, 2, 4, 5, 3]


@dataclass
class SevenNet:
    """A loaded SevenNet; `single` is the package's own ASE calculator, which holds the network of `content`."""

    single: Any
    content: Any
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
        return atoms_that_fit(device, on_cpu=96, gpu_mb_per_atom=12.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        self.single.model.set_is_batch_data(False)
        return self.single

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one forward and one backward pass."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> Any:
        """Make the package's graphs, joined to one."""
        from sevenn import _keys as key
        from sevenn.atom_graph_data import AtomGraphData
        from sevenn.train.dataload import unlabeled_atoms_to_graph
        from torch_geometric.loader.dataloader import Collater

        graphs = []
        for atoms in batch:
            graph = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, self.cutoff_ang))
            if self.single.modal:
                graph[key.DATA_MODALITY] = self.single.modal
            graphs.append(graph)
        return Collater([], follow_batch=None, exclude_keys=None)(graphs)

    def answer(self, batch: Sequence[Atoms], graphs: Any) -> list[Result]:
        """Evaluate a joined graph."""
        from sevenn import _keys as key

        self.single.model.set_is_batch_data(True)
        try:
            output = self.single.model(graphs.to(self.single.device))
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
    """Import the package without what few of its functions need, and without torch's compiler, which none calls.

    e3nn marks a function that the compiler must leave as it is: as long as nothing is compiled, that is the function.
    """
    import torch

    with late_imports(LATE), mock.patch.object(torch.compiler, "disable", lambda function: function):
        yield


def load(model: Model, device: str, dtype: str) -> SevenNet:  # noqa: ARG001 - DTYPES has one entry
    """Load a checkpoint without running code from it.

    Raises
    ------
    WorkerError
        There is no such checkpoint, it is not SevenNet's, or the modal does not fit it.
    """
    check_options(model, ["modal"])
    file = existing_weights(model, model.checkpoint.path or bundled(model)[0])
    modal = model.options.get("modal")
    try:
        content = _read(file)
        single = _calculator(content, device, modal)
    except Exception as error:
        if isinstance(error, ValueError) and "modal" in str(error):  # missing or unknown; the message lists them
            raise WorkerError(f"{model.name}: {error}") from error
        raise WorkerError(f"{model.name}: {file} is not a SevenNet checkpoint ({sentence(error)})") from error
    if modal and single.modal is None:  # the package only warns
        raise WorkerError(f"{model.name}: this checkpoint has no modals, and {modal!r} was asked for")
    return SevenNet(single, content, model.checkpoint.sha256)


def _calculator(content: Any, device: str, modal: str | None, **kernels: bool) -> Any:
    from sevenn import util
    from sevenn.calculator import SevenNetCalculator
    from sevenn.nn import convolution

    from worker.families.late_products import LateProduct, moments_made_once

    with ExitStack() as stack:
        stack.enter_context(moments_made_once())
        # products that are made to ask for their irreps alone need no code: of 1.1 s that it took to load, 0.4 s
        without_code = partial(util.FullTensorProduct, compile_left_right=False)
        stack.enter_context(mock.patch.object(util, "FullTensorProduct", without_code))
        if device == "cpu":  # where the fused convolution takes their place
            stack.enter_context(mock.patch.object(convolution, "TensorProduct", LateProduct))
        network = content.build_model(**kernels)
    single = SevenNetCalculator(model=network, file_type="model_instance", device=device, modal=modal)
    single.model.requires_grad_(False)
    return single


def accelerators(potential: SevenNet, device: str) -> list[accelerator.Offer]:
    """Offer faster networks."""
    if device == "cpu":
        return [accelerator.Offer(accelerator.FUSED, partial(_fused, potential))]
    return accelerator.kernels(
        {kernel: partial(sevennet_with_kernel, potential, kernel) for kernel in KERNELS}, REPAID_ATOMS
    )


def sevennet_with_kernel(potential: SevenNet, kernel: str) -> SevenNet:
    """Build a network once more, to be computed by one of `KERNELS`.

    Raises
    ------
    WorkerError
        The package has gone on without.
    """
    plain = potential.single
    single = _calculator(potential.content, str(plain.device), plain.modal, **{KERNELS[kernel]: True})
    accelerator.require(single.model, kernel)  # the package only warns
    return replace(potential, single=single)


def _fused(potential: SevenNet) -> SevenNet:
    """Let a network compute its convolutions in the way that is fast on CPUs.

    Raises
    ------
    WorkerError
        It can compute none of them.
    """
    from sevenn import _keys as key

    from worker.families.convolution import with_convolutions

    single = copy.copy(potential.single)
    single.model = with_convolutions(single.model, key.EDGE_IDX)
    return replace(potential, single=single)


def _read(file: Path) -> Any:
    """Read a checkpoint with nothing but numbers, texts and arrays allowed; raise whatever that raises.

    The package's own reader asks torch to unpickle whatever there is, so torch is told what it may do.
    """
    import torch
    from sevenn.checkpoint import SevenNetCheckpoint

    content = SevenNetCheckpoint(file)
    with torch.serialization.safe_globals(harmless()), mock.patch.dict(os.environ, TORCH_FORCE_WEIGHTS_ONLY_LOAD="1"):
        _ = content.config  # reads the file, and keeps what is in it
    return content


def fetch(name: str, folder: Path) -> Path:
    """Download a checkpoint with the package's own code, which by itself would put it beside its own files."""
    from sevenn import _const, util

    if name not in FETCHED:
        raise WorkerError(f"sevenn has no weights {name!r} to download, only {', '.join(FETCHED)}")
    place = getattr(_const, FETCHED[name])
    return Path(util.download_checkpoint(str(folder / Path(place).name), _const.CHECKPOINT_DOWNLOAD_LINKS[place]))


def bundled(model: Model) -> tuple[Path, str]:
    """Return the file of a model that ships in the wheel, and its sha256; raise `WorkerError` where there is none."""
    name = model.checkpoint.bundled
    if name not in BUNDLED:
        raise unknown_bundled(model, BUNDLED)
    from sevenn import _const

    constant, sha256 = BUNDLED[name]
    return Path(os.fspath(getattr(_const, constant))), sha256
