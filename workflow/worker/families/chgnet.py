"""CHGNet: the three models in its wheel, and checkpoints of its Trainer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase.stress import full_3x3_to_voigt_6_stress

from worker.errors import WorkerError, sentence
from worker.families.base import (
    Result,
    atoms_that_fit,
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

DISTRIBUTIONS = ("chgnet", "pymatgen", "torch")
IMPORTS = ("torch", "chgnet.model.dynamics")
FRAMEWORK = "torch"
DTYPES = ("float32",)
HOSTS = ()

# names that ship in the wheel, their files below `chgnet/pretrained`, and the sha256 of those
BUNDLED = {
    "0.3.0": (
        "0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
        "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1",
    ),
    "0.2.0": (
        "0.2.0/chgnet_0.2.0_e30f77s348m32.pth.tar",
        "ef624f78b6db9d315b4ef256f1bb3207449924191b91720dc17d3f60c5df980e",
    ),
    "r2scan": (
        "r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
        "8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad",
    ),
}
MAX_Z = 94
# what pymatgen's plots, equations of state and densities of states take (`worker.late_imports`)
LATE = {
    "pymatgen.analysis.eos": ("scipy.optimize",),
    "pymatgen.core.spectrum": ("scipy", "scipy.ndimage"),
    "pymatgen.core.structure_matcher": ("scipy.optimize",),
    "pymatgen.electronic_structure.dos": ("scipy.integrate", "scipy.ndimage", "scipy.signal", "scipy.stats"),
    "pymatgen.symmetry.analyzer": ("scipy.cluster",),
    "pymatgen.util.plotting": ("matplotlib", "matplotlib.pyplot", "palettable.colorbrewer.diverging"),
}


@dataclass
class CHGNet:
    """A loaded CHGNet."""

    network: Any
    checkpoint_sha256: str | None
    takes_charge: bool = False
    dtype: str = "float32"
    gives_stress: bool = True
    conservative: bool = True
    # what the network has inputs for; which of them were trained, only the catalogue knows
    elements: frozenset[int] = frozenset(range(1, MAX_Z + 1))

    @property
    def cutoff_ang(self) -> float:
        """Cutoff of the atom graph in Å."""
        return float(self.network.graph_converter.atom_graph_cutoff)

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        return atoms_that_fit(device, on_cpu=64, gpu_mb_per_atom=6.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator."""
        from chgnet.model.dynamics import CHGNetCalculator

        device = str(next(self.network.parameters()).device)
        return CHGNetCalculator(model=self.network, use_device=device, on_isolated_atoms="ignore")

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures together."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> list[Any]:
        """Make the package's graphs."""
        return [self._graph(atoms) for atoms in batch]

    def answer(self, batch: Sequence[Atoms], graphs: list[Any]) -> list[Result]:
        """Evaluate graphs; those with and those without bond angles in a pass each.

        The network skips its angle layers only if a whole batch has no angles. A molecule of two atoms
        would have another energy among crystals than alone.
        """
        results: dict[int, Result] = {}
        for angles in (True, False):
            chosen = [i for i, graph in enumerate(graphs) if bool(len(graph.bond_graph)) is angles]
            if chosen:
                results.update(zip(chosen, self._pass([graphs[i] for i in chosen]), strict=True))
        return [results[i] for i in range(len(batch))]

    def _pass(self, graphs: list[Any]) -> list[Result]:
        """Evaluate graphs in one forward and one backward pass.

        The network's own `forward` goes back twice, for forces and for stresses, and keeps what a third
        derivative would need. That costs more than all the rest, and most of the memory.
        """
        import torch
        from chgnet.model.model import BatchedGraph

        network = self.network
        graphs = [graph.to(next(network.parameters()).device) for graph in graphs]
        joined = BatchedGraph.from_graphs(
            graphs,
            bond_basis_expansion=network.bond_basis_expansion,
            angle_basis_expansion=network.angle_basis_expansion,
            compute_stress=True,
        )
        found = network._compute(joined)  # noqa: SLF001 - `forward` without derivatives
        sizes = found["atoms_per_graph"].to(found["e"].dtype)
        energies = found["e"] * sizes if network.is_intensive else found["e"]
        slopes = torch.autograd.grad(energies.sum(), [*joined.atom_positions, *joined.strains])
        with torch.no_grad():
            shifts = network.composition_model(graphs) if network.composition_model else 0.0
            totals = to_float64(found["e"] + shifts)
        n_graphs = len(graphs)
        return [
            Result(
                float(total) * (len(forces) if network.is_intensive else 1),
                -to_float64(forces),
                full_3x3_to_voigt_6_stress(to_float64(strain / volume)),
            )
            for total, forces, strain, volume in zip(
                totals, slopes[:n_graphs], slopes[n_graphs:], joined.volumes, strict=True
            )
        ]

    def _graph(self, atoms: Atoms) -> Any:
        from pymatgen.core import Structure

        structure = Structure(
            atoms.cell.array, [int(z) for z in atoms.numbers], atoms.positions, coords_are_cartesian=True
        )
        return self.network.graph_converter(structure)


def importing() -> AbstractContextManager[None]:
    """Return the context in which the package is imported: without what few functions of pymatgen need."""
    return late_imports(LATE)


def load(model: Model, device: str, dtype: str) -> CHGNet:  # noqa: ARG001 - DTYPES has one entry
    """Load a checkpoint without running code from it.

    Raises
    ------
    WorkerError
        There is no such checkpoint, or it is not CHGNet's.
    """
    check_options(model, [])
    file = existing_weights(model, model.checkpoint.path or bundled(model)[0])
    import torch
    from chgnet.model.model import CHGNet as Network

    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)["model"]
        # networks of 0.2.0's kind have a bias where the shipped later ones have none, and not all of them say so
        bias = any(name.endswith("mlp_out.layers.1.bias") for name in saved["state_dict"])
        network = Network(**{"mlp_out_bias": bias} | saved["model_args"])
        network.load_state_dict(saved["state_dict"])
        network = network.to(device).eval().requires_grad_(False)
    except Exception as error:
        raise WorkerError(f"{model.name}: {file} is not a CHGNet checkpoint ({sentence(error)})") from error
    if device == "cpu":
        _round_as_the_package_does(network)
    network.graph_converter.set_isolated_atom_response("ignore")
    return CHGNet(network, model.checkpoint.sha256)


def _round_as_the_package_does(network: Any) -> None:
    """Give activations the slope that torch has when a second derivative may follow, as in the package's `forward`.

    It differs from the plain one in the last bit. Bond angles near 180° magnify that to 1e-4 eV/Å in a force, and so
    forces are, bit for bit, those of the package.
    """
    import torch

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
            context.save_for_backward(x)
            return torch.nn.functional.silu(x)

        @staticmethod
        def backward(context: Any, *slopes: torch.Tensor) -> torch.Tensor:
            (x,) = context.saved_tensors
            sigmoid = x.sigmoid()
            last = (1.0 - sigmoid).mul_(x).add_(1.0)
            return sigmoid.mul_(slopes[0]).mul_(last)

    for module in network.modules():
        if isinstance(module, torch.nn.SiLU):
            module.forward = Function.apply


def bundled(model: Model) -> tuple[Path, str]:
    """Return the file of a model that ships in the wheel, and its sha256; raise `WorkerError` where there is none."""
    name = model.checkpoint.bundled
    if name not in BUNDLED:
        raise unknown_bundled(model, BUNDLED)
    import chgnet

    file, sha256 = BUNDLED[name]
    return Path(chgnet.__file__).parent / "pretrained" / file, sha256
