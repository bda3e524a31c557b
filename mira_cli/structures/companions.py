"""What lies beside structures in the folders of calculations: files that hold none, and copies of the same geometry."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# A folder holds other things than structures; these are passed over, all else is tried.
SUFFIXES = frozenset({
    ".md", ".rst", ".txt", ".html", ".pdf", ".png", ".jpg", ".svg", ".py", ".sh", ".yaml", ".yml", ".toml", ".csv",
    ".tsv", ".log", ".ipynb", ".bib", ".zip", ".parquet", ".npz", ".sif",
    ".err", ".aselmdb-lock", ".h5", ".hdf5", ".wfc", ".wfn", ".chk", ".model", ".pt", ".pth", ".ckpt", ".tar",
    ".upf", ".psml", ".psp8", ".gth", ".paw",
})  # fmt: skip
VASP = frozenset({
    "INCAR", "KPOINTS", "POTCAR", "POTCAR.spec", "CHG", "CHGCAR", "WAVECAR", "WAVEDER", "DOSCAR", "EIGENVAL", "IBZKPT",
    "OSZICAR", "PCDAT", "PROCAR", "PROOUT", "REPORT", "LOCPOT", "ELFCAR", "AECCAR0", "AECCAR1", "AECCAR2", "TMPCAR",
    "STOPCAR", "ICONST", "PENALTYPOT", "HILLSPOT", "GAMMA", "vaspout.h5", "vasp.out", "lock", "vdw_kernel.bindat",
    "ML_AB", "ML_ABN", "ML_FF", "ML_FFN", "ML_HIS", "ML_HEAT", "ML_LOGFILE", "ML_REG", "ML_EATOM",
})  # fmt: skip
LOGS = re.compile(r"slurm-.*\.out|.*\.[oe]\d+(-\d+)?|core(\.\d+)?|std_?(err|out)(\.txt)?|nohup\.out", re.IGNORECASE)
ZIPPED = (".xyz.zip", ".extxyz.zip", ".cif.zip", ".json.zip")  # what else is zipped is read if it is named itself
PACKED = (".gz", ".bz2", ".xz", ".Z")
# One geometry of VASP, from the file that says most of it: all steps with energies and forces, all steps, the last.
OF_VASP = ("vasprun.xml", "OUTCAR", "XDATCAR", "CONTCAR", "POSCAR")
OUTPUT_OF = {".pwi": (".pwo", ".out"), ".in": (".out", ".pwo")}  # of Quantum ESPRESSO, beside its input

# A folder with these is a data set of DeePMD-kit, which is read as one file.
TYPES_OF_DEEPMD, OF_DEEPMD = "type.raw", "set.*/coord.npy"


def is_data_set(path: Path) -> bool:
    """Whether a path is a folder that is read as one file."""
    return (path / TYPES_OF_DEEPMD).is_file() and any(path.glob(OF_DEEPMD))


def holds_no_structure(path: Path) -> bool:
    """Whether a file's name says that it is no structure: scripts, tables, logs, what codes write beside geometry."""
    name = _unpacked(path.name)
    if path.name.lower().endswith(ZIPPED):
        return False
    return Path(name).suffix.lower() in SUFFIXES or name in VASP or LOGS.fullmatch(name) is not None


def has_content(file: Path) -> bool:
    """Whether there is anything in a file: a job that has just begun has made empty ones."""
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def told_better(files: Iterable[Path], has_content: Callable[[Path], bool] = has_content) -> dict[Path, Path]:
    """File of a folder -> the other file there that says more of the same calculation; without those that say most."""
    there = {_unpacked(file.name): file for file in files}
    of_vasp = [there[name] for name in OF_VASP if name in there and has_content(there[name])]
    found = dict.fromkeys(of_vasp[1:], of_vasp[0]) if of_vasp else {}
    for name, file in there.items():
        stem, suffix = Path(name).stem, Path(name).suffix.lower()
        outputs = [there[stem + other] for other in OUTPUT_OF.get(suffix, ()) if stem + other in there]
        if outputs and has_content(outputs[0]):
            found[file] = outputs[0]
    return found


def _unpacked(name: str) -> str:
    return Path(name).stem if name.endswith(PACKED) else name
