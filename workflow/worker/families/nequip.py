"""NequIP and Allegro: packages (`.nequip.zip`), published or of users' own, and checkpoints of training (`.ckpt`)."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import partial, partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast
from unittest import mock

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress

from worker import accelerator
from worker import compiled as compiled_networks
from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights, to_float64
from worker.prepare import prepare_structure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase.calculators.calculator import Calculator

    from worker.families.base import Potential
    from worker.job import Model

DISTRIBUTIONS = ("nequip", "nequip-allegro", "e3nn", "torch")
IMPORTS = ("torch", "nequip.integrations.ase")
FRAMEWORK = "torch"
DTYPES = ("as-trained",)
HOSTS = ("www.nequip.net",)

COMPILED = "compiled network"
# compiling took 30 to 45 s of one core, from the smallest Allegro to one of l_max 3; a middle-sized one then saved 4 ms
# an atom, the large one 39, the smallest 0.05; loading takes a second
COMPILING_REPAID_ATOMS = 10_000
LOADING_REPAID_ATOMS = 2_000
COMPANIONS_ANG = 1.0

PACKAGE = ".nequip.zip"  # the package's code takes every other name for a checkpoint of training
SILENCE_S = 60.0


@dataclass
class NequIP:
    """A loaded NequIP or Allegro; `single` is the package's own ASE calculator, which holds the network."""

    single: Any
    checkpoint_sha256: str | None
    cutoff_ang: float
    elements: frozenset[int]
    dtype: str
    gives_stress: bool
    is_allegro: bool
    takes_charge: bool = False
    conservative: bool = True

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        # On CPUs Allegro's tensors of edges are soon larger than the processor's cache. On GPUs nothing was measured: a
        # careful guess at what networks of the largest published sizes keep of a dense solid.
        return atoms_that_fit(device, on_cpu=8 if self.is_allegro else 32, gpu_mb_per_atom=30.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        return self.single

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one forward and one backward pass."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> Any:
        """Make the package's graphs, joined to one."""
        from nequip.data import AtomicDataDict, from_ase

        graphs = []
        for atoms in batch:
            graph = from_ase(atoms)
            for transform in self.single.transforms:
                graph = transform(graph)
            graphs.append(graph)
        return AtomicDataDict.batched_from_list(graphs)

    def answer(self, batch: Sequence[Atoms], graphs: Any) -> list[Result]:
        """Evaluate a joined graph."""
        from nequip.data import AtomicDataDict as Keys

        output = self.single.call_model(Keys.to_(graphs, self.single.device))
        energies = to_float64(output[Keys.TOTAL_ENERGY_KEY]).reshape(-1)
        forces = np.split(to_float64(output[Keys.FORCE_KEY]), np.cumsum([len(atoms) for atoms in batch])[:-1])
        stresses: Any = [None] * len(batch)
        if self.gives_stress:
            stresses = full_3x3_to_voigt_6_stress(to_float64(output[Keys.STRESS_KEY]).reshape(-1, 3, 3))
        return [Result(float(e), f, s) for e, f, s in zip(energies, forces, stresses, strict=True)]


def load(model: Model, device: str, dtype: str) -> NequIP:  # noqa: ARG001 - DTYPES has one entry
    """Load a package or a checkpoint of training.

    A package holds the source code of its network, a checkpoint is a pickle: a file from a stranger runs the stranger's
    code.

    Raises
    ------
    WorkerError
        There is no such file, it is not NequIP's, or its atom types are no elements.
    """
    check_options(model, [])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: nequip ships no weights, and {model.checkpoint.bundled!r} was asked for")
    file = existing_weights(model, model.checkpoint.path)
    single = _calculator(model, file, device)
    single.model.requires_grad_(False)
    about = single.model.metadata
    types = about["type_names"].split(" ")
    outputs = single.model.irreps_out
    if "forces" not in outputs:
        raise WorkerError(f"{model.name}: {file} predicts no forces")
    return NequIP(
        single,
        model.checkpoint.sha256,
        cutoff_ang=float(about["r_max"]),
        elements=frozenset(atomic_numbers[name] for name in types),
        dtype=about["model_dtype"],
        gives_stress="stress" in outputs,
        is_allegro=any("allegro" in type(part).__module__ for part in single.model.modules()),
    )


def accelerators(potential: NequIP, device: str) -> list[accelerator.Offer]:
    """Offer a faster network on CPUs; Allegro has none of these layers."""
    if device != "cpu" or not _layers(potential):
        return []
    return [accelerator.Offer(accelerator.FUSED, partial(_fused, potential))]


def compiled(model: Model, potential: NequIP, device: str) -> list[accelerator.Offer]:
    """Offer a compiled network for Allegro on CPUs."""
    import torch

    if device != "cpu" or not potential.is_allegro or not potential.checkpoint_sha256 or not model.checkpoint.path:
        return []
    about = compiled_networks.depends_on(potential.checkpoint_sha256, DISTRIBUTIONS, torch.get_num_threads())
    known = replace(model, checkpoint=replace(model.checkpoint, sha256=potential.checkpoint_sha256))
    is_kept = compiled_networks.kept(about) is not None
    return [
        accelerator.Offer(
            COMPILED,
            partial(_compiled, potential, about),
            repaid_atoms=LOADING_REPAID_ATOMS if is_kept else COMPILING_REPAID_ATOMS,
            prepare=None if is_kept else partial(compiled_networks.compile_apart, about, known),
            by_size=True,
        )
    ]


def _compiled(potential: NequIP, about: dict[str, Any]) -> NequIP:
    from worker.families.nequip_compiled import Compiled

    file = compiled_networks.kept(about)
    if file is None:
        raise WorkerError("the compiled network that was kept is gone")
    pair = Atoms([min(potential.elements)] * 2, [[0.0, 0.0, 0.0], [0.0, 0.0, COMPANIONS_ANG]])
    companion = potential.graphs([prepare_structure(pair, potential.cutoff_ang).atoms])
    return _with_network(potential, Compiled(file, companion, stress=potential.gives_stress))


def compile_network(potential: NequIP, model: Model, out: Path) -> None:
    """Compile a network, with another batch as its example than the one that it is then asked about."""
    from worker.families.nequip_compiled import compile_graphs

    asked = [prepared.atoms for prepared in accelerator.structures_asked(model, cast("Potential", potential))[1:]]
    compile_graphs(potential.single.model, potential.graphs(asked), out, stress=potential.gives_stress)


def _layers(potential: NequIP) -> dict[str, Any]:
    """Layers that multiply nodes with filters and sum over edges, by their names."""
    parts = potential.single.model.named_modules()
    return {name: part for name, part in parts if type(part).__name__ == "TensorProductScatter"}


def _fused(potential: NequIP) -> NequIP:
    """Let a network compute its convolutions in the way that is fast on CPUs.

    Raises
    ------
    WorkerError
        It can compute none of them.
    """
    import torch

    from worker.families.convolution import convolutions_of, exchanged, twin

    def forward(convolution: Any, x: Any, edge_attr: Any, edge_weight: Any, edge_dst: Any, edge_src: Any) -> Any:
        return convolution(x, edge_attr, edge_weight, edge_src, edge_dst)

    layers = _layers(potential)
    products = {name: layer.tp for name, layer in layers.items()}
    changed = {}
    for name, convolution in convolutions_of(products, getattr(torch, potential.dtype)).items():
        changed[name] = twin(layers[name])
        changed[name].forward = partial(forward, convolution)
    return _with_network(potential, exchanged(potential.single.model, changed))


def _with_network(potential: NequIP, network: Any) -> NequIP:
    single = copy.copy(potential.single)
    single.model = network
    return replace(potential, single=single)


def _calculator(model: Model, file: Path, device: str) -> Any:
    import nequip.model
    from nequip.integrations.ase import NequIPCalculator

    elsewhere = partial(_elsewhere, model, file)
    try:
        # a checkpoint of fine-tuning names the file that it began with, which nobody has hashed
        with mock.patch.multiple(nequip.model, ModelFromPackage=elsewhere, ModelFromCheckpoint=elsewhere):
            return NequIPCalculator._from_saved_model(  # noqa: SLF001 - eager models have no other loader
                str(file), device=device, chemical_species_to_atom_type_map=True
            )
    except WorkerError:
        raise
    except Exception as error:
        if "chemical symbol" in str(error):
            raise WorkerError(f"{model.name}: atom types of {file} are no elements ({sentence(error)})") from error
        packaged = file.name.endswith(PACKAGE)
        what, hint = ("package", "") if packaged else ("checkpoint", f"; the name of a package ends with {PACKAGE}")
        raise WorkerError(f"{model.name}: {file} is not a NequIP {what} ({sentence(error)}){hint}") from error


def _elsewhere(model: Model, file: Path, *_: Any, **__: Any) -> NoReturn:
    raise WorkerError(
        f"{model.name}: {file} was trained from another file, without which it does not load; make a package of it: "
        "`nequip-package build`"
    )


def fetch(name: str, folder: Path) -> Path:
    """Download a package with the library's own code into an empty folder."""
    import requests
    from nequip.model.saved_models import load_utils

    # its own calls wait for ever, and requests does not heed the default of sockets
    patient = partialmethod(requests.Session.request, timeout=SILENCE_S)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, mock.patch.object(requests.Session, "request", patient):
        os.environ["NEQUIP_CACHE_DIR"] = scratch
        with load_utils._get_model_file_path(f"nequip.net:{name}") as brought:  # noqa: SLF001
            arrived = folder / f"{name.rpartition('/')[2].replace(':', '-')}{PACKAGE}"
            return Path(shutil.move(brought, arrived))
