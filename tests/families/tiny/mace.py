"""MACE models small enough for tests, made and saved as MACE itself does it. Runs in the image.

`make` writes checkpoints, `calculator` loads one as MACE's manual says, `refusals` lists what must not load.
"""

from __future__ import annotations

from pathlib import Path

# the elements of the foundation models
TABLE = (*range(1, 84), *range(89, 95))
CHARGED = {
    "total_charge": {"type": "categorical", "per": "graph", "num_classes": 201, "offset": 100, "emb_dim": 4},
    "total_spin": {"type": "categorical", "per": "graph", "num_classes": 101, "emb_dim": 4},
}


def network(elements=TABLE, heads=("Default",), states=None, dtype="float64"):
    """A random MACE; the scale gives forces of some 0.1 eV/Å, the repulsion keeps atoms apart."""
    import numpy as np
    import torch
    from mace import modules  # before e3nn
    from mace.tools.torch_tools import default_dtype

    from e3nn import o3  # isort: skip

    torch.manual_seed(0)
    several = len(heads) > 1
    energies = -0.1 * np.asarray(elements) - np.arange(len(heads))[:, None]
    with default_dtype(dtype):
        return modules.ScaleShiftMACE(
            r_max=4.0,
            num_bessel=4,
            num_polynomial_cutoff=5,
            max_ell=1,
            interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
            interaction_cls_first=modules.interaction_classes["RealAgnosticInteractionBlock"],
            num_interactions=2,
            num_elements=len(elements),
            hidden_irreps=o3.Irreps("4x0e + 4x1o"),
            MLP_irreps=o3.Irreps(f"{4 * len(heads)}x0e"),
            gate=torch.nn.functional.silu,
            atomic_energies=energies if several else energies[0],
            avg_num_neighbors=12.0,
            atomic_numbers=list(elements),
            correlation=2,
            radial_MLP=[8],
            radial_type="bessel",
            atomic_inter_scale=[1000.0] * len(heads) if several else 1000.0,
            atomic_inter_shift=[0.0] * len(heads) if several else 0.0,
            heads=list(heads),
            pair_repulsion=True,
            embedding_specs=states,
        )


def row(name: str, file: Path, dtype: str = "float64", **options) -> dict:
    """The `model` of JOB.json."""
    return {
        "name": name,
        "family": "mace",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": dtype,
        "elements": None,
        "stress": None,
        "conservative": True,
    }


def make(folder: Path) -> list[dict]:
    """Write checkpoints: of one head, of two, of charged molecules; brackets are a pattern to MACE's calculator."""
    import torch

    one, two, charged = (folder / f"{name} [1].model" for name in ("one", "two", "charged"))
    torch.save(network(), one)
    torch.save(network(elements=(1, 6, 8, 11, 14, 17, 26, 28, 29, 78, 79), heads=("pbe", "r2scan")), two)
    torch.save(network(states=CHARGED, heads=("omol",), dtype="float32"), charged)
    return [
        row("one", one),
        row("one-float32", one, "float32"),
        row("two-pbe", two, head="pbe"),
        row("two-r2scan", two, head="r2scan"),
        row("charged", charged),
    ]


def calculator(model: dict):
    """MACE's own calculator, loaded as its manual says."""
    from mace.calculators import MACECalculator

    return MACECalculator(
        model_paths=[model["checkpoint"]["path"]], device="cpu", default_dtype=model["dtype"], **model["options"]
    )


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """What must not load: name, the model and words of the reason."""
    import torch

    made = {model["name"]: model for model in make(folder)}
    one, two = (Path(made[name]["checkpoint"]["path"]) for name in ("one", "two-pbe"))
    files = {name: folder / name for name in ("text", "states", "truncated", "tensor", "scripted", "dipoles")}
    files["text"].write_text("weights")
    torch.save(torch.load(one, weights_only=False).state_dict(), files["states"])
    files["truncated"].write_bytes(one.read_bytes()[: one.stat().st_size // 2])
    torch.save(torch.zeros(3), files["tensor"])
    torch.jit.script(torch.nn.Linear(2, 2)).save(files["scripted"])
    torch.save(torch.nn.Linear(2, 2), files["dipoles"])
    bundled = row("bundled", one) | {"checkpoint": {"bundled": "medium"}}
    heads = "heads of this checkpoint: pbe, r2scan"
    return {
        "missing": (row("missing", folder / "nothing"), "there is no checkpoint"),
        "folder": (row("folder", folder), "is a folder"),
        "text": (row("text", files["text"]), "is not a MACE model ("),
        "states": (row("states", files["states"]), "is not a MACE model (it is of type OrderedDict)"),
        "truncated": (row("truncated", files["truncated"]), "is not a MACE model ("),
        "tensor": (row("tensor", files["tensor"]), "is not a MACE model (it is of type Tensor)"),
        "scripted": (row("scripted", files["scripted"]), "is not a MACE model ("),
        "another module": (row("another", files["dipoles"]), "is not a MACE model (it is of type Linear)"),
        "no head": (row("none", two), f"no head was asked for; {heads}"),
        "wrong head": (row("wrong", two, head="PBE"), f"it has no head 'PBE'; {heads}"),
        "head of one": (row("other", one, head="pbe"), "it has no head 'pbe'; heads of this checkpoint: Default"),
        "option": (row("option", one, modal="pbe"), "family mace has no option modal (has head)"),
        "bundled": (bundled, "mace ships no weights"),
    }
