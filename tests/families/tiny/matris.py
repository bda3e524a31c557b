"""Tiny MatRIS checkpoints. Runs inside the image."""

from __future__ import annotations

from pathlib import Path

# The library's energies jump where a bond comes into a graph, those of an untrained network by 0.01 eV. Between these
# cutoffs and the bonds of the structures that slopes are taken of is more than the steps of the slopes.
CUTOFFS_ANG = {"pairwise_cutoff": 5.238, "three_body_cutoff": 3.285}
SIZE = {
    "num_layers": 2,
    "node_feat_dim": 16,
    "edge_feat_dim": 16,
    "three_body_feat_dim": 16,
    "mlp_hidden_dims": (16, 16),
    "num_radial": 5,
    "num_angular": 5,
    **CUTOFFS_ANG,
}


def save(file: Path, **changes) -> Path:
    """Save an untrained network as published ones are, of a scale that gives forces of some eV/Å."""
    import torch
    from matris.model import MatRIS

    torch.manual_seed(0)
    network = MatRIS(**(SIZE | {"reference_energy": "MPtrj"} | changes))
    with torch.no_grad():
        for name, weight in network.energy_head.named_parameters():
            if name.endswith("weight"):
                weight.mul_(4)
    torch.save({"config": network.config, "state_dict": network.state_dict()}, file)
    return file


def make(folder: Path) -> list[dict]:
    """Write a checkpoint of energies per atom with energies of reference, and one of total energies without."""
    total = save(folder / "total.pth.tar", is_intensive=False, reference_energy=None)
    return [row(save(folder / "tiny.pth.tar")), row(total)]


def calculator(model: dict):
    """Load as the manual says."""
    from matris.applications.base import MatRISCalculator

    return MatRISCalculator(model=model["checkpoint"]["path"], device="cpu", mode="torch")


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Write what cannot be loaded; name: model, words of the refusal."""
    import torch

    good = save(folder / "good.pth.tar")
    saved = torch.load(good, weights_only=True)
    weights = dict(saved["state_dict"])
    weights.popitem()
    changed = {
        "less": saved | {"state_dict": weights},
        "larger": saved | {"config": saved["config"] | {"node_feat_dim": 32}},
        "other family": {"model": {"state_dict": {}, "model_args": {}}},
        "pickle": Path("an object"),
    }
    for key, content in changed.items():
        torch.save(content, folder / key)
    (folder / "text").write_text("weights")
    (folder / "truncated").write_bytes(good.read_bytes()[:9000])
    (folder / "folder").mkdir()
    bad = "is not a MatRIS checkpoint ("
    words = dict.fromkeys(("less", "larger", "other family", "text", "truncated"), bad) | {
        "pickle": f"{bad}UnpicklingError",
        "folder": "a matris checkpoint is a file, and",
        "missing": "there is no checkpoint",
    }
    cases = {key: (row(folder / key), text) for key, text in words.items()}
    direct = save(folder / "direct.pth.tar", is_conservation=False)
    cases["direct"] = (row(direct), "predicts forces directly")
    cases["option"] = (row(good, task="omat"), "family matris has no option task (has none)")
    cases["bundled"] = (row(good) | {"checkpoint": {"bundled": "matris"}}, "matris ships no weights")
    return cases


def row(file: Path, **options) -> dict:
    """The `model` of JOB.json."""
    return {
        "name": file.name.partition(".")[0],
        "family": "matris",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": "float32",
        "elements": None,
        "stress": None,
        "conservative": True,
    }
