"""Orb models small enough for tests, made and saved as Orb itself does it. Runs in the image.

`make` writes checkpoints, `calculator` loads one as Orb's manual says, `refusals` lists what must not load.
"""

from __future__ import annotations

import json
from pathlib import Path

SMALL = {
    "latent_dim": 16,
    "base_mlp_hidden_dim": 16,
    "base_mlp_depth": 1,
    "head_mlp_hidden_dim": 16,
    "head_mlp_depth": 1,
    "num_message_passing_steps": 2,
}
CONSERVATIVE = {"function": "orb_v3_conservative_architecture", "arguments": SMALL}
DIRECT = {"function": "orb_v3_direct_architecture", "arguments": SMALL, "max_num_neighbors": 20}
MOLECULAR = {"function": "orb_v3_conservative_architecture", "arguments": {**SMALL, "has_charge_spin_cond": True}}
MOLECULAR_DIRECT = {
    "function": "orb_v3_direct_architecture",
    "arguments": {**SMALL, "has_charge_spin_cond": True, "has_stress": False},
}
SECOND = {"function": "orb_v2_architecture", "arguments": {"num_message_passing_steps": 1}, "max_num_neighbors": 20}
# the smallest that has a name
NAMED = "orb-d3-xs-v2"


def network(described: dict):
    """A random network."""
    import torch
    from orb_models.forcefield import pretrained

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32)
    return getattr(pretrained, described["function"])(device="cpu", **described["arguments"])


def row(name: str, file: Path, architecture: dict | str | None, dtype: str = "float64", **options) -> dict:
    """The `model` of JOB.json."""
    if architecture is not None:
        options["architecture"] = json.dumps(architecture) if isinstance(architecture, dict) else architecture
    return {
        "name": name,
        "family": "orb",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": dtype,
        "elements": None,
        "stress": None,
        "conservative": "conservative" in options.get("architecture", ""),
    }


def save(folder: Path, name: str, described: dict) -> Path:
    """Write a checkpoint."""
    import torch

    file = folder / f"{name}.ckpt"
    torch.save(network(described).state_dict(), file)
    return file


def make(folder: Path) -> list[dict]:
    """Write checkpoints: conservative, direct, of charged molecules, of the second generation, of a named model."""
    conservative = save(folder, "conservative [1]", CONSERVATIVE)
    return [
        row("conservative", conservative, CONSERVATIVE),
        row("conservative-float32", conservative, CONSERVATIVE, "float32"),
        row("conservative-mean", conservative, CONSERVATIVE | {"zbl": "mean"}),
        row("direct", save(folder, "direct", DIRECT), DIRECT, "float32"),
        row("molecular", save(folder, "molecular", MOLECULAR), MOLECULAR),
        row("molecular-direct", save(folder, "molecular-direct", MOLECULAR_DIRECT), MOLECULAR_DIRECT),
        row("second", save(folder, "second", SECOND), SECOND),
        row("named", save(folder, "named", SECOND | {"arguments": {"num_message_passing_steps": 5}}), NAMED, "float32"),
    ]


