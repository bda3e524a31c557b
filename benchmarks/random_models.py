"""MACE and ORB of full size with random weights: as fast as the published ones. Runs in the image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ELEMENTS = (*range(1, 84), *range(89, 95))
ORB = {"function": "orb_v3_conservative_architecture", "arguments": {}}


def random_model(family: str, folder: Path) -> dict[str, Any]:
    """Save a model as its library does it; return it as MIRA's jobs name it."""
    import torch

    torch.manual_seed(0)
    file = folder / f"{family}-random.model"
    torch.save(_mace() if family == "mace" else _orb(ORB).state_dict(), file)
    return {
        "name": f"{family}-random", "family": family, "checkpoint": {"path": str(file)}, "dtype": "float32",
        "options": {"architecture": json.dumps(ORB)} if family == "orb" else {}, "elements": None, "stress": True,
    }  # fmt: skip


def _mace() -> Any:
    """Build what MACE-MPA-0 (medium) is: 128 channels, up to vectors, three-body products, 6 Å."""
    import numpy as np
    import torch
    from mace import modules  # before e3nn
    from mace.tools.torch_tools import default_dtype

    from e3nn import o3  # isort: skip

    with default_dtype("float32"):
        return modules.ScaleShiftMACE(
            r_max=6.0,
            num_bessel=10,
            num_polynomial_cutoff=5,
            max_ell=3,
            interaction_cls=modules.interaction_classes["RealAgnosticDensityResidualInteractionBlock"],
            interaction_cls_first=modules.interaction_classes["RealAgnosticDensityInteractionBlock"],
            num_interactions=2,
            num_elements=len(ELEMENTS),
            hidden_irreps=o3.Irreps("128x0e + 128x1o"),
            MLP_irreps=o3.Irreps("16x0e"),
            gate=torch.nn.functional.silu,
            atomic_energies=-0.1 * np.asarray(ELEMENTS),
            avg_num_neighbors=60.0,
            atomic_numbers=list(ELEMENTS),
            correlation=3,
            radial_MLP=[64, 64, 64],
            radial_type="bessel",
            distance_transform="Agnesi",
            pair_repulsion=True,
            atomic_inter_scale=1.0,
            atomic_inter_shift=0.0,
        )


def _orb(described: dict[str, Any]) -> Any:
    from orb_models.forcefield import pretrained

    return getattr(pretrained, described["function"])(device="cpu", **described["arguments"])


def orb_network(model: dict[str, Any], device: Any) -> tuple[Any, Any]:
    """Load a random ORB and what makes its graphs, in full single precision."""
    from orb_models.forcefield import pretrained
    from orb_models.forcefield.forcefield_adapter import ForcefieldAtomsAdapter

    network = _orb(json.loads(model["options"]["architecture"]))
    how = {"device": device, "precision": "float32-highest", "compile": False}
    loaded = pretrained.load_model(network, model["checkpoint"]["path"], **how)
    return loaded, ForcefieldAtomsAdapter(radius=6.0, max_num_neighbors=120)
