"""Tell the family of a checkpoint by its looks, without running anything that is in it."""

from __future__ import annotations

import io
import json
import pickletools
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_PICKLE_BYTES = 200_000_000


@dataclass(frozen=True)
class Looks:
    """What a file or folder appears to be: of a family, or None and a reason in words."""

    family: str | None
    why: str


def look(place: Path) -> Looks:
    """Look at a checkpoint.

    Parameters
    ----------
    place
        A file or folder that exists.

    Raises
    ------
    OSError
        It cannot be read.
    """
    if place.is_dir():
        return _folder(place)
    return _file(place) if place.is_file() else Looks(None, "neither a file nor a folder")


def _folder(place: Path) -> Looks:
    names = {path.name for path in place.iterdir()}
    if "saved_model.pb" in names:
        return Looks("grace", "a TensorFlow SavedModel")
    if {"model.json", "model.pt", "state.pt"} <= names:
        try:
            about = json.loads((place / "model.json").read_bytes())
            kind, module = about["@class"], str(about.get("@module", ""))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            kind = module = ""
        if module.partition(".")[0] in {"diep", "diep_pyg"}:  # which has MatGL's format
            return Looks("diep", "a DIEP model")
        return Looks("matgl", f"a MatGL model ({kind})" if kind else "a MatGL model")
    if "model.yaml" in names and any(name.endswith(".index") for name in names):
        return Looks("grace", "a checkpoint of gracemaker")
    inside = [path for path in place.glob("*.pt") if path.is_file()]
    if len(inside) == 1 and (looks := _file(inside[0])).family == "fairchem":
        return looks
    return Looks(None, "a folder without a model")


def _file(place: Path) -> Looks:
    if not zipfile.is_zipfile(place):
        size = place.stat().st_size
        return Looks(None, "an empty file" if size == 0 else "not a PyTorch checkpoint, or only a part of one")
    try:
        with zipfile.ZipFile(place) as archive:
            entries = archive.namelist()
            pickled = next((name for name in entries if name.endswith("/data.pkl") or name == "data.pkl"), None)
            if pickled is None or any(name.endswith("/constants.pkl") for name in entries):
                return _archive(entries)
            if archive.getinfo(pickled).file_size > MAX_PICKLE_BYTES:
                return Looks(None, "a PyTorch checkpoint too large to look into")
            raw = archive.read(pickled)
        return _pickle(_names(raw))
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError):  # encrypted is a RuntimeError
        return Looks(None, "a damaged PyTorch checkpoint")


def _archive(entries: list[str]) -> Looks:
    """Look at the names in a zip archive that is no PyTorch checkpoint."""
    if any(name.endswith("/constants.pkl") for name in entries):
        return Looks(None, "a TorchScript file, deployed for another program")
    if {"package_metadata.txt", "eager_model.pkl"} <= {name.rpartition("/model/")[2] for name in entries}:
        return Looks("nequip", "a NequIP package")
    return Looks(None, "a zip archive without a model")


def _names(raw: bytes) -> set[str]:
    """Return the classes and the strings that a pickle names; the opcodes are read, not executed."""
    classes: set[str] = set()
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(io.BytesIO(raw)):
        if opcode.name == "GLOBAL":
            classes.add(str(argument).replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            classes.add(".".join(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    return classes | set(strings)


# in the order of trust: what a checkpoint must name to be of a family (classes and strings together)
_SIGNS: tuple[tuple[str, str, Callable[[set[str]], bool]], ...] = (
    ("mace", "a MACE model", lambda names: _starts(names, "mace.modules.")),
    ("fairchem", "a FAIRChem inference checkpoint", lambda names: any("MLIPInferenceCheckpoint" in n for n in names)),
    ("so3lr", "an SO3LR model", lambda names: _starts(names, "so3krates_torch.modules.models.")),
    # begun from SevenNet's code, with its format
    ("hienet", "a HIENet checkpoint", lambda names: {"model_state_dict", "config", "inv_features"} <= names),
    ("dpa", "a checkpoint of DeePMD-kit", lambda names: {"_extra_state", "model_params"} <= names),
    (
        "nequip",
        "a NequIP checkpoint",
        lambda names: "pytorch-lightning_version" in names and _starts(names, "nequip.", "allegro."),
    ),
    ("upet", "a PET checkpoint", lambda names: {"architecture_name", "model_ckpt_version", "pet"} <= names),
    (
        "matris",
        "a MatRIS checkpoint",
        lambda names: {"state_dict", "config", "pairwise_cutoff", "three_body_cutoff"} <= names,
    ),
    ("aimnet", "an AIMNet2 checkpoint", lambda names: {"model_yaml", "state_dict", "implemented_species"} <= names),
    (
        "tace",
        "a TACE checkpoint",
        lambda names: {"state_dict", "cfg", "statistics", "target_property", "embedding_property"} <= names,
    ),
    ("sevennet", "a SevenNet checkpoint", lambda names: {"model_state_dict", "config", "cutoff"} <= names),
    ("chgnet", "a CHGNet checkpoint", lambda names: {"model", "state_dict", "model_args"} <= names),
    ("mattersim", "a MatterSim checkpoint", lambda names: {"model", "model_name", "model_args"} <= names),
    ("ani", "a TorchANI state dict", lambda names: _starts(names, "potentials.nnp.aev_computer.", "aev_computer.")),
    ("orb", "an orb state dict", lambda names: _starts(names, "model.gnn_stacks.", "gnn_stacks.", "heads.energy.")),
)


def _starts(names: set[str], *beginnings: str) -> bool:
    return any(name.startswith(beginnings) for name in names)


def _pickle(names: set[str]) -> Looks:
    for family, words, fits in _SIGNS:
        if fits(names):
            return Looks(family, words)
    return Looks(None, "a PyTorch checkpoint of no family that MIRA knows")