def calculator(model: dict):
    """Orb's own calculator, loaded as its manual says; structures that say nothing are neutral singlets."""
    import torch
    from orb_models.forcefield import pretrained
    from orb_models.forcefield.forcefield_adapter import ForcefieldAtomsAdapter
    from orb_models.forcefield.inference.calculator import ORBCalculator

    class Described(ORBCalculator):
        def calculate(self, atoms=None, *args, **kwargs):
            torch.set_default_dtype(getattr(torch, model["dtype"]))  # another model may have been loaded since
            atoms = atoms.copy()
            charge, spin = atoms.info.pop("charge", 0), atoms.info.pop("spin", 1)
            if self.expects_charge_and_spin:
                atoms.info.update(charge=float(charge), spin=float(spin))
            super().calculate(atoms, *args, **kwargs)

    torch.set_default_dtype(torch.float32)
    file, wanted = model["checkpoint"]["path"], model["options"]["architecture"]
    precision = {"float32": "float32-highest", "float64": "float64"}[model["dtype"]]
    how = {"device": "cpu", "precision": precision, "compile": False}
    if wanted == NAMED:
        return Described(*pretrained.ORB_PRETRAINED_MODELS[wanted](weights_path=file, **how), device="cpu")
    described = json.loads(wanted)
    loaded = pretrained.load_model(network(described), file, **how)
    if "zbl" in described:
        loaded.pair_repulsion_fn.node_aggregation = described["zbl"]
    adapter = ForcefieldAtomsAdapter(radius=6.0, max_num_neighbors=described.get("max_num_neighbors", 120))
    return Described(loaded, adapter, device="cpu")


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """What must not load: name, the model and words of the reason."""
    import torch

    made = {model["name"]: Path(model["checkpoint"]["path"]) for model in make(folder)}
    conservative, direct, molecular = (made[name] for name in ("conservative", "direct", "molecular"))
    files = {name: folder / name for name in ("text", "truncated", "tensor", "pickle", "headless")}
    files["text"].write_text("weights")
    files["truncated"].write_bytes(conservative.read_bytes()[: conservative.stat().st_size // 2])
    torch.save(torch.zeros(3), files["tensor"])
    torch.save(torch.nn.Linear(2, 2), files["pickle"])
    state = torch.load(conservative, weights_only=True)
    torch.save({key: value for key, value in state.items() if not key.startswith("heads.energy.")}, files["headless"])
    charges = {**CONSERVATIVE, "arguments": {**SMALL, "has_electrostatics": True}}
    bundled = row("bundled", direct, DIRECT) | {"checkpoint": {"bundled": "orb-v2"}}

    def tried(architecture, file=conservative, **options):
        return row("tried", file, architecture, **options)

    no_orb, misfit = "is not an Orb checkpoint (", "does not fit the architecture that is given ("
    return {
        "missing": (tried(CONSERVATIVE, folder / "nothing"), "there is no checkpoint"),
        "folder": (tried(CONSERVATIVE, folder), "is a folder"),
        "text": (tried(CONSERVATIVE, files["text"]), no_orb),
        "truncated": (tried(CONSERVATIVE, files["truncated"]), no_orb),
        "tensor": (tried(CONSERVATIVE, files["tensor"]), no_orb),
        "pickle": (tried(CONSERVATIVE, files["pickle"]), "it is no file of tensors"),
        "lacks a head": (tried(CONSERVATIVE, files["headless"]), "it lacks heads.energy."),
        "no architecture": (tried(None), "no architecture was asked for; an Orb checkpoint is one of"),
        "wrong name": (tried("orb-v9"), "orb has no architecture 'orb-v9'"),
        "withdrawn name": (tried("orb-v1"), "orb has no architecture 'orb-v1'"),
        "dispersion only": (tried("separate-d3-3layer"), "orb has no architecture 'separate-d3-3layer'"),
        "another name": (tried("orb-v3-conservative-inf-omat"), misfit),
        "another generation": (tried("orb-v2"), misfit),
        "direct as conservative": (tried(CONSERVATIVE, direct), misfit),
        "conservative as direct": (tried(DIRECT), misfit),
        "molecular as conservative": (tried(CONSERVATIVE, molecular), misfit),
        "conservative as molecular": (tried(MOLECULAR), misfit),
        "wrong argument": (tried({**CONSERVATIVE, "arguments": {"depth": 1}}), misfit),
        "wrong function": (tried({**CONSERVATIVE, "function": "load_model"}), "needs a function ("),
        "no function": (tried({"arguments": SMALL}), "needs a function ("),
        "wrong key": (tried({**CONSERVATIVE, "radius": 5.0}), "needs a function ("),
        "no JSON": (tried("{function: 1}"), "is not JSON ("),
        "long range by name": (tried("orbmol-v2"), "long-range electrostatics"),
        "long range": (tried(charges, save(folder, "charges", charges)), "long-range electrostatics"),
        "option": (tried(CONSERVATIVE, head="pbe"), "family orb has no option head (has architecture)"),
        "bundled": (bundled, "orb ships no weights"),
    }
