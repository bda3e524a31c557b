"""GRACE: models exported by gracemaker as TensorFlow SavedModels, published or trained by users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress

from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("tensorpotential", "matscipy", "tensorflow")
IMPORTS = ("tensorflow", "tensorpotential.calculator")
FRAMEWORK = "tensorflow"
DTYPES = ("as-trained",)
HOSTS = ("huggingface.co",)

FILES = ("saved_model.pb", "variables/variables.index")
BEYOND_ANG = 52.0  # along each axis; the package's own value for neighbours that are none
FEWEST_ATOMS, FEWEST_BONDS = 16, 512  # of a padded graph
_PAIR_FORCES = "z_pair_f"


@dataclass
class Grace:
    """A loaded GRACE; `single` is the package's own ASE calculator, which holds the network."""

    single: Any
    checkpoint_sha256: str | None
    dtype: str
    takes_charge: bool = False
    gives_stress: bool = True
    conservative: bool = True
    compiles_by_shape: bool = True

    @property
    def cutoff_ang(self) -> float:
        """Cutoff of one layer in Å."""
        return float(self.single.cutoff)

    @property
    def elements(self) -> frozenset[int]:
        """Elements of the checkpoint's metadata."""
        return frozenset(atomic_numbers[symbol] for symbol in self.single.element_map)

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        # of two layers at the package's default size; one layer needs a tenth
        needed = 16.0 if self.dtype == "float32" else 32.0
        return atoms_that_fit(device, on_cpu=64, gpu_mb_per_atom=needed)

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        return self.single

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures as one graph of several parts."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> tuple[dict[str, Any], list[int]]:
        """Make one padded graph of several parts, and count the bonds of each part."""
        from tensorpotential import constants as key

        builder = self.single.geom_data_builder
        graphs = [builder.extract_from_ase_atoms(atoms) for atoms in batch]
        joined = builder.join_to_batch(graphs)
        n_atoms, n_bonds = int(joined[key.N_ATOMS_BATCH_REAL]), int(joined[key.N_NEIGHBORS_REAL])
        shape = {
            key.PAD_MAX_N_STRUCTURES: len(batch) + 1,
            key.PAD_MAX_N_ATOMS: padded(n_atoms, FEWEST_ATOMS) + 1,  # the last atom is where surplus bonds end
            key.PAD_MAX_N_NEIGHBORS: padded(n_bonds, FEWEST_BONDS),
        }
        builder.pad_batch(joined, shape)
        return joined, [int(graph[key.N_NEIGHBORS_REAL]) for graph in graphs]

    def answer(self, batch: Sequence[Atoms], graphs: tuple[dict[str, Any], list[int]]) -> list[Result]:
        """Evaluate a padded graph.

        The network returns totals of the graph; those of a structure are sums over its atoms and bonds.
        """
        import tensorflow as tf
        from tensorpotential import constants as key

        joined, parts_bonds = graphs
        n_atoms, n_bonds = sum(map(len, batch)), sum(parts_bonds)
        vectors = joined[key.BOND_VECTOR][:n_bonds]
        found = self.single.models[0].compute(
            {name: tf.convert_to_tensor(joined[name]) for name in self.single.data_keys}
        )
        energies = found[key.PREDICT_ATOMIC_ENERGY].numpy().reshape(-1)[:n_atoms].astype(np.float64)
        forces, pulls = found[key.PREDICT_FORCES].numpy()[:n_atoms], found[_PAIR_FORCES].numpy()[:n_bonds]
        atom_ends = np.cumsum([len(atoms) for atoms in batch])[:-1]
        bond_ends = np.cumsum(parts_bonds)[:-1]
        parts = zip(
            batch,
            np.split(energies, atom_ends),
            np.split(forces, atom_ends),
            np.split(pulls, bond_ends),
            np.split(vectors, bond_ends),
            strict=True,
        )
        return [Result(float(e.sum()), f, _stress(p, v, atoms.get_volume())) for atoms, e, f, p, v in parts]


