"""Tiny FAIRChem checkpoints. Runs inside the image."""

from __future__ import annotations

from pathlib import Path

UMA_TASKS = ("oc20", "omat", "omol", "odac", "omc")
REFERENCES = "iso_atom_elem_refs.yaml"
CHECKPOINT = "inference_ckpt.pt"
BACKBONE = {
    "model": "fairchem.core.models.uma.escn_moe.eSCNMDMoeBackbone",
    "max_num_elements": 100,
    "sphere_channels": 8,
    "lmax": 2,
    "mmax": 2,
    "otf_graph": True,
    "max_neighbors": 300,
    "use_pbc": True,
    "use_pbc_single": True,
    "cutoff": 6.0,
    "edge_channels": 8,
    "distance_function": "gaussian",
    "num_distance_basis": 16,
    "direct_forces": False,
    "regress_forces": True,
    "regress_stress": True,
    "num_layers": 2,
    "hidden_channels": 8,
    "norm_type": "rms_norm_sh",
    "act_type": "gate",
    "ff_type": "spectral",
    "activation_checkpointing": False,
    "chg_spin_emb_type": "rand_emb",
    "always_use_pbc": False,
    "use_dataset_embedding": True,
}
HEADS = "fairchem.core.models.uma.escn_md"


def make(folder: Path) -> list[dict]:
    """Save untrained networks as the package's trainer does: UMA, and eSEN with and without conserved energy."""
    from omegaconf import OmegaConf

    # as fetched: a folder with a checkpoint, and the energies of isolated atoms
    places = {kind: folder / f"tiny-{kind}" for kind in ("uma", "esen", "esen-direct")}
    # as published: of tasks with charges an energy for each charge, of others one
    plain, charged = {z: -0.5 * z for z in range(1, 90)}, {z: {0: -0.7 * z, 1: -0.6 * z} for z in range(1, 90)}
    for kind, place in places.items():
        place.mkdir(exist_ok=True)
        _save(place / CHECKPOINT, *_config(kind))
        OmegaConf.save({"omat_elem_refs": plain, "omol_elem_refs": charged}, place / REFERENCES)
    uma, esen, direct = places.values()
    models = [_model(uma, task=task) for task in ("omat", "omol", "oc20")]
    models += [_model(uma, task="omat") | {"dtype": "float64"}, _model(esen), _model(esen, task="omat")]
    return [model | {"conservative": True} for model in models] + [_model(direct) | {"conservative": False}]


