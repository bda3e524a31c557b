"""Tiny MatGL potentials with random weights, saved by MatGL itself."""

from __future__ import annotations

import json
from pathlib import Path

ELEMENTS = ("Na", "Cl", "Cu", "Si", "O", "H")
REFERENCES_EV = [-1.0, -1.5, -3.0, -4.0, -2.0, -0.5]
COMMON = {"element_types": ELEMENTS, "is_intensive": False}


def networks() -> dict:
    """One network of each architecture; small enough to differentiate in double precision."""
    from matgl.models import QET, CHGNet, M3GNet, SO3Net, TensorNet

    hidden = {"atom_conv_hidden_dims": (8,), "bond_conv_hidden_dims": (8,), "final_hidden_dims": (8, 8)}
    embedding = {"dim_atom_embedding": 8, "dim_bond_embedding": 8, "dim_angle_embedding": 8}
    return {
        "M3GNet": M3GNet(**COMMON, units=8, dim_node_embedding=8, dim_edge_embedding=8, nblocks=2, use_smooth=True),
        "TensorNet": TensorNet(**COMMON, units=8, nblocks=2, num_rbf=8),
        "CHGNet": CHGNet(**COMMON, **embedding, **hidden, num_blocks=2, max_n=5, max_f=2),
        "QET": QET(element_types=ELEMENTS, units=8, nblocks=2, num_rbf=8, is_hardness_envs=True),
        "SO3Net": SO3Net(**COMMON, units=8, nblocks=2, lmax=1, nmax=2),  # lmax 2: six times as slow
    }


def save(folder: Path, name: str, network, **changes) -> Path:
    """Wrap a network in a potential and save it."""
    from matgl.apps.pes import Potential

    # with its own scale the forces of random weights are too small to compare
    settings = {"data_std": 50.0, "element_refs": REFERENCES_EV, "calc_stresses": True}
    settings |= {"calc_charge": name.startswith("QET"), "calc_magmom": name.startswith("CHGNet")}
    Potential(network, **settings | changes).save(folder / name)
    return folder / name


def model(name: str, path: Path, dtype: str = "float32") -> dict:
    return {
        "name": f"matgl-{name.lower()}-{dtype}",
        "family": "matgl",
        "checkpoint": {"path": str(path)},
        "options": {},
        "dtype": dtype,
        "elements": None,
        "stress": None,
        "conservative": True,
    }


def make(folder: Path) -> list[dict]:
    """Save every architecture, to be computed in both precisions, and one that was not fitted to stresses."""
    import torch

    torch.manual_seed(0)
    models = []
    for name, network in networks().items():
        path = save(folder, name, network)
        models += [model(name, path), model(name, path, "float64")]
    path = save(folder, "TensorNet without stress", networks()["TensorNet"], calc_stresses=False)
    return [*models, model("nostress", path)]


def calculator(model: dict):
    """MatGL's calculator, loaded as its manual says."""
    import matgl
    from matgl.ext.ase import PESCalculator

    class Double(PESCalculator):
        def calculate(self, *arguments, **named) -> None:
            matgl.set_default_dtype("float", 64)
            try:
                super().calculate(*arguments, **named)
            finally:
                matgl.set_default_dtype("float", 32)

    potential = matgl.load_model(model["checkpoint"]["path"]).eval()
    if model["dtype"] == "float64":
        return Double(potential.double(), stress_unit="eV/A3", use_voigt=True)
    return PESCalculator(potential, stress_unit="eV/A3", use_voigt=True)


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Name: what must be refused, and words of the reason."""
    import torch
    from matgl.models import M3GNet, MEGNet

    torch.manual_seed(0)
    good = save(folder, "good", networks()["TensorNet"])
    (folder / "file").write_text("weights")
    (folder / "empty").mkdir()
    chgnet = folder / "chgnet.pth.tar"
    torch.save({"model": {"state_dict": {}, "model_args": {}}}, chgnet)
    small = {"dim_node_embedding": 8, "dim_edge_embedding": 8}
    MEGNet(**small, dim_state_embedding=2).save(folder / "megnet")
    M3GNet(**small, units=8, nblocks=1, is_intensive=True).save(folder / "formation energy")
    damaged = {}
    for name in ("model.json", "model.pt", "state.pt"):
        damaged[name] = save(folder, f"truncated {name}", networks()["TensorNet"])
        content = (good / name).read_bytes()
        (damaged[name] / name).write_bytes(content[: len(content) // 2])
    mixed = save(folder, "weights of another", networks()["TensorNet"])
    torch.save(networks()["SO3Net"].state_dict(), mixed / "state.pt")
    foreign = save(folder, "code of another package", networks()["TensorNet"])
    arguments = torch.load(foreign / "model.pt", weights_only=True)
    run = {"@class": "Popen", "@module": "subprocess", "init_args": {"args": ["touch", str(folder / "harm")]}}
    torch.save(arguments | {"model": run}, foreign / "model.pt")
    # a class of MatGL's own that unpickles files from wherever it is told
    reader = save(folder, "another class of MatGL", networks()["TensorNet"])
    elsewhere = {"@class": "MGLDataset", "@module": "matgl.graph.data", "@model_version": 0, "init_args": {}}
    torch.save(arguments | {"other": elsewhere}, reader / "model.pt")
    foreign_class = save(folder, "class of another package", networks()["TensorNet"])
    about = json.loads((foreign_class / "model.json").read_text())
    (foreign_class / "model.json").write_text(json.dumps(about | {"@module": "pathlib", "@class": "Path"}))
    (folder / "list").mkdir()
    for name in ("model.json", "model.pt", "state.pt"):
        (folder / "list" / name).write_text("[]")
    return {
        "missing": (model("mine", folder / "nowhere"), "there is no checkpoint"),
        "a file": (model("mine", folder / "file"), "a matgl checkpoint is a folder"),
        "another family's": (model("mine", chgnet), "a matgl checkpoint is a folder"),
        "an empty folder": (model("mine", folder / "empty"), "it lacks model.json, model.pt, state.pt"),
        "MEGNet": (model("mine", folder / "megnet"), "holds a MEGNet, which predicts a property"),
        "formation energy": (model("mine", folder / "formation energy"), "holds a M3GNet, which predicts a property"),
        "truncated model.json": (model("mine", damaged["model.json"]), "is not a MatGL checkpoint (JSONDecodeError"),
        "truncated model.pt": (model("mine", damaged["model.pt"]), "is not a MatGL checkpoint ("),
        "truncated state.pt": (model("mine", damaged["state.pt"]), "is not a MatGL checkpoint ("),
        "weights of another": (model("mine", mixed), "is not a MatGL checkpoint (RuntimeError: Checkpoint is incompat"),
        "foreign code": (model("mine", foreign), "asks for subprocess.Popen, which no potential of MatGL is made of"),
        "foreign class": (
            model("mine", foreign_class),
            "asks for pathlib.Path, which no potential of MatGL is made of",
        ),
        "another class of MatGL": (model("mine", reader), "asks for matgl.graph.data.MGLDataset, which no potential"),
        "not even a dict": (model("mine", folder / "list"), "is not a MatGL checkpoint ("),
        "unknown option": (model("mine", good) | {"options": {"head": "x"}}, "has no option head (has none)"),
        "bundled": (model("mine", good) | {"checkpoint": {"bundled": "M3GNet"}}, "ships no weights"),
    }
