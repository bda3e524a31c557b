"""Tiny MatterSim checkpoints. Runs inside the image."""

from __future__ import annotations

from pathlib import Path

NAME = "tiny-mattersim"


def make(folder: Path) -> list[dict]:
    """Save an untrained network as the package does, its angles weighing enough that losing them shows."""
    import torch
    from mattersim.forcefield import Potential
    from mattersim.forcefield.m3gnet.m3gnet import M3Gnet

    torch.manual_seed(0)
    size = {"num_blocks": 2, "units": 8, "max_l": 3, "max_n": 3, "cutoff": 5.0, "threebody_cutoff": 4.0}
    network = M3Gnet(**size, max_z=94, device="cpu")
    with torch.no_grad():
        for block in network.graph_conv:
            for weight in block.three_body.parameters():
                weight.mul_(3.0)
        network.normalizer.scale.fill_(20.0)
        network.normalizer.shift.copy_(-0.1 * torch.arange(95))
    file = folder / f"{NAME}.pth"
    Potential(network, device="cpu", model_name="m3gnet").save(str(file))
    # as published ones, which mattersim 1.0 saved without these
    old = torch.load(file, weights_only=True)
    del old["model"]["sbf.coef"]
    torch.save(old, folder / f"{NAME}-1.0.pth")
    return [_model(place) | {"conservative": True} for place in (file, folder / f"{NAME}-1.0.pth")]


def calculator(model: dict):
    """Load as the manual says."""
    from mattersim.forcefield import MatterSimCalculator

    return MatterSimCalculator(load_path=str(model["checkpoint"]["path"]), device="cpu")


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Write what cannot be loaded; name: model, words of the refusal."""
    import torch

    good = Path(make(folder)[0]["checkpoint"]["path"])
    saved = torch.load(good, weights_only=True)
    weights = saved["model"]
    name = next(name for name in weights if name.startswith("graph_conv.1"))
    changed = {
        "less": saved | {"model": {key: value for key, value in weights.items() if key != name}},
        "more": saved | {"model": weights | {"graph_conv.7.weight": torch.zeros(2)}},
        "larger": saved | {"model_args": saved["model_args"] | {"units": 16}},
        "graphormer": saved | {"model_name": "graphormer"},
        "other family": {"model": 1, "config": {}},
        "pickle": Path("an object"),
    }
    for key, content in changed.items():
        torch.save(content, folder / key)
    (folder / "text").write_text("weights")
    (folder / "truncated").write_bytes(good.read_bytes()[:9000])
    (folder / "folder").mkdir()
    bad = "is not a MatterSim checkpoint ("
    words = dict.fromkeys(("larger", "other family", "text", "truncated"), bad) | {
        "less": f"its weights do not fit its network, {name} for one",
        "more": "its weights do not fit its network, graph_conv.7.weight for one",
        "graphormer": "it holds a graphormer, not an m3gnet",
        "pickle": f"{bad}UnpicklingError",
        "folder": "a mattersim checkpoint is a file, and",
        "missing": "there is no checkpoint",
    }
    cases = {key: (_model(folder / key), text) for key, text in words.items()}
    cases["option"] = (_model(good, task="omat"), "family mattersim has no option task (has none)")
    cases["bundled"] = (_model(good) | {"checkpoint": {"bundled": "mattersim"}}, "mattersim ships no weights")
    return cases


def _model(file: Path, **options) -> dict:
    return {
        "name": file.stem,
        "family": "mattersim",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": "float32",
        "elements": None,
        "stress": None,
    }
