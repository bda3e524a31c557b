"""The image works: a small MACE and a small orb model with random weights give finite energies."""

import math
from importlib.metadata import version

import dftd3.interface  # noqa: F401  # for models with dispersion
import mace  # noqa: F401  # before e3nn: it lets torch read e3nn's constants
import phonopy  # noqa: F401  # for the task phonons
import phonors  # noqa: F401  # which phonopy imports only where it computes
import seekpath  # noqa: F401  # for paths through the Brillouin zone
import torch
from ase.build import bulk
from e3nn import o3
from mace import modules
from mace.calculators import MACECalculator
from orb_models.forcefield import pretrained
from orb_models.forcefield.forcefield_adapter import ForcefieldAtomsAdapter
from orb_models.forcefield.inference.calculator import ORBCalculator


def tiny_mace():
    """MACE with one layer of four channels, for copper."""
    block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    return modules.ScaleShiftMACE(
        r_max=4.0,
        num_bessel=4,
        num_polynomial_cutoff=5,
        max_ell=1,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=1,
        hidden_irreps=o3.Irreps("4x0e"),
        MLP_irreps=o3.Irreps("4x0e"),
        gate=torch.nn.functional.silu,
        atomic_energies=[-1.0],
        avg_num_neighbors=12.0,
        atomic_numbers=[29],
        correlation=2,
        radial_MLP=[8],
        radial_type="bessel",
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )


def tiny_orb():
    """Conservative orb-v3 with two narrow layers."""
    widths = {"latent_dim": 16, "base_mlp_hidden_dim": 16, "head_mlp_hidden_dim": 16}
    depths = {"base_mlp_depth": 1, "head_mlp_depth": 1, "num_message_passing_steps": 2}
    return pretrained.orb_v3_conservative_architecture(device="cpu", **widths, **depths).eval()


torch.manual_seed(0)
adapter = ForcefieldAtomsAdapter(radius=6.0, max_num_neighbors=120)
calculators = {
    "orb-models": ORBCalculator(tiny_orb(), adapter, device="cpu"),
    "mace-torch": MACECalculator(models=tiny_mace(), device="cpu", default_dtype="float32"),
}
energies = {}
for name, calculator in calculators.items():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = calculator
    energies[name] = energy = float(atoms.get_potential_energy())
    assert math.isfinite(energy), f"{name}: {energy}"
print("; ".join(f"{name} {version(name)}, random weights: Cu4 {energies[name]:.6f} eV" for name in energies))
