"""PET networks small enough for tests, made and saved by metatrain itself. Runs inside the image.

`make` writes checkpoints: for all elements of one energy; of two variants; of charged molecules.
"""

from __future__ import annotations

from pathlib import Path

WIDTHS = {"d_pet": 16, "d_head": 16, "d_node": 16, "d_feedforward": 16, "num_heads": 2}
DEPTHS = {"num_attention_layers": 1, "num_gnn_layers": 2}
SPECIES = (1, 6, 7, 8, 11, 17, 29)


def network(variants: tuple[str, ...] = ("energy",), *, states: bool = False):
    """A random PET; the last layers are scaled so that forces are of some eV/Å."""
    import torch
    from metatrain.pet import PET
    from metatrain.utils.architectures import get_default_hypers
    from metatrain.utils.data import DatasetInfo
    from metatrain.utils.data.target_info import get_energy_target_info

    torch.manual_seed(0)
    hypers = get_default_hypers("pet")["model"] | WIDTHS | DEPTHS
    hypers |= {"cutoff": 5.0, "system_conditioning": states}
    about = {"quantity": "energy", "unit": "eV"}
    targets = {name: get_energy_target_info(name, about, add_position_gradients=True) for name in variants}
    info = DatasetInfo(length_unit="angstrom", atomic_types=list(SPECIES), targets=targets)
    made = PET(hypers, info)
    with torch.no_grad():
        for name, values in made.named_parameters():
            if "last_layer" in name and name.endswith("weight"):
                values.mul_(20)
            if "system_conditioning.project.2" in name:  # zero before any training: no charge would make a difference
                values.normal_()
    return made


def make(folder: Path) -> list[dict]:
    """Write checkpoints under a name as published ones have, and of a user's own."""
    plain, two, charged = (folder / name for name in ("pet-mad-s-v1.6.0.ckpt", "two.ckpt", "charged.ckpt"))
    save(plain, network())
    save(two, network(("energy/pbe", "energy/r2scan")))
    save(charged, network(states=True))
    return [
        row(plain),
        row(plain, dtype="float64"),
        row(two, variant="r2scan"),
        row(charged),
    ]


def save(file: Path, made) -> None:
    """Write a checkpoint as metatrain's trainer does."""
    import torch

    torch.save(made.get_checkpoint(), file)


def calculator(model: dict):
    """Load as the manual says; without averages over rotations, whose second answer is the first one's."""
    from upet.ase import UPETCalculator

    variant = model["options"].get("variant")
    return UPETCalculator(
        checkpoint_path=model["checkpoint"]["path"],
        device="cpu",
        dtype=model["dtype"],
        variants={"energy": variant} if variant else None,
    )


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """What must not load: name, the model and words of the reason."""
    import torch

    models = make(folder)
    good, two = Path(models[0]["checkpoint"]["path"]), Path(models[2]["checkpoint"]["path"])
    files = {name: folder / f"{name}.ckpt" for name in ("text", "truncated", "other", "far")}
    files["text"].write_text("weights")
    files["truncated"].write_bytes(good.read_bytes()[:9000])
    torch.save({"state_dict": {}}, files["other"])
    far = torch.load(good, weights_only=False)
    far["model_data"]["model_hypers"]["long_range"]["enable"] = True
    torch.save(far, files["far"])
    bad = "is not a UPET checkpoint ("
    return {
        "missing": (row(folder / "nothing.ckpt"), "there is no checkpoint"),
        "folder": (row(folder), "a upet checkpoint is a file, and"),
        "text": (row(files["text"]), bad),
        "truncated": (row(files["truncated"]), bad),
        "other family": (row(files["other"]), f"{bad}KeyError: 'architecture_name')"),
        "long range": (row(files["far"]), "has long-range interactions"),
        "no variant": (row(two), "pbe"),
        "wrong variant": (row(two, variant="scan"), "scan"),
        "option": (row(good, head="a"), "family upet has no option head (has variant)"),
        "bundled": (row(good) | {"checkpoint": {"bundled": "pet-mad-s"}}, "upet ships no weights"),
    }


def row(file: Path, dtype: str = "float32", **options) -> dict:
    """The `model` of JOB.json."""
    return {
        "name": "-".join([file.name.removesuffix(".ckpt"), dtype]),
        "family": "upet",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": dtype,
        "elements": None,
        "stress": None,
        "conservative": True,
    }
