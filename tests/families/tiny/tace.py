"""Tiny TACE checkpoints, built and saved by the library itself. Runs inside the image."""

from __future__ import annotations

from pathlib import Path

SPECIES = (1, 6, 7, 8, 11, 17, 29)
EMBEDDINGS = ("electric_field", "magnetic_field")


def config(fidelities: tuple[str, ...], *, field: bool) -> dict:
    """A network as the library's configuration describes it."""
    return {
        "_target_": "tace.models.e3nnTACE",
        "wrapper": {"_target_": "tace.models.TensorModel"},
        "cutoff": 5.0,
        "max_neighbors": None,
        "atomic_numbers": None,
        "fidelity": [{"name": name, "atomic_energy": None} for name in fidelities],
        "node_embedding": {"type": "linear"},
        "edge_embedding": {"type": "identity"},
        "edge_update": {"type": "element2"},
        "mmax": 1,
        "Lmax": 1,
        "lmax": 1,
        "mag_Lmax": 1,
        "num_layers": 2,
        "num_channel": 8,
        "parity": False,
        "radial_basis": {
            "radial_basis": "j0",
            "num_radial_basis": 8,
            "num_mag_radial_basis": 10,
            "distance_transform": None,
            "cutoff_fn": "c2poly",
            "polynomial_cutoff": 5,
            "gaussian_width": 2.0,
            "order": 0,
            "trainable": False,
            "apply_cutoff": False,
            "hidden": [8],
            "bias": True,
            "use_dydynamic_cutoff": False,
            "dydynamic_cutoff_mu": 40,
            "r_min": 0.0,
        },
        "resnet": {"type": "BB", "linear_type": "aware", "use_first_resnet": False},
        "layer_norm": {"pre_norm_type": None, "final_norm_type": None, "use_first_pre_norm": False},
        "atomic_basis": {
            "type": "cgtp",
            "l1l2": None,
            "scatter_norm": "avg_num_neighbors",
            "nonlinear": "sigmoid_gate",
            "edge_nonlinear": "so2_sigmoid_gate",
            **dict.fromkeys(("node_wise_hidden", "edge_wise_hidden", "edge_ace_hidden", "num_head"), None),
            "use_o2_asymmetric_contraction": False,
            "use_radial_rotary_attention": False,
            "gate_m0": False,
            "scalar_act": None,
            "tensor_act": None,
        },
        "product_basis": {
            "type": "cgtp",
            "l1l2": None,
            "correlation": 2,
            "return_components": None,
            "num_expert": None,
            "nonlinear": None,
            "num_channel_per_expert": None,
            "use_shared_expert": False,
            "agnostic": False,
        },
        "readout_emlp": {
            "bias": False,
            "hidden": [8],
            "use_alllayer": False,
            "use_uie": False,
            "use_one_body_magmoms": True,
        },
        "scale_shift": {
            "enable": True,
            "scale_type": "rms_forces",
            "shift_type": None,
            "scale_trainable": False,
            "shift_trainable": False,
            "all_atoms": False,
            "scale_zbl": False,
        },
        "short_range": {"zbl": {"enable": False, "trainable": False}},
        "long_range": {"les": {"enable": False, "les_arguments": {}}},
        "universal_embedding": {
            name: {"enable": field and name == "electric_field", "normalizer": 1.0} for name in EMBEDDINGS
        },
        "special": {"charges": {"method": "lagrangian"}},
        "dropout": {"use_first_dropout": False, "stochastic_depth": 0.0},
    }


def save(file: Path, fidelities: tuple[str, ...] = ("PBE",), *, field: bool = False, stress: bool = True) -> Path:
    """Save an untrained network; its scale gives forces of some eV/Å."""
    import torch
    from tace.lightning.torch_model import create_model

    torch.manual_seed(0)
    statistics = [
        {
            "atomic_numbers": list(SPECIES),
            "avg_num_neighbors": 20.0,
            "atomic_energy": {z: -float(z) * (1 + level) for z in SPECIES},
            "rms_forces": dict.fromkeys(SPECIES, 3.0),
            "mean": 0.0,
            "std": 1.0,
            "max_neighbors": 100,
        }
        for level in range(len(fidelities))
    ]
    described = config(fidelities, field=field)
    targets = ["energy", "forces", *(["stress"] if stress else [])]
    told = ["electric_field"] if field else []
    network = create_model(described, statistics, targets, told)
    content = {"state_dict": network.state_dict(), "cfg": described, "statistics": statistics}
    torch.save(content | {"target_property": targets, "embedding_property": told}, file)
    return file


def make(folder: Path) -> list[dict]:
    """Write a network of one level of theory, in two precisions; one of two levels; one without stresses."""
    one, two = save(folder / "one.pt"), save(folder / "two.pt", ("PBE", "r2SCAN"))
    bare = save(folder / "bare.pt", stress=False)
    return [
        row(one, "float64"),
        row(one, "float32"),
        row(two, "float64", fidelity="r2SCAN"),
        row(bare, "float64"),
    ]


def calculator(model: dict):
    """Load as the manual says."""
    from tace.interface.ase import TACEAseCalc

    place = {"PBE": 0, "r2SCAN": 1}.get(model["options"].get("fidelity"))
    return TACEAseCalc(model["checkpoint"]["path"], device="cpu", dtype=model["dtype"], fidelity_idx=place)


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """What must not load: name, the model and words of the reason."""
    import torch

    good, two = save(folder / "good.pt"), save(folder / "two.pt", ("PBE", "r2SCAN"))
    saved = torch.load(good, weights_only=False)
    weights = dict(saved["state_dict"])
    weights.popitem()
    torch.save(saved | {"state_dict": weights}, folder / "less.pt")
    torch.save({"model": 1, "config": {}}, folder / "other.pt")
    (folder / "text.pt").write_text("weights")
    (folder / "truncated.pt").write_bytes(good.read_bytes()[:9000])
    (folder / "folder").mkdir()
    bad, known = "is not a TACE checkpoint (", "fidelities of this checkpoint: PBE, r2SCAN"
    words = dict.fromkeys(("less.pt", "other.pt", "text.pt", "truncated.pt"), bad) | {
        "folder": "a tace checkpoint is a file, and",
        "missing": "there is no checkpoint",
    }
    cases = {key: (row(folder / key), text) for key, text in words.items()}
    field = save(folder / "field.pt", field=True)
    cases["field"] = (row(field), "wants to know electric_field, which MIRA does not tell")
    cases["no fidelity"] = (row(two), f"no fidelity was asked for; {known}")
    cases["wrong fidelity"] = (row(two, fidelity="HSE"), f"it has no fidelity 'HSE'; {known}")
    cases["option"] = (row(good, head="a"), "family tace has no option head (has fidelity)")
    cases["bundled"] = (row(good) | {"checkpoint": {"bundled": "oam"}}, "tace ships no weights")
    return cases


def row(file: Path, dtype: str = "float32", **options) -> dict:
    """The `model` of JOB.json."""
    return {
        "name": f"{file.name.partition('.')[0]}-{dtype}",
        "family": "tace",
        "checkpoint": {"path": str(file)},
        "options": options,
        "dtype": dtype,
        "elements": None,
        "stress": None,
        "conservative": True,
    }
