"""MatRIS: the published models, and checkpoints trained by users."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa

from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights, to_float64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("matris", "pymatgen-core", "torch")
IMPORTS = ("torch", "matris.applications.base")
FRAMEWORK = "torch"
DTYPES = ("float32",)
HOSTS = ("github.com",)

FETCHED = (
    "matris_10m_omat",
    "matris_10m_oam",
    "matris_10m_mp",
    "matris_4m_matpes_pbev1",
    "matris_4m_matpes_pbev2",
    "matris_4m_matpes_r2scanv1",
    "matris_4m_matpes_r2scanv2",
)
MAX_Z = 94
# what a fit leaves of the reference energy of an element that its data have not; the smallest other one is 1e-3 eV
NO_REFERENCE_EV = 1e-9


@dataclass
class MatRIS:
    """A loaded MatRIS; `single` is the package's own ASE calculator, which holds the network."""

    single: Any
    device: str
    checkpoint_sha256: str | None
    elements: frozenset[int]
    takes_charge: bool = False
    dtype: str = "float32"
    gives_stress: bool = True
    conservative: bool = True

    @property
    def cutoff_ang(self) -> float:
        """The larger of the cutoffs of pairs and of angles in Å."""
        graphs = self.single.model.graph_converter
        return float(max(graphs.atom_graph_cutoff, graphs.line_graph_cutoff))

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        # on GPUs nothing was measured: a careful guess at what ten layers keep of a dense solid's angles
        return atoms_that_fit(device, on_cpu=16, gpu_mb_per_atom=30.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        return self.single

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures together."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> list[Any]:
        """Make the package's graphs, on the CPU."""
        return [self._graph(atoms) for atoms in batch]

    def answer(self, batch: Sequence[Atoms], graphs: list[Any]) -> list[Result]:
        """Evaluate graphs in one forward and one backward pass."""
        network = self.single.model
        output = network([graph.to(self.device) for graph in graphs], task="efs", mode="torch")
        energies = to_float64(output["e"]).tolist()
        return [
            Result(
                energy * (len(atoms) if network.is_intensive else 1),
                to_float64(force),
                full_3x3_to_voigt_6_stress(to_float64(stress)) * GPa,
            )
            for atoms, energy, force, stress in zip(batch, energies, output["f"], output["s"], strict=True)
        ]

    def _graph(self, atoms: Atoms) -> Any:
        from pymatgen.core import Lattice, Structure

        fractional = atoms.get_scaled_positions(wrap=False)
        structure = Structure(Lattice(atoms.cell.array), atoms.numbers, fractional)
        return self.single.model.graph_converter(
            structure,
            atomic_numbers=atoms.numbers,
            frac_coords=fractional,
            lattice_matrix=atoms.cell.array,
            cart_coords=atoms.positions,
            mode="torch",
            device="cpu",
        )


def load(model: Model, device: str, dtype: str) -> MatRIS:  # noqa: ARG001 - DTYPES has one entry
    """Load a checkpoint without running code from it.

    Raises
    ------
    WorkerError
        There is no such checkpoint, it is not MatRIS's, or its forces are no gradient.
    """
    check_options(model, [])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: matris ships no weights, and {model.checkpoint.bundled!r} was asked for")
    file = existing_weights(model, model.checkpoint.path)
    from matris.applications.base import MatRISCalculator

    try:
        # its own compiled mode is for GPUs with a compiler, and slower than torch's on CPUs
        single = MatRISCalculator(str(file), device=device, mode="torch", activation_checkpoint=False)
    except Exception as error:
        raise WorkerError(f"{model.name}: {file} is not a MatRIS checkpoint ({sentence(error)})") from error
    if not single.model.force_stress_head.is_conservation:  # its stress depends on where in the cell the atoms are
        raise WorkerError(f"{model.name}: {file} predicts forces directly, which MIRA does not support")
    return MatRIS(single, device, model.checkpoint.sha256, _elements(single.model))


def _elements(network: Any) -> frozenset[int]:
    """Elements that the network was trained on: it has inputs for others, and an energy of reference that is zero."""
    if network.reference_energy is None:
        return frozenset(range(1, MAX_Z + 1))
    energies = to_float64(network.reference_energy.fc.weight).reshape(-1)[:MAX_Z]
    return frozenset(z for z, energy in enumerate(energies, start=1) if abs(energy) > NO_REFERENCE_EV)


def fetch(name: str, folder: Path) -> Path:
    """Download a checkpoint with the package's own code, which by itself would put it below the user's home."""
    import torch
    from matris.model.model import MatRIS as Network

    if name not in FETCHED:
        raise WorkerError(f"matris has no weights {name!r}, only {', '.join(FETCHED)}")
    arrived = folder / f"{name}.pth.tar"
    at_once = torch.hub.download_url_to_file

    def brought(url: str, to: str, *_: Any, **__: Any) -> None:
        at_once(url, str(arrived))
        raise _Arrived(to)

    torch.hub.download_url_to_file = brought
    try:
        Network.load(name, device="cpu")
    except _Arrived:
        return arrived
    raise WorkerError(f"{name} did not have to be fetched, and must have been")


class _Arrived(Exception):  # noqa: N818 (no error)
    """A file is there: what the package would do with it next is not wanted."""
