"""Tiny AIMNet2 checkpoints, written by the library's own export. Runs inside the image."""

from __future__ import annotations

import copy
from pathlib import Path

SPECIES = (1, 6, 7, 8, 11, 17, 29)
SIZE = {"nfeature": 8, "ncomb_v": 4, "hidden": [[16], [16], [16]], "aim_size": 16}


def save(file: Path, *, channels: int = 1, config: str = "aimnet2_dftd3_wb97m.yaml") -> Path:
    """Export an untrained network, with two channels of charges for one that reads a multiplicity."""
    import aimnet
    import torch
    import yaml
    from aimnet.config import build_module
    from aimnet.train.export_model import export_model

    torch.manual_seed(0)
    described = yaml.safe_load((Path(aimnet.__file__).parent / "models" / config).read_text())
    described["kwargs"] |= copy.deepcopy(SIZE) | {"num_charge_channels": channels}
    readout = described["kwargs"]["outputs"]["energy_mlp"]["kwargs"]
    readout["n_in"] = SIZE["aim_size"]
    readout["mlp"]["hidden"] = [16]
    network = build_module(copy.deepcopy(described))
    with torch.no_grad():
        network.outputs.energy_mlp.mlp[2].weight.mul_(30)  # slopes that are large beside the last digits of energies
        for layers in network.mlps[:2]:  # what a charge is shared out by, which is not zero in trained ones
            layers[2].bias[channels : 2 * channels] = 1.0
    parts = {name: file.with_suffix(f".{name}") for name in ("yaml", "weights", "references")}
    parts["yaml"].write_text(yaml.safe_dump(described, sort_keys=False))
    torch.save(network.state_dict(), parts["weights"])
    parts["references"].write_text(yaml.safe_dump({z: -1.0 * z for z in SPECIES}))
    words = [str(parts[name]) for name in ("yaml", "references")]
    export_model.callback(str(parts["weights"]), str(file), *words, None, None)
    for part in parts.values():
        part.unlink()
    return file


def make(folder: Path) -> list[dict]:
    """Write a network that reads a charge, and one that reads a multiplicity too."""
    return [row(save(folder / "tiny.pt")), row(save(folder / "nse.pt", channels=2))]


def calculator(model: dict):
    """Load as the manual says; molecules, which the tests put into wide boxes, are computed without."""
    import numpy as np
    from aimnet.calculators import AIMNet2ASE, AIMNet2Calculator
    from cases import BOX_ANG

    class Own(AIMNet2ASE):
        def calculate(self, atoms=None, *_, **__):
            given = atoms.copy()
            if np.allclose(given.cell.array, BOX_ANG * np.eye(3)):
                given.pbc, given.cell = False, None
            super().calculate(given, ["energy", "forces", *(["stress"] if given.pbc.any() else [])])
            self.results.setdefault("stress", np.zeros((3, 3)))  # of a molecule, which nothing is compared with

    return Own(AIMNet2Calculator(model["checkpoint"]["path"], device="cpu"))


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Write what cannot be loaded; name: model, words of the refusal."""
    import torch

    good = save(folder / "good.pt")
    saved = torch.load(good, weights_only=True)
    torch.save({key: value for key, value in saved.items() if key != "state_dict"}, folder / "less.pt")
    torch.save({"model": 1, "config": {}}, folder / "other.pt")
    torch.save(Path("an object"), folder / "pickle.pt")
    (folder / "text.pt").write_text("weights")
    (folder / "truncated.pt").write_bytes(good.read_bytes()[:9000])
    (folder / "folder").mkdir()
    bad = "is not an AIMNet2 checkpoint ("
    words = dict.fromkeys(("less.pt", "other.pt", "pickle.pt", "text.pt", "truncated.pt"), bad) | {
        "folder": "a aimnet checkpoint is a file, and",
        "missing": "there is no checkpoint",
    }
    cases = {key: (row(folder / key), text) for key, text in words.items()}
    cases["option"] = (row(good, member=1), "family aimnet has no option member (has none)")
    cases["bundled"] = (row(good) | {"checkpoint": {"bundled": "aimnet2"}}, "aimnet ships no weights")
    return cases


def row(file: Path, **options) -> dict:
    """The `model` of JOB.json."""
    return {
        "name": file.name.partition(".")[0],
        "family": "aimnet",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": "float32",
        "elements": None,
        "stress": None,
        "conservative": True,
    }
