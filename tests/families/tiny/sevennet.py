"""Tiny SevenNet checkpoints. Runs inside the image."""

from __future__ import annotations

import copy
from pathlib import Path

from ase.data import chemical_symbols

MODALS = ("mpa", "omat24")
SPECIES = chemical_symbols[1:90]


def make(folder: Path) -> list[dict]:
    """Save untrained networks, one without and one with modals, as the package's trainer does."""
    single, multi = folder / "tiny-sevennet.pth", folder / "tiny-sevennet-mf.pth"
    _save(single, _config())
    _save(multi, _config(MODALS))
    models = [_model(single), *(_model(multi, modal=modal) for modal in MODALS)]
    return [model | {"conservative": True} for model in models]


def calculator(model: dict):
    """Load as the manual says."""
    from sevenn.calculator import SevenNetCalculator

    place = model["checkpoint"]
    return SevenNetCalculator(
        str(place.get("path") or place["bundled"]), device="cpu", modal=model["options"].get("modal")
    )


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Write what cannot be loaded; name: model, words of the refusal."""
    import torch

    single, multi = (Path(model["checkpoint"]["path"]) for model in make(folder)[:2])
    saved = torch.load(single, weights_only=False)
    weights = saved["model_state_dict"]
    changed = {
        "less": saved | {"model_state_dict": dict(list(weights.items())[:-1])},
        "larger": saved | {"config": saved["config"] | {"channel": 8}},
        "other family": {"model": 1, "config": {}},
        "pickle": saved | {"hash": Path("an object")},
    }
    for key, content in changed.items():
        torch.save(content, folder / key)
    (folder / "text").write_text("weights")
    (folder / "truncated").write_bytes(single.read_bytes()[:9000])
    (folder / "folder").mkdir()
    bad = "is not a SevenNet checkpoint ("
    words = dict.fromkeys(("less", "larger", "other family", "text", "truncated"), bad) | {
        "pickle": f"{bad}UnpicklingError",
        "folder": "a sevennet checkpoint is a file, and",
        "missing": "there is no checkpoint",
    }
    return {key: (_model(folder / key), text) for key, text in words.items()} | {
        "option": (_model(single, head="mpa"), "family sevennet has no option head (has modal)"),
        "no modal": (_model(multi), "modal argument missing (avail: ["),
        "wrong modal": (_model(multi, modal="MPA"), "unknown modal MPA (not in ["),
        "superfluous modal": (_model(single, modal="mpa"), "this checkpoint has no modals, and 'mpa' was asked for"),
        "bundled": (_model(single) | {"checkpoint": {"bundled": "7net-omni"}}, "sevennet ships no weights '7net-omni'"),
    }


def _config(modals: tuple[str, ...] = ()) -> dict:
    """Complete a small network's configuration as the package's parser would."""
    import numpy as np
    import sevenn
    from sevenn import _const, util
    from sevenn import _keys as key

    config = {
        "version": sevenn.__version__,
        key.MODEL_TYPE: "E3_equivariant_model",
        key.NODE_FEATURE_MULTIPLICITY: 4,
        key.LMAX: 1,
        key.NUM_CONVOLUTION: 2,
        key.CUTOFF: 4.5,
        key.IS_PARITY: False,
        key.CONVOLUTION_WEIGHT_NN_HIDDEN_NEURONS: [8, 8],
        key.RADIAL_BASIS: {key.RADIAL_BASIS_NAME: "bessel", key.BESSEL_BASIS_NUM: 4},
        key.CUTOFF_FUNCTION: {key.CUTOFF_FUNCTION_NAME: "poly_cut", key.POLY_CUT_P: 6},
        key.CONV_DENOMINATOR: [10.0, 10.0],
        # published ones hold arrays, not only plain numbers
        key.SHIFT: np.linspace(-4.0, -3.0, len(SPECIES), dtype=np.float32),
        key.SCALE: np.full(len(SPECIES), 20.0 if modals else 2000.0, dtype=np.float32),
        key.USE_SPECIES_WISE_SHIFT_SCALE: True,
        key.USE_MODALITY: bool(modals),
    }
    config.update(util.chemical_species_preprocess(list(SPECIES)))
    if modals:
        config[key.MODAL_MAP] = {modal: i for i, modal in enumerate(modals)}
        config[key.NUM_MODALITIES] = len(modals)
        for used in (key.USE_MODAL_SELF_INTER_INTRO, key.USE_MODAL_SELF_INTER_OUTRO, key.USE_MODAL_OUTPUT_BLOCK):
            config[used] = True
        for unused in (key.USE_MODAL_NODE_EMBEDDING, key.USE_MODAL_WISE_SHIFT, key.USE_MODAL_WISE_SCALE):
            config[unused] = False
    defaults = {**_const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG, **_const.DEFAULT_DATA_CONFIG}
    return copy.deepcopy(defaults) | config


def _save(file: Path, config: dict) -> None:
    import torch
    from sevenn.model_build import build_E3_equivariant_model

    torch.manual_seed(0)
    network = build_E3_equivariant_model(copy.deepcopy(config))
    torch.save(
        {
            "model_state_dict": network.state_dict(),
            "optimizer_state_dict": {},
            "scheduler_state_dict": None,
            "config": config,
            "epoch": 0,
            "time": "2026-01-01 00:00",
            "hash": "tiny",
        },
        file,
    )


def _model(file: Path, **options) -> dict:
    return {
        "name": file.stem,
        "family": "sevennet",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": "float32",
        "elements": None,
        "stress": None,
    }
