"""Tiny DIEP models. Runs inside the image."""

from __future__ import annotations

from pathlib import Path

ELEMENTS = ("H", "O", "Na", "Si", "Cl", "Cu")
REFERENCES_EV = [-0.5, -2.0, -1.0, -4.0, -1.5, -3.0]
FILES = ("model.json", "model.pt", "state.pt")


def make(folder: Path) -> list[dict]:
    """Save an untrained network as the package does, to be computed in both precisions."""
    place = _saved(folder / "tiny-diep")
    return [_model(place, dtype) | {"conservative": True} for dtype in ("float64", "float32")]


def calculator(model: dict):
    """Load as the manual says, in a precision."""
    from diep import config
    from diep.pretrained import DIEPCalculator, load_potential

    class InPrecision(DIEPCalculator):
        def calculate(self, *given, **named) -> None:
            config.set_default_dtype("float", int(model["dtype"][-2:]))
            super().calculate(*given, **named)

    potential = load_potential(model["checkpoint"].get("path"))
    potential = potential.double() if model["dtype"] == "float64" else potential
    return InPrecision(potential=potential, stress_unit="eV/A3")


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Name: what must be refused, and words of the reason."""
    import torch

    good = _saved(folder / "good")
    (folder / "file").write_text("weights")
    (folder / "empty").mkdir()
    for name in ("model.pt", "state.pt"):
        content = (_saved(folder / f"truncated {name}") / name).read_bytes()
        (folder / f"truncated {name}" / name).write_bytes(content[: len(content) // 2])
    less = _saved(folder / "less")
    state = torch.load(less / "state.pt", weights_only=True)
    torch.save(dict(list(state.items())[:-1]), less / "state.pt")
    foreign = _saved(folder / "foreign")
    arguments = torch.load(foreign / "model.pt", weights_only=True)
    run = {"@class": "Popen", "@module": "subprocess", "init_args": {"args": ["touch", str(folder / "harm")]}}
    torch.save(arguments | {"model": run}, foreign / "model.pt")
    _saved(folder / "repulsion", calc_repuls=True)
    bad = "is not a DIEP model ("
    words = {
        "missing": "there is no checkpoint",
        "file": "a diep checkpoint is a folder",
        "empty": "it lacks model.json, model.pt, state.pt",
        "truncated model.pt": bad,
        "truncated state.pt": bad,
        "less": f"{bad}ValueError: Checkpoint is missing 1 parameter",
        "foreign": "asks for subprocess.Popen, which no potential of DIEP is made of",
        "repulsion": "of a kind that MIRA does not support",
    }
    return {key: (_model(folder / key), text) for key, text in words.items()} | {
        "option": (_model(good) | {"options": {"head": "x"}}, "family diep has no option head (has none)"),
        "bundled": (_model(good) | {"checkpoint": {"bundled": "fold2"}}, "diep ships no weights 'fold2', only"),
    }


def _saved(folder: Path, **changes) -> Path:
    import torch
    from diep import config
    from diep.apps.pes import Potential
    from diep.models import DIEP

    config.set_default_dtype("float", 32)
    torch.manual_seed(0)
    size = {"units": 8, "nblocks": 2, "dim_node_embedding": 8, "dim_edge_embedding": 8, "cutoff": 4.5}
    network = DIEP(element_types=ELEMENTS, is_intensive=False, threebody_cutoff=3.5, **size)
    # with its own scale the forces of random weights are too small to compare
    Potential(network, data_std=50.0, element_refs=torch.tensor(REFERENCES_EV), **changes).save(folder)
    return folder


def _model(folder: Path, dtype: str = "float64") -> dict:
    return {
        "name": f"{folder.stem}-{dtype}",
        "family": "diep",
        "checkpoint": {"path": str(folder)},
        "options": {},
        "dtype": dtype,
        "elements": None,
        "stress": None,
    }
