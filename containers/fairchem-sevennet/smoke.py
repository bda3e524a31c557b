"""The image works: SevenNet-0, whose weights are in its package, and a small eSEN of FAIRChem give finite energies."""

import math
import tempfile
from importlib.metadata import version

import dftd3.interface  # noqa: F401  # for models with dispersion
import hydra
import phonopy  # noqa: F401  # for the task phonons
import phonors  # noqa: F401  # which phonopy imports only where it computes
import seekpath  # noqa: F401  # for paths through the Brillouin zone
import torch
from ase.build import bulk
from fairchem.core import FAIRChemCalculator
from fairchem.core.units.mlip_unit import load_predict_unit
from fairchem.core.units.mlip_unit.api.inference import InferenceSettings, MLIPInferenceCheckpoint
from sevenn.calculator import SevenNetCalculator

WIDTHS = {"sphere_channels": 8, "edge_channels": 8, "hidden_channels": 8, "num_distance_basis": 16}
MODEL = {
    "_target_": "fairchem.core.models.base.HydraModel",
    "otf_graph": True,
    "pass_through_head_outputs": True,
    "backbone": {
        "model": "fairchem.core.models.uma.escn_moe.eSCNMDMoeBackbone",
        **WIDTHS,
        "lmax": 1,
        "mmax": 1,
        "num_layers": 1,
        "cutoff": 4.0,
        "direct_forces": False,
        "chg_spin_emb_type": "rand_emb",
        "num_experts": 0,
        "dataset_mapping": {"omat": "omat"},
        "use_dataset_embedding": True,
    },
    "heads": {"efs": {"module": "fairchem.core.models.uma.escn_md.MLP_EFS_Head", "wrap_property": True}},
}
TASK = {
    "_target_": "fairchem.core.units.mlip_unit.mlip_unit.Task",
    "name": "energy",
    "level": "system",
    "property": "energy",
    "out_spec": {"dim": [1], "dtype": "float32"},
    "normalizer": {"_target_": "fairchem.core.modules.normalization.normalizer.Normalizer", "mean": 0.0, "rmsd": 1.0},
    "datasets": ["omat"],
    "metrics": ["mae"],
}


def tiny_esen():
    """Calculator of an eSEN with one narrow layer and random weights, by way of a checkpoint."""
    torch.manual_seed(0)
    model = hydra.utils.instantiate(MODEL)
    ema = torch.optim.swa_utils.AveragedModel(model)
    checkpoint = MLIPInferenceCheckpoint(
        model_config=MODEL,
        model_state_dict=model.state_dict(),
        ema_state_dict=ema.state_dict(),
        tasks_config=[TASK],
    )
    settings = InferenceSettings(tf32=False, activation_checkpointing=False, merge_mole=False, compile=False)
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        torch.save(checkpoint, file.name)
        return FAIRChemCalculator(load_predict_unit(file.name, inference_settings=settings, device="cpu"))


calculators = {
    f"fairchem-core {version('fairchem-core')}, random weights": tiny_esen(),
    "7net-0": SevenNetCalculator("7net-0", device="cpu"),
}
energies = {}
for name, calculator in calculators.items():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = calculator
    energies[name] = energy = float(atoms.get_potential_energy())
    assert math.isfinite(energy), f"{name}: {energy}"
print("; ".join(f"{name}: Cu4 {energy:.6f} eV" for name, energy in energies.items()))
