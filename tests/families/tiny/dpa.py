"""DPA networks small enough for tests, saved as the library's trainer does. Runs inside the image."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np

TYPES = ("H", "C", "N", "O", "Na", "Cl", "Cu", "Xe")  # the last was never seen
DPA3 = {
    "type_map": list(TYPES),
    "descriptor": {
        "type": "dpa3",
        "repflow": {
            "n_dim": 8, "e_dim": 4, "a_dim": 4, "nlayers": 2, "axis_neuron": 2,
            "e_rcut": 5.0, "e_rcut_smth": 4.0, "e_sel": 120, "a_rcut": 3.5, "a_rcut_smth": 3.0, "a_sel": 40,
            "use_dynamic_sel": True, "sel_reduce_factor": 10.0, "smooth_edge_update": True,
        },
        "precision": "float64",
        "activation_function": "silut:10.0",
        "seed": 1,
    },
    "fitting_net": {"neuron": [16], "precision": "float64", "activation_function": "silut:10.0", "seed": 1},
}  # fmt: skip
DPA4 = {
    "type": "dpa4",
    "type_map": list(TYPES),
    "descriptor": {
        "type": "dpa4", "sel": 120, "rcut": 5.0, "channels": 8, "n_radial": 6, "lmax": 2, "mmax": 1, "n_blocks": 1,
        "precision": "float32", "seed": 1,
    },
    "fitting_net": {"type": "dpa4_ener", "neuron": [16], "precision": "float32", "seed": 1},
}  # fmt: skip


def charged(network: dict) -> dict:
    """The same network, with an embedding of charge and multiplicity."""
    own = copy.deepcopy(network)
    own["descriptor"]["add_chg_spin_ebd"] = True
    return own


def save(file: Path, network: dict, heads: tuple[str, ...] = ()) -> Path:
    """Write a checkpoint whose weights differ from zero; those of DPA-4's last layers begin there."""
    import torch
    from deepmd.pt.model.model import get_model
    from deepmd.pt.train.wrapper import ModelWrapper

    torch.manual_seed(0)
    models = {head: get_model(copy.deepcopy(network)) for head in heads} or get_model(copy.deepcopy(network))
    each = {head: copy.deepcopy(network) for head in heads}
    params = {"model_dict": each, "shared_dict": {}} if heads else copy.deepcopy(network)
    wrapper = ModelWrapper(models, model_params=params)
    with torch.no_grad():
        for weight in wrapper.parameters():
            if weight.is_floating_point() and weight.abs().max() == 0:
                weight.add_(0.3 * torch.randn_like(weight))
        for name, buffer in wrapper.named_buffers():
            if name.endswith("out_bias"):  # energies of atoms, which only what was seen has
                n_seen = len(TYPES) - 1
                buffer[0, :n_seen, 0] = -1.0 - torch.arange(n_seen, dtype=buffer.dtype)
    torch.save({"model": wrapper.state_dict()}, file)
    return file


def make(folder: Path) -> list[dict]:
    """Write a DPA-3, one with two heads, one that reads charges, and a DPA-4."""
    return [
        row(save(folder / "dpa3.pt", DPA3)),
        row(save(folder / "heads.pt", DPA3, ("Metals", "Molecules")), head="molecules"),
        row(save(folder / "charged.pt", charged(DPA3))),
        row(save(folder / "dpa4.pt", DPA4)),
    ]


def calculator(model: dict):
    """Load as the library's manual says; who asks a network that reads charges must say them in the library's words."""
    from deepmd.calculator import DP

    class Told(DP):
        def calculate(self, atoms, *more):
            own = atoms.copy()
            own.info = {"charge_spin": np.array([[atoms.info.get("charge", 0), atoms.info.get("spin", 1)]], float)}
            super().calculate(own, *more)

    return (Told if model["name"] == "charged" else DP)(model["checkpoint"]["path"], **model["options"])


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """What must not load: name, the model and words of the reason."""
    import torch

    good = save(folder / "good.pt", DPA3)
    saved = torch.load(good, weights_only=True)
    name = next(name for name in saved["model"] if name.endswith(".matrix"))
    torch.save({"model": {key: value for key, value in saved["model"].items() if key != name}}, folder / "less.pt")
    torch.save({"model": {"w": torch.zeros(2)}}, folder / "other.pt")
    torch.save(Path("an object"), folder / "pickle.pt")
    (folder / "text.pt").write_text("weights")
    (folder / "truncated.pt").write_bytes(good.read_bytes()[:9000])
    (folder / "frozen.pth").write_bytes(good.read_bytes())
    heads = row(save(folder / "heads.pt", DPA3, ("Metals", "Molecules")))
    bad = "is not a DPA checkpoint ("
    return {
        "missing": (row(folder / "nothing.pt"), "there is no checkpoint"),
        "folder": (row(folder), "a dpa checkpoint is a file, and"),
        "text": (row(folder / "text.pt"), bad),
        "truncated": (row(folder / "truncated.pt"), bad),
        "other family": (row(folder / "other.pt"), bad),
        "pickle": (row(folder / "pickle.pt"), f"{bad}UnpicklingError"),
        "less": (row(folder / "less.pt"), f"its weights do not fit its network, {name} for one"),
        "frozen": (row(folder / "frozen.pth"), "whose name ends with .pt"),
        "no head named": (heads, "option head names none; its heads are Metals, Molecules"),
        "head": (heads | {"options": {"head": "oxides"}}, "has no head 'oxides'; its heads are Metals, Molecules"),
        "head of none": (row(good, head="a"), "has no heads, and 'a' was asked for"),
        "option": (row(good, task="a"), "family dpa has no option task (has head)"),
        "bundled": (row(good) | {"checkpoint": {"bundled": "dpa"}}, "deepmd-kit ships no weights"),
    }


def row(file: Path, **options) -> dict:
    """The `model` of JOB.json."""
    return {
        "name": file.stem,
        "family": "dpa",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": "as-trained",
        "elements": None,
        "stress": None,
        "conservative": True,
    }
