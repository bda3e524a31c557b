"""The image works: small NequIP and Allegro networks with random weights give finite energies."""

import math
from importlib.metadata import version

import dftd3.interface  # noqa: F401  # for models with dispersion
import phonopy  # noqa: F401  # for the task phonons
import phonors  # noqa: F401  # which phonopy imports only where it computes
import seekpath  # noqa: F401  # for paths through the Brillouin zone
from allegro.model import AllegroModel
from ase.build import bulk
from nequip.integrations.ase import NequIPCalculator
from nequip.integrations.utils import basic_transforms
from nequip.model import NequIPGNNModel
from nequip.utils.global_state import set_global_state

SHARED = {"seed": 0, "model_dtype": "float32", "type_names": ["Cu"], "r_max": 4.0, "avg_num_neighbors": 12.0}


def nequip_calculator(model):
    """The package's own calculator around a network."""
    graphs = basic_transforms(model.metadata, 4.0, ["Cu"], {"Cu": "Cu"})
    return NequIPCalculator(model.eval(), device="cpu", transforms=graphs)


set_global_state()
embedding = {"_target_": "allegro.nn.TwoBodyBesselScalarEmbed", "num_bessels": 4}
calculators = {
    "nequip": nequip_calculator(NequIPGNNModel(num_layers=1, l_max=1, num_features=4, **SHARED)),
    "nequip-allegro": nequip_calculator(
        AllegroModel(
            l_max=1,
            num_layers=1,
            num_scalar_features=4,
            num_tensor_features=4,
            radial_chemical_embed=embedding,
            **SHARED,
        )
    ),
}
energies = {}
for name, calculator in calculators.items():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = calculator
    energies[name] = energy = float(atoms.get_potential_energy())
    assert math.isfinite(energy), f"{name}: {energy}"
print("; ".join(f"{name} {version(name)}, random weights: Cu4 {energies[name]:.6f} eV" for name in energies))
