"""NequIP and Allegro networks small enough for tests, saved and packaged by the library itself. Runs inside the image.

Nothing is trained: Lightning writes a checkpoint of what was just built.
"""

from __future__ import annotations

import copy
from pathlib import Path

SPECIES = ("H", "C", "N", "O", "Na", "Cl", "Cu")
SIZES = {
    "nequip": {
        "_target_": "nequip.model.NequIPGNNModel",
        "num_layers": 2,
        "l_max": 1,
        "parity": False,
        "num_features": 8,
        "radial_mlp_depth": 1,
        "radial_mlp_width": 8,
    },
    "allegro": {
        "_target_": "allegro.model.AllegroModel",
        "l_max": 1,
        "parity": True,
        "num_layers": 1,
        "num_scalar_features": 8,
        "num_tensor_features": 4,
        "radial_chemical_embed": {
            "_target_": "allegro.nn.TwoBodyBesselScalarEmbed",
            "num_bessels": 8,
            "polynomial_cutoff_p": 6,
        },
    },
}


def network(kind: str, dtype: str = "float32", species=SPECIES, **changes) -> dict:
    """A network as the library's configuration describes it."""
    common = {
        "seed": 1,
        "model_dtype": dtype,
        "type_names": list(species),
        "r_max": 5.0,
        "avg_num_neighbors": 20.0,
        "per_type_energy_shifts": {name: -1.0 - i for i, name in enumerate(species)},
        "per_type_energy_scales": dict.fromkeys(species, 5.0),
    }
    return common | copy.deepcopy(SIZES[kind]) | changes


def save(file: Path, described: dict) -> Path:
    """Write a checkpoint of training, before any step of it."""
    import lightning
    from nequip.train import NequIPLightningModule
    from nequip.utils.global_state import get_latest_global_state, set_global_state
    from nequip.utils.versions import get_current_code_versions

    set_global_state()
    module = {"_target_": "nequip.train.NequIPLightningModule", "model": described}
    about = {
        "versions": get_current_code_versions(verbose=False),
        "data": _data(file.with_suffix(".extxyz"), described["type_names"]),
        "trainer": {},
        "global_options": get_latest_global_state(),
        "runs": ["train"],
        "training_module": module,
    }
    sets = {"train": 1, "val": 0, "test": 0, "predict": 0}
    training = NequIPLightningModule(model=described, num_datasets=sets, info_dict=about)
    switches = ("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary", "inference_mode")
    trainer = lightning.Trainer(accelerator="cpu", **dict.fromkeys(switches, False))
    trainer.strategy.connect(training)
    trainer.save_checkpoint(file)
    return file


def _data(file: Path, species: list[str]) -> dict:
    """Describe the example without which the library makes no package: a structure with numbers of no meaning."""
    import numpy as np
    from ase.build import bulk
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((8, 3)), stress=np.zeros(6))
    write(file, atoms)
    transforms = "nequip.data.transforms"
    return {
        "_target_": "nequip.data.datamodule.ASEDataModule",
        "seed": 1,
        "train_file_path": str(file),
        "val_file_path": str(file),
        "transforms": [
            {
                "_target_": f"{transforms}.ChemicalSpeciesToAtomTypeMapper",
                "model_type_names": species,
                "chemical_species_to_atom_type_map": {name: name for name in species},
            },
            {"_target_": f"{transforms}.NeighborListTransform", "r_max": 5.0},
        ],
    }


def package(checkpoint: Path) -> Path:
    """Make a package of a checkpoint, as published models are."""
    from nequip.scripts.package import main

    made = checkpoint.with_suffix(".nequip.zip")
    main(["build", str(checkpoint), str(made)])
    return made


def make(folder: Path) -> list[dict]:
    """Write a package and checkpoints of NequIP, and a package of Allegro."""
    import shutil

    nequip, allegro = (save(folder / f"{kind}.ckpt", network(kind)) for kind in SIZES)
    packages = [package(nequip), package(allegro)]
    double = save(folder / "double.ckpt", network("nequip", "float64"))
    (folder / "examples").mkdir()
    for example in folder.glob("*.extxyz"):  # where packages were made, nobody who loads them is
        shutil.move(example, folder / "examples")
    return [row(file) for file in (*packages, double)]


def calculator(model: dict):
    """Load as the library's own scripts do."""
    from nequip.integrations.ase import NequIPCalculator

    return NequIPCalculator._from_saved_model(
        model["checkpoint"]["path"], device="cpu", chemical_species_to_atom_type_map=True
    )


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """What must not load: name, the model and words of the reason."""
    import torch

    good = save(folder / "good.ckpt", network("nequip"))
    renamed = folder / "renamed.zip"
    renamed.write_bytes(package(good).read_bytes())
    # what a fine-tuning writes: the weights that it ends with, and the name of the file that it began with
    tuned = torch.load(good, weights_only=False)
    tuned["hyper_parameters"]["model"] = {"_target_": "nequip.model.ModelFromCheckpoint", "checkpoint_path": str(good)}
    torch.save(tuned, folder / "tuned.ckpt")
    types = save(folder / "types.ckpt", network("nequip", species=("H", "O", "Csp3")))
    (folder / "text.ckpt").write_text("weights")
    (folder / "text.nequip.zip").write_text("weights")
    (folder / "truncated.ckpt").write_bytes(good.read_bytes()[:9000])
    torch.save({"state_dict": {}}, folder / "other.ckpt")
    bad = "is not a NequIP checkpoint ("
    return {
        "missing": (row(folder / "nothing.ckpt"), "there is no checkpoint"),
        "folder": (row(folder), "a nequip checkpoint is a file, and"),
        "text": (row(folder / "text.ckpt"), bad),
        "text as a package": (row(folder / "text.nequip.zip"), "is not a NequIP package ("),
        "truncated": (row(folder / "truncated.ckpt"), bad),
        "other family": (row(folder / "other.ckpt"), bad),
        "renamed package": (row(renamed), "the name of a package ends with .nequip.zip"),
        "fine-tuned": (row(folder / "tuned.ckpt"), "was trained from another file"),
        "types": (row(types), "are no elements (ValueError: Invalid chemical symbol 'Csp3')"),
        "option": (row(good, head="a"), "family nequip has no option head (has none)"),
        "bundled": (row(good) | {"checkpoint": {"bundled": "oam"}}, "nequip ships no weights"),
    }


def row(file: Path, **options) -> dict:
    """The `model` of JOB.json."""
    return {
        "name": file.name.partition(".")[0],
        "family": "nequip",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": "as-trained",
        "elements": None,
        "stress": None,
        "conservative": True,
    }
