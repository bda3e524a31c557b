"""Tiny GRACE models with random weights, exported by tensorpotential itself."""

from __future__ import annotations

import shutil
from pathlib import Path

SYMBOLS = ("Cl", "Cu", "H", "Na", "O", "Si")
REFERENCES_EV = (-1.0, -1.5, -2.0, -2.5, -3.0, -3.5)
SMALL = {"rcut": 5.0, "n_rad_base": 4, "embedding_size": 8, "max_order": 2}
LAYERS = {"prod_func_n_max": 4, "n_mlp_dens": 4}
SPECIFICATIONS = {
    "FS": ("FS", {"lmax": [2, 2, 1, 1], "Lmax": [None, 1, 0, 0], "n_rad_max": [4, 3, 2, 1]}),
    "1L": ("GRACE_1LAYER_latest", LAYERS | {"lmax": 2, "n_rad_max": 4}),
    "2L": ("GRACE_2LAYER_latest", LAYERS | {"lmax": [2, 1], "n_rad_max": [4, 4], "prod_func_n_max": [4, 4]}),
}


def potential(kind: str, dtype: str):
    """A model in memory, with random weights."""
    import tensorflow as tf
    from tensorpotential import TensorPotential
    from tensorpotential.potentials import get_preset

    tf.random.set_seed(0)
    preset, settings = SPECIFICATIONS[kind]
    instructions = get_preset(preset)(
        element_map={symbol: index for index, symbol in enumerate(SYMBOLS)},
        avg_n_neigh=20.0,
        constant_out_scale=5.0,
        atomic_shift_map=dict(enumerate(REFERENCES_EV)),
        **SMALL | settings,
    ).get_instructions()
    return TensorPotential(instructions, param_dtype=tf.as_dtype(dtype), jit_compile=False)


def export(folder: Path, kind: str, dtype: str, *, compiled: bool = False) -> Path:
    """Export a model; without XLA it needs no compilation, with it it is as published ones are."""
    path = folder / f"{kind} {dtype}{' XLA' if compiled else ''}"
    potential(kind, dtype).save_model(exact_path=str(path), jit_compile=compiled)
    return path


def model(path: Path) -> dict:
    return {
        "name": f"grace-{path.name.lower().replace(' ', '-')}",
        "family": "grace",
        "checkpoint": {"path": str(path)},
        "options": {},
        "dtype": "as-trained",
        "elements": None,
        "stress": None,
        "conservative": True,
    }


def make(folder: Path) -> list[dict]:
    """Export one, two and no message-passing layers, in both precisions, and one that XLA compiles."""
    exports = [export(folder, kind, dtype) for kind in ("FS", "1L") for dtype in ("float64", "float32")]
    exports += [export(folder, "2L", "float64"), export(folder, "1L", "float64", compiled=True)]
    return [model(path) for path in exports]


def calculator(model: dict):
    """GRACE's calculator, loaded as its manual says."""
    from tensorpotential.calculator import TPCalculator

    return TPCalculator(model["checkpoint"]["path"], enable_uq_if_available=False)


def refusals(folder: Path) -> dict[str, tuple[dict, str]]:
    """Name: what must be refused, and words of the reason."""
    import tensorflow as tf

    good = export(folder, "FS", "float64")
    (folder / "file").write_text("weights")
    (folder / "empty").mkdir()
    for name, kept in (("other", "state.pt"), ("half", "saved_model.pb")):
        (folder / name).mkdir()
        (folder / name / kept).write_text("weights")
    damaged = {}
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        damaged[name] = shutil.copytree(good, folder / f"truncated {Path(name).name}")
        content = (good / name).read_bytes()
        (damaged[name] / name).write_bytes(content[: len(content) // 2])
    no_model = tf.Module()
    no_model.scale = tf.Variable(1.0)
    tf.saved_model.save(no_model, str(folder / "saved module"))
    raw = folder / "seed"
    raw.mkdir()
    memory = potential("FS", "float64")
    memory.export_to_yaml(str(raw / "FS_model.yaml"))
    (raw / "model.yaml").write_text("[]")
    memory.save_checkpoint(checkpoint_name=str(raw / "checkpoints/checkpoint.best_test_loss"))
    return {
        "missing": (model(folder / "nowhere"), "there is no checkpoint"),
        "a file": (model(folder / "file"), "a grace checkpoint is a folder"),
        "an empty folder": (model(folder / "empty"), "it lacks saved_model.pb, variables/variables.index"),
        "another family's": (model(folder / "other"), "it lacks saved_model.pb, variables/variables.index"),
        "no variables": (model(folder / "half"), "it lacks variables/variables.index"),
        "truncated graph": (model(damaged["saved_model.pb"]), "is not a GRACE model ("),
        "truncated index": (model(damaged["variables/variables.index"]), "is not a GRACE model ("),
        "truncated weights": (model(damaged["variables/variables.data-00000-of-00001"]), "is not a GRACE model ("),
        "another SavedModel": (model(folder / "saved module"), "is not a GRACE model ("),
        "gracemaker's checkpoint": (model(raw), "checkpoint.best_test_loss.index export -n DIR`"),
        "unknown option": (model(good) | {"options": {"head": "x"}}, "has no option head (has none)"),
        "bundled": (model(good) | {"checkpoint": {"bundled": "GRACE-1L-OAM"}}, "ships no weights"),
    }
