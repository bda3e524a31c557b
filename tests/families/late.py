"""Runs in SevenNet's image: networks whose products are made late against those that the package builds.

`late.py FINDINGS.json`. It only reports; the tests judge.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "workflow"), str(HERE)]


def compared(name: str, modal: str | None) -> dict:
    """Which answers are the same to the last digit, and whether any code has been made by then."""
    from sevenn.calculator import SevenNetCalculator

    from worker import accelerator
    from worker.families import sevennet
    from worker.families.late_products import LateProduct
    from worker.job import Checkpoint, Model

    options = {"modal": modal} if modal else {}
    model = Model(name, "sevennet", Checkpoint(name, None), options, "float32", None, stress=True)
    late = sevennet.load(model, "cpu", "float32")
    single = SevenNetCalculator(late.content.build_model(), file_type="model_instance", device="cpu", modal=modal)
    single.model.requires_grad_(False)
    usual = replace(late, single=single)
    products = [part for part in late.single.model.modules() if isinstance(part, LateProduct)]
    asked = [prepared.atoms for prepared in accelerator.structures_asked(model, late)]
    fused, expected = sevennet._fused(late).evaluate(asked), usual.evaluate(asked)
    found = {
        "products": len(products),
        "fused": same(fused, sevennet._fused(usual).evaluate(asked)),
        "made_by_then": sum(len(product._made) for product in products),
    }
    twin = replace(late, single=copy.copy(late.single))
    twin.single.model = copy.deepcopy(late.single.model)
    found["plain"], found["copied"] = same(late.evaluate(asked), expected), same(twin.evaluate(asked), expected)
    states = [network.single.model.state_dict() for network in (late, usual)]
    return {**found, "state": states[0].keys() == states[1].keys()}


def same(some, others) -> bool:
    import numpy as np

    return all(
        a.energy_ev == b.energy_ev
        and np.array_equal(a.forces_ev_per_ang, b.forces_ev_per_ang)
        and np.array_equal(a.stress_ev_per_ang3, b.stress_ev_per_ang3)
        for a, b in zip(some, others, strict=True)
    )


def main(findings_file: str) -> None:
    """Compare all networks in the package."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import torch

    torch.set_num_threads(1)
    from worker.families import sevennet

    found = {name: compared(name, "PBE" if "mf" in name else None) for name in sevennet.BUNDLED}
    Path(findings_file).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
