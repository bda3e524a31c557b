"""TACE and TECE: the published models, and models trained by users."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress

from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights, to_float64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("tace", "torch-geometric", "e3nn", "torch")
IMPORTS = ("torch", "tace.interface.ase")
FRAMEWORK = "torch"
DTYPES = ("float32", "float64")
HOSTS = ("huggingface.co",)

FIDELITY = "fidelity_idx"  # the level of theory, of those that a network was trained on together


@dataclass
class TACE:
    """A loaded TACE; `single` is the package's own ASE calculator, which holds the network."""

    single: Any
    checkpoint_sha256: str | None
    dtype: str
    elements: frozenset[int]
    gives_stress: bool
    takes_charge: bool = False
    conservative: bool = True

    @property
    def cutoff_ang(self) -> float:
        """Cutoff of one interaction in Å."""
        return float(self.single.cutoff)

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        # on GPUs nothing was measured: a careful guess at what the largest published networks keep of a dense solid
        return atoms_that_fit(device, on_cpu=32, gpu_mb_per_atom=30.0 * (2.0 if self.dtype == "float64" else 1.0))

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        return self.single

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one forward and one backward pass."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> Any:
        """Make the package's graphs, joined to one."""
        from torch_geometric.data import Batch

        return Batch.from_data_list([self._graph(atoms) for atoms in batch])

    def answer(self, batch: Sequence[Atoms], graphs: Any) -> list[Result]:
        """Evaluate a joined graph."""
        output = self.single.model(graphs.to(self.single.device))
        energies = to_float64(output["energy"]).reshape(-1)
        forces = np.split(to_float64(output["forces"]), np.cumsum([len(atoms) for atoms in batch])[:-1])
        stresses: Any = [None] * len(batch)
        if self.gives_stress:
            stresses = full_3x3_to_voigt_6_stress(to_float64(output["stress"]).reshape(-1, 3, 3))
        return [Result(float(e), f, s) for e, f, s in zip(energies, forces, stresses, strict=True)]

    def _graph(self, atoms: Atoms) -> Any:
        """Make a graph as the package's calculator does, which writes into the structure that it is given."""
        from tace.dataset.graph import from_atoms

        single, copy = self.single, atoms.copy()
        copy.info = {FIDELITY: single.fidelity_idx}
        return from_atoms(
            single.element,
            copy,
            single.cutoff,
            max_neighbors=single.max_neighbors,
            target_property=single.target_property,
            embedding_property=single.embedding_property,
            keyspec=single.keySpecification,
            training=False,
            neighborlist_backend=single.neighborlist_backend,
            dtype=single.dtype,
        )


def load(model: Model, device: str, dtype: str) -> TACE:
    """Load a checkpoint.

    Checkpoints of this family are pickles: a file from a stranger runs the stranger's code.

    Raises
    ------
    WorkerError
        There is no such checkpoint, it is not TACE's, what it wants to know cannot be told, or the fidelity does not
        fit it.
    """
    check_options(model, ["fidelity"])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: tace ships no weights, and {model.checkpoint.bundled!r} was asked for")
    file = existing_weights(model, model.checkpoint.path)
    from tace.interface.ase import TACEAseCalc

    try:
        single = TACEAseCalc(str(file), device=device, dtype=dtype)
        network = single.model.readout_fn
        names = [str(one["name"]) for one in network.model_config["fidelity"]]
        elements = frozenset(int(z) for z in single.model.get_atomic_numbers())
    except Exception as error:
        raise WorkerError(f"{model.name}: {file} is not a TACE checkpoint ({sentence(error)})") from error
    if strange := sorted(set(single.embedding_property) - {FIDELITY}):
        raise WorkerError(f"{model.name}: {file} wants to know {', '.join(strange)}, which MIRA does not tell")
    if getattr(network, "les", None) is not None:
        raise WorkerError(f"{model.name}: {file} has long-range interactions, which MIRA does not support")
    if not {"energy", "forces"} <= set(single.target_property):
        raise WorkerError(f"{model.name}: {file} predicts no energy with its slopes as forces")
    single.fidelity_idx = _fidelity(model, names)
    single.model.reset_fidelity_idx(single.fidelity_idx)
    return TACE(single, model.checkpoint.sha256, dtype, elements, gives_stress="stress" in single.target_property)


def _fidelity(model: Model, names: list[str]) -> int:
    """Place of the fidelity that was asked for; the package would take the first where none was."""
    wanted = model.options.get("fidelity")
    if wanted is None and len(names) == 1:
        return 0
    if wanted not in names:
        said = "no fidelity was asked for" if wanted is None else f"it has no fidelity {wanted!r}"
        raise WorkerError(f"{model.name}: {said}; fidelities of this checkpoint: {', '.join(names)}")
    return names.index(str(wanted))


def names() -> tuple[str, ...]:
    """Names of weights that `fetch` takes."""
    from tace.foundations import tace_foundations

    return tuple(tace_foundations)


def fetch(name: str, folder: Path) -> Path:
    """Download a checkpoint by its file, since the package would put it below the user's home.

    Raises
    ------
    WorkerError
        The package has no such weights.
    """
    from huggingface_hub import hf_hub_download
    from tace.foundations import download_link

    if name not in names():
        raise WorkerError(f"tace has no weights {name!r}, only {', '.join(names())}")
    address = download_link.OAM_SERIES[name]
    repository, revision, file = download_link._parse_hf_resolve_url(address)  # noqa: SLF001
    return Path(hf_hub_download(repository, file, revision=revision, local_dir=folder))
