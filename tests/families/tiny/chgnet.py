"""Tiny CHGNet networks with random weights, saved by CHGNet's own Trainer."""

from __future__ import annotations

from pathlib import Path

TINY = {
    "atom_fea_dim": 8,
    "bond_fea_dim": 8,
    "angle_fea_dim": 8,
    "num_radial": 5,
    "num_angular": 5,
    "n_conv": 2,
    "atom_conv_hidden_dim": 8,
    "bond_conv_hidden_dim": 8,
    "mlp_hidden_dims": (8, 8),
    "composition_model": "MPtrj",
}


def network(*, bias: bool):
    """A network of the kind of 0.2.0 (with a bias in the last layer) or of the later ones (without)."""
    import torch
    from chgnet.model.model import CHGNet

    torch.manual_seed(0)
    made = CHGNet(**TINY, mlp_out_bias=bias)
    with torch.no_grad():  # with its own scale the forces of random weights are too small to compare
        made.mlp.layers[-1].weight.mul_(100.0)
    return made


def save(folder: Path, name: str, *, bias: bool) -> Path:
    from chgnet.trainer import Trainer

    Trainer(model=network(bias=bias), use_device="cpu").save(str(folder / name))
    return folder / name


def model(path: Path) -> dict:
    return {
        "name": f"chgnet-{path.name.partition('.')[0].replace(' ', '-')}",
        "family": "chgnet",
        "checkpoint": {"path": str(path)},
        "options": {},
        "dtype": "float32",
        "elements": None,
        "stress": None,
        "conservative": True,
    }


def make(folder: Path) -> list[dict]:
    """Save a network with and one without a bias in its last layer."""
    with_bias = save(folder, "with bias.pth.tar", bias=True)
    return [model(with_bias), model(save(folder, "without bias.pth.tar", bias=False))]


def calculator(model: dict):
    """CHGNet's calculator, loaded as its manual says."""
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    checkpoint = model["checkpoint"]
    if "bundled" in checkpoint:
        loaded = CHGNet.load(model_name=checkpoint["bundled"], use_device="cpu", verbose=False)
    else:
        loaded = CHGNet.from_file(checkpoint["path"]).eval()
    return CHGNetCalculator(loaded, use_device="cpu", on_isolated_atoms="ignore")


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Name: what must be refused, and words of the reason."""
    import torch

    good = save(folder, "good.pth.tar", bias=False)
    (folder / "folder").mkdir()
    (folder / "text").write_text("weights")
    (folder / "truncated").write_bytes(good.read_bytes()[:20000])
    torch.save({"model": 1, "config": {}}, folder / "other")
    torch.save(network(bias=False).state_dict(), folder / "state only")
    torch.save(Path("pickled object"), folder / "pickle")
    not_chgnet = "is not a CHGNet checkpoint ("
    return {
        "missing": (model(folder / "nowhere"), "there is no checkpoint"),
        "a folder": (model(folder / "folder"), "a chgnet checkpoint is a file"),
        "text": (model(folder / "text"), not_chgnet),
        "truncated": (model(folder / "truncated"), not_chgnet),
        "another family's": (model(folder / "other"), not_chgnet),
        "state only": (model(folder / "state only"), not_chgnet),
        "pickle": (model(folder / "pickle"), "(UnpicklingError: Weights only load failed"),
        "unknown option": (model(good) | {"options": {"modal": "PBE"}}, "has no option modal (has none)"),
        "unknown name": (model(good) | {"checkpoint": {"bundled": "0.1.0"}}, "ships no weights '0.1.0', only 0.3.0"),
    }
