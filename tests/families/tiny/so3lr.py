"""Tiny SO3LR models. Runs inside the image."""

from __future__ import annotations

from pathlib import Path

KNOWN = (1, 6, 7, 8, 9, 15, 16, 17)


def make(folder: Path) -> list[dict]:
    """Save an untrained network, of which training has seen a few elements, to be computed in both precisions."""
    file = _saved(folder / "tiny-so3lr.model")
    return [_model(file, dtype) | {"conservative": True} for dtype in ("float64", "float32")]


def calculator(model: dict):
    """Load as the manual says."""
    from so3krates_torch.calculator.so3 import SO3LRCalculator, TorchkratesCalculator

    if file := model["checkpoint"].get("path"):
        words = {"model_paths": file, "r_max_lr": 12.0, "dispersion_energy_cutoff_lr_damping": 2.0}
        single = TorchkratesCalculator(**words, compute_stress=True, default_dtype=model["dtype"])
    else:
        single = SO3LRCalculator(compute_stress=True, default_dtype=model["dtype"])
    single.use_cache = False  # it does not see that a charge is another one
    return single


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Write what cannot be loaded; name: model, words of the refusal."""
    import torch

    good = _saved(folder / "good")
    (folder / "text").write_text("weights")
    (folder / "truncated").write_bytes(good.read_bytes()[:9000])
    (folder / "folder").mkdir()
    torch.save({"model": 1, "config": {}}, folder / "other family")
    _saved(folder / "several heads", heads=2)
    bad = "is not an SO3LR model ("
    words = dict.fromkeys(("text", "truncated"), bad) | {
        "other family": f"{bad}it is of type dict)",
        "several heads": "has several heads, which MIRA does not support",
        "folder": "a so3lr checkpoint is a file, and",
        "missing": "there is no checkpoint",
    }
    return {key: (_model(folder / key), text) for key, text in words.items()} | {
        "option": (_model(good) | {"options": {"head": "x"}}, "family so3lr has no option head (has none)"),
        "bundled": (_model(good) | {"checkpoint": {"bundled": "solar"}}, "so3lr ships no weights 'solar', only so3lr"),
    }


def _saved(file: Path, heads: int = 1) -> Path:
    import torch
    from so3krates_torch.modules.models import SO3LR, MultiHeadSO3LR

    torch.manual_seed(0)
    size = {"r_max": 4.5, "num_radial_basis_fn": 8, "degrees": [1, 2], "num_features": 16, "num_heads": 2}
    trained = {"energy_learn_atomic_type_shifts": True, "energy_learn_atomic_type_scales": True}
    inputs = {"use_charge_embed": True, "use_spin_embed": True, "energy_regression_dim": 16, "num_layers": 2}
    cutoff = {"radial_basis_fn": "bernstein", "cutoff_fn": "phys", "avg_num_neighbors": 10.0}
    kind, more = (SO3LR, {}) if heads == 1 else (MultiHeadSO3LR, {"num_output_heads": heads})
    network = kind(**size, **trained, **inputs, **cutoff, **more, dtype=torch.float32)
    if heads == 1:
        with torch.no_grad():
            network.atomic_energy_output_block.energy_scales.weight[0, [z - 1 for z in KNOWN]] = 0.7
    torch.save(network, file)
    return file


def _model(file: Path, dtype: str = "float64") -> dict:
    return {
        "name": f"{file.stem}-{dtype}",
        "family": "so3lr",
        "checkpoint": {"path": str(file)},
        "options": {},
        "dtype": dtype,
        "elements": None,
        "stress": None,
    }
