"""The image works: a small network of each library, with random weights, gives a finite energy."""

import importlib
import math
import tempfile
from importlib.metadata import version
from pathlib import Path

import aimnet.calculators  # noqa: F401  # whose networks need an export of their own
import dftd3.interface  # noqa: F401  # for models with dispersion
import phonopy  # noqa: F401  # for the task phonons
import phonors  # noqa: F401  # which phonopy imports only where it computes
import seekpath  # noqa: F401  # for paths through the Brillouin zone
import torch
import torchani.models  # noqa: F401  # whose weights are not in its wheel
from allegro.model import AllegroModel
from ase.build import bulk
from matris.applications.base import MatRISCalculator
from matris.model import MatRIS
from metatrain.pet import PET
from metatrain.utils.architectures import get_default_hypers
from metatrain.utils.data import DatasetInfo
from metatrain.utils.data.target_info import get_energy_target_info
from nequip.integrations.ase import NequIPCalculator
from nequip.integrations.utils import basic_transforms
from nequip.model import NequIPGNNModel
from nequip.utils.global_state import set_global_state
from upet.ase import UPETCalculator

SHARED = {"seed": 0, "model_dtype": "float32", "type_names": ["Cu"], "r_max": 4.0, "avg_num_neighbors": 12.0}
ALLEGRO = {"l_max": 1, "num_layers": 1, "num_scalar_features": 4, "num_tensor_features": 4}
PET_WIDTHS = {"d_pet": 8, "d_head": 8, "d_node": 8, "d_feedforward": 8, "num_heads": 2}
MATRIS_WIDTHS = {"node_feat_dim": 8, "edge_feat_dim": 8, "three_body_feat_dim": 8, "mlp_hidden_dims": (8, 8)}


def nequip_calculator(model):
    """The package's own calculator around a network of NequIP or Allegro."""
    graphs = basic_transforms(model.metadata, 4.0, ["Cu"], {"Cu": "Cu"})
    return NequIPCalculator(model.eval(), device="cpu", transforms=graphs)


def upet_calculator(folder):
    """The package's own calculator around a narrow PET."""
    hypers = get_default_hypers("pet")["model"] | PET_WIDTHS
    energy = get_energy_target_info("energy", {"quantity": "energy", "unit": "eV"}, add_position_gradients=True)
    info = DatasetInfo(length_unit="angstrom", atomic_types=[29], targets={"energy": energy})
    torch.save(PET(hypers, info).get_checkpoint(), folder / "pet.ckpt")
    return UPETCalculator(checkpoint_path=folder / "pet.ckpt", device="cpu")


def matris_calculator(folder):
    """The package's own calculator around a narrow MatRIS."""
    network = MatRIS(num_layers=1, **MATRIS_WIDTHS)
    torch.save({"config": network.config, "state_dict": network.state_dict()}, folder / "matris.pth.tar")
    return MatRISCalculator(str(folder / "matris.pth.tar"), device="cpu", mode="torch")


with tempfile.TemporaryDirectory() as scratch:
    torch.manual_seed(0)
    calculators = {"upet": upet_calculator(Path(scratch)), "matris": matris_calculator(Path(scratch))}
set_global_state()
embedding = {"_target_": "allegro.nn.TwoBodyBesselScalarEmbed", "num_bessels": 4}
calculators["nequip"] = nequip_calculator(NequIPGNNModel(num_layers=1, l_max=1, num_features=4, **SHARED))
calculators["nequip-allegro"] = nequip_calculator(AllegroModel(radial_chemical_embed=embedding, **ALLEGRO, **SHARED))
energies = {}
for name, calculator in calculators.items():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = calculator
    energies[name] = energy = float(atoms.get_potential_energy())
    assert math.isfinite(energy), f"{name}: {energy}"
importlib.import_module("tace.interface.ase")  # last: beside what it imports, metatrain's networks cannot be compiled
random = "; ".join(f"{name} {version(name)}, random weights: Cu4 {energies[name]:.6f} eV" for name in energies)
print(random, *(f"{name} {version(name)}, imported" for name in ("aimnet", "tace", "torchani")), sep="; ")