def padded(size: int, smallest: int) -> int:
    """Round up to a power of two times `smallest`, or to one and a half times that.

    XLA recompiles, for seconds, for each number of atoms or bonds that it has not met before.
    """
    step = smallest
    while step < size:
        step *= 2
    return max(smallest, 3 * step // 4) if 3 * step // 4 >= size else step


def load(model: Model, device: str, dtype: str) -> Grace:  # noqa: ARG001 - the file decides, TensorFlow places
    """Load a SavedModel.

    It is a program in TensorFlow's operations, some of which can read and write files: one from a stranger
    does what the stranger wants.

    Raises
    ------
    WorkerError
        There is no such folder, it is not a SavedModel, or not one of GRACE.
    """
    check_options(model, [])
    folder = _checked(model)
    from tensorpotential.calculator import TPCalculator

    try:
        single = TPCalculator(str(folder), enable_uq_if_available=False)
        outputs = single.models[0].signatures["compute"].structured_outputs
        precision = _precision(folder)
    except Exception as error:
        raise WorkerError(f"{model.name}: {folder} is not a GRACE model ({sentence(error)})") from error
    if _PAIR_FORCES not in outputs or len(single.data_builders) > 1:
        raise WorkerError(f"{model.name}: {folder} is not a GRACE model of energies that depend on positions alone")
    builder = single.geom_data_builder
    builder.extract_from_ase_atoms = partial(_graph, builder.extract_from_ase_atoms)
    return Grace(single, model.checkpoint.sha256, precision)


def fetch(name: str, folder: Path) -> Path:
    """Download published weights."""
    from tensorpotential.calculator import foundation_models

    if name not in foundation_models.MODELS_METADATA:
        raise WorkerError(f"tensorpotential knows no weights {name!r}")
    foundation_models.FOUNDATION_CACHE_DIR = str(folder)  # set from the environment when it was imported
    brought = Path(foundation_models.get_or_download_model(name))
    # it holds the time of the download, which would be part of the hash
    (brought / foundation_models.ORIGIN_SIDECAR).unlink(missing_ok=True)
    return brought


def _checked(model: Model) -> Path:
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: grace ships no weights, fetch them or name a folder")
    folder = existing_weights(model, model.checkpoint.path, folder=True)
    missing = [name for name in FILES if not (folder / name).is_file()]
    raw = sorted(folder.glob("checkpoint*.index")) + sorted(folder.glob("checkpoints/checkpoint*.index"))
    if missing and raw:
        best = next((file for file in raw if "best_test_loss" in file.name), raw[0])
        settings = next((place for place in (folder, folder.parent) if (place / "model.yaml").is_file()), folder)
        command = f"grace_utils -p {settings / 'model.yaml'} -c {best} export -n DIR"
        raise WorkerError(f"{model.name}: {folder} holds gracemaker's checkpoint, export a model: `{command}`")
    if missing:
        raise WorkerError(f"{model.name}: {folder} is not a GRACE model, it lacks {', '.join(missing)}")
    return folder


def _precision(folder: Path) -> str:
    """Precision of the weights; what goes in and comes out is always double."""
    import tensorflow as tf

    kinds = tf.train.load_checkpoint(str(folder / "variables/variables")).get_variable_to_dtype_map()
    used = {kind.name for name, kind in kinds.items() if not name.startswith("_gmm_uq_model")}
    return "float32" if "float32" in used else "float64"


def _graph(extract: Callable[[Atoms], dict[str, Any]], atoms: Atoms) -> dict[str, Any]:
    """Return the package's neighbour list, without its effects on the structure and on atoms without neighbours.

    To those it gives a neighbour at a distance made of the cell's components. It should lie beyond the cutoff,
    but does not if they are negative. Such a bond joins no two sites of the lattice.
    """
    from tensorpotential import constants as key

    graph = extract(atoms.copy())
    i, j, vectors = graph[key.BOND_IND_I], graph[key.BOND_IND_J], graph[key.BOND_VECTOR]
    away = atoms.positions[j] - atoms.positions[i] - vectors
    cells = np.linalg.solve(atoms.cell.array.T, away.T).T
    made_up = (np.bincount(i, minlength=len(atoms))[i] == 1) & (np.abs(cells - np.rint(cells)).max(axis=1) > 1e-6)
    vectors[made_up] = BEYOND_ANG
    return graph


def _stress(pulls: np.ndarray, vectors: np.ndarray, volume_ang3: float) -> np.ndarray:
    """Stress in eV/Å³, (6,), of pair forces in eV/Å along bonds in Å, both (n_bonds, 3)."""
    virial = pulls.astype(np.float64).T @ vectors
    return -full_3x3_to_voigt_6_stress(0.5 * (virial + virial.T)) / volume_ang3