def calculator(model: dict):
    """Load as the manual says; an isolated atom is what the manual calls so, one without periodicity."""
    from fairchem.core import FAIRChemCalculator
    from fairchem.core.units.mlip_unit import load_predict_unit
    from fairchem.core.units.mlip_unit.api.inference import InferenceSettings
    from omegaconf import OmegaConf

    class Calculator(FAIRChemCalculator):
        def calculate(self, atoms, properties, system_changes):
            asked = atoms.copy()
            if len(asked) == 1 and asked.cell.lengths().min() > BACKBONE["cutoff"]:
                asked.pbc = False
            super().calculate(asked, properties, system_changes)

    place = Path(model["checkpoint"]["path"])
    unit = load_predict_unit(
        place / CHECKPOINT,
        inference_settings=InferenceSettings(base_precision_dtype=model["dtype"]),
        device="cpu",
        atom_refs=OmegaConf.load(place / REFERENCES),
    )
    return Calculator(unit, task_name=model["options"].get("task"))


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Write what cannot be loaded; name: model, words of the refusal."""
    import torch

    uma, esen = (Path(make(folder)[i]["checkpoint"]["path"]) / CHECKPOINT for i in (0, 4))
    network, tasks = _config("uma")
    del network["model_id"]
    _save(folder / "untagged", network, tasks)
    saved = torch.load(esen, weights_only=False)
    del saved.ema_state_dict["module.backbone.sphere_embedding.weight"]
    torch.save(saved, folder / "less")
    network, tasks = _config("esen")
    _save(folder / "no forces", network, [task for task in tasks if task["property"] != "forces"])
    torch.save({"model": 1, "config": {}}, folder / "other family")
    (folder / "text").write_text("weights")
    (folder / "truncated").write_bytes(uma.read_bytes()[:9000])
    (folder / "folder").mkdir()
    bad = "is not a FAIRChem checkpoint ("
    words = dict.fromkeys(("less", "other family", "text", "truncated"), bad) | {
        "untagged": "is a UMA checkpoint that this fairchem-core cannot read (",
        "no forces": "task omat of this checkpoint gives no forces",
        "folder": "holds 0 checkpoints (*.pt), and must hold one",
        "missing": "there is no checkpoint",
    }
    return {key: (_model(folder / key), text) for key, text in words.items()} | {
        "option": (_model(uma, head="omat"), "family fairchem has no option head (has task)"),
        "no task": (_model(uma), "this checkpoint has several tasks, name one of oc20, odac, omat, omc, omol"),
        "wrong task": (
            _model(uma, task="OMat"),
            "this checkpoint has no task 'OMat', only oc20, odac, omat, omc, omol",
        ),
        "superfluous task": (_model(esen, task="omol"), "this checkpoint has no task 'omol', only omat"),
        "bundled": (_model(uma) | {"checkpoint": {"bundled": "uma"}}, "fairchem ships no weights"),
    }


def _config(kind: str) -> tuple[dict, list[dict]]:
    """Return the configurations of a network and of its tasks."""
    network = {
        "_target_": "fairchem.core.models.base.HydraModel",
        "pass_through_head_outputs": True,
        "otf_graph": True,
    }
    if kind == "uma":
        names = {name: name for name in UMA_TASKS}
        experts = {"num_experts": 4, "use_composition_embedding": True, "moe_layer_type": "pytorch", "moe_dropout": 0.0}
        head = {
            "module": "fairchem.core.models.uma.escn_moe.DatasetSpecificMoEWrapper",
            "head_cls": f"{HEADS}.MLP_EFS_Head",
            "head_kwargs": {"wrap_property": False},
            "dataset_mapping": names,
        }
        network |= {"model_id": "UMA-TINY", "supports_single_atoms": True}
        network |= {"backbone": BACKBONE | experts | {"dataset_mapping": names}, "heads": {"efs": head}}
        # as published, where only some tasks were trained on stress
        with_stress = ("omat", "omc")
        return network, [
            _task(f"{name}_{prop}", prop, name)
            for name in UMA_TASKS
            for prop in ("energy", "forces", *(("stress",) if name in with_stress else ()))
        ]
    name = "omol" if kind == "esen-direct" else "omat"
    backbone = BACKBONE | {"num_experts": 0, "dataset_mapping": {name: name}}
    if kind == "esen":
        network |= {"backbone": backbone, "heads": {"efs": {"module": f"{HEADS}.MLP_EFS_Head", "wrap_property": True}}}
        return network, [_task(prop, prop, name) for prop in ("energy", "forces", "stress")]
    network |= {
        "pass_through_head_outputs": False,
        "backbone": backbone | {"direct_forces": True, "regress_stress": False},
        "heads": {
            "energy": {"module": f"{HEADS}.MLP_Energy_Head"},
            "forces": {"module": f"{HEADS}.Linear_Force_Head"},
        },
    }
    return network, [_task(prop, prop, name) for prop in ("energy", "forces")]


def _task(name: str, prop: str, dataset: str) -> dict:
    normalization = "fairchem.core.modules.normalization"
    task = {
        "_target_": "fairchem.core.units.mlip_unit.mlip_unit.Task",
        "name": name,
        "level": "atom" if prop == "forces" else "system",
        "property": prop,
        "out_spec": {"dim": {"energy": [1], "forces": [3], "stress": [1, 9]}[prop], "dtype": "float32"},
        "normalizer": {"_target_": f"{normalization}.normalizer.Normalizer", "mean": 0.0, "rmsd": 30.0},
        "datasets": [dataset],
        "metrics": ["mae"],
    }
    if prop == "energy":
        task["element_references"] = {
            "_target_": f"{normalization}.element_references.ElementReferences",
            "element_references": {"_target_": "torch.DoubleTensor", "_args_": [[-0.1 * z for z in range(100)]]},
        }
    return task


def _save(file: Path, network: dict, tasks: list[dict]) -> None:
    import hydra
    import torch
    from fairchem.core.units.mlip_unit.api.inference import MLIPInferenceCheckpoint

    torch.manual_seed(0)
    model = hydra.utils.instantiate(network)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    torch.save(MLIPInferenceCheckpoint(network, model.state_dict(), averaged.state_dict(), tasks), file)


def _model(file: Path, **options) -> dict:
    return {
        "name": file.stem,
        "family": "fairchem",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": "float32",
        "elements": None,
        "stress": None,
    }
