"""Runs in a family's image: networks converted to cuequivariance on a CPU, where it computes slowly what GPUs do fast.

`accelerated.py FAMILY FINDINGS.json`. It only reports; the tests judge.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "workflow"), str(HERE)]


def tried(family, model: dict, device: str, offers=None) -> dict:
    """Load a model, let the worker choose, and report that with the loaded potential."""
    from worker import accelerator
    from worker.device import Device
    from worker.job import read_model
    from worker.session import load_model

    if offers is not None:
        family.accelerators = lambda *_: offers
    described = read_model(model)
    plain = load_model(family, described, Device(device, "", None))  # whose file is then gone
    choice = accelerator.accelerate(family, described, plain, device)
    assert choice.potential.batch_atoms("cpu") == plain.batch_atoms("cpu")  # which it reads from the network
    return {"name": choice.name, "refused": choice.refused, "is_plain": choice.potential is plain}


def damaged(converted):
    """A conversion that brings weights over wrongly, by a tenth of a percent."""

    def make():
        import torch

        potential = converted()
        network = potential.single.models[0] if hasattr(potential.single, "models") else potential.single.model
        with torch.no_grad():
            for weights in network.parameters():
                weights.mul_(1.001)
        return potential

    return make


def main(family_name: str, findings_file: str) -> None:
    """Convert each tiny model, properly and badly."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from worker import accelerator, families
    from worker.device import Device
    from worker.job import read_model
    from worker.session import import_family, load_model

    family = families.find_family(family_name)
    import_family(family)
    convolution = importlib.import_module("worker.families.convolution")
    if family_name == "sevennet":  # it asks for a GPU, which its conversion does not need
        importlib.import_module("sevenn.nn.cue_helper").is_cue_available = lambda: True
    tiny, usual = importlib.import_module(f"tiny.{family_name}"), family.accelerators
    (folder := Path("made")).mkdir()
    findings = []
    for model in tiny.make(folder):
        described = read_model(model)
        plain = load_model(family, described, Device("cpu", "", None))

        def converted(plain=plain):
            return getattr(family, f"{family_name}_with_kernel")(plain, "cuequivariance")

        def offered(make):
            return [accelerator.Offer("cuequivariance", make)]

        family.accelerators = usual
        findings.append(
            {
                "model": model["name"],
                "fused": tried(family, model, "cpu"),
                "converted": tried(family, model, "cpu", offered(converted)),
                "wrong": tried(family, model, "cpu", offered(damaged(converted))),
            }
        )
        family.accelerators = usual
        with mock.patch.object(convolution, "Convolution", side_effect=ValueError("of another kind")):
            findings[-1]["unfused"] = tried(family, model, "cpu")
        findings[-1]["on a GPU"] = [offer.name for offer in usual(plain, "cuda:0")]
    if family_name == "sevennet":
        importlib.import_module("sevenn.nn.cue_helper").is_cue_available = lambda: False
        findings[0]["unconverted"] = tried(family, model, "cpu", offered(converted))
    Path(findings_file).write_text(json.dumps(findings))


if __name__ == "__main__":
    main(*sys.argv[1:])
