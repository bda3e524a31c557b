"""ANI ensembles with random weights: the library has no smaller networks by name. Runs inside the image."""

from __future__ import annotations

from pathlib import Path
from unittest import mock


def save(file: Path, architecture: str) -> Path:
    """Write the state dict of an untrained ensemble, as published ones are."""
    import torch
    from torchani import models
    from torchani.arch import ANI

    torch.manual_seed(0)
    with (
        mock.patch.object(models, "_fetch_state_dict", return_value={}),
        mock.patch.object(ANI, "load_state_dict", return_value=None),
    ):
        network = getattr(models, architecture)()
    torch.save(network.state_dict(), file)
    return file


def make(folder: Path) -> list[dict]:
    """Write an ensemble for four elements, and one with repulsion and dispersion for seven."""
    return [row(save(folder / f"{name}.pt", name), architecture=name) for name in ("ANI1x", "ANI2dr")]


def calculator(model: dict):
    """Load as the manual says; molecules, which the tests put into wide boxes, are computed without."""
    import numpy as np
    import torch
    from cases import BOX_ANG
    from torchani import models
    from torchani.ase import Calculator

    saved = torch.load(model["checkpoint"]["path"], weights_only=True)
    with mock.patch.object(models, "_fetch_state_dict", return_value=saved):
        network = getattr(models, model["options"]["architecture"])(dtype=torch.float64)

    class Own(Calculator):
        def calculate(self, atoms, properties, *more):
            given, is_boxed = atoms.copy(), np.allclose(atoms.cell.array, BOX_ANG * np.eye(3))
            if is_boxed:
                given.pbc, given.cell = False, None
                properties = [one for one in properties if one != "stress"]
            super().calculate(given, properties, *more)
            if is_boxed:
                self.results["stress"] = np.zeros((3, 3))  # which nothing is compared with

    return Own(network)


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Write what cannot be loaded; name: model, words of the refusal."""
    import torch

    good = save(folder / "good.pt", "ANI1x")
    saved = torch.load(good, weights_only=True)
    torch.save(dict(list(saved.items())[1:]), folder / "less.pt")
    torch.save(Path("an object"), folder / "pickle.pt")
    (folder / "text.pt").write_text("weights")
    (folder / "truncated.pt").write_bytes(good.read_bytes()[:9000])
    (folder / "folder").mkdir()
    bad = "does not hold the weights of ANI1x ("
    words = dict.fromkeys(("less.pt", "pickle.pt", "text.pt", "truncated.pt"), bad) | {
        "folder": "a ani checkpoint is a file, and",
        "missing": "there is no checkpoint",
    }
    cases = {key: (row(folder / key, architecture="ANI1x"), text) for key, text in words.items()}
    cases["another network"] = (row(good, architecture="ANI2x"), "does not hold the weights of ANI2x (")
    cases["no network"] = (row(good), "option architecture is None, and is to be one of ANI1x, ANI1ccx")
    cases["option"] = (row(good, member=1), "family ani has no option member (has architecture)")
    cases["bundled"] = (row(good) | {"checkpoint": {"bundled": "ani"}}, "torchani ships no weights")
    return cases


def row(file: Path, **options) -> dict:
    """The `model` of JOB.json."""
    return {
        "name": file.stem,
        "family": "ani",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": "float64",
        "elements": None,
        "stress": None,
        "conservative": True,
    }
