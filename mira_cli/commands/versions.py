"""The text of `mira --version`: MIRA first, then what its runs depend on, one name and version a line."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata

from mira_cli import __version__

# what reads structures, what runs jobs, what builds images; Snakemake's packages are not imported for this
_PACKAGES = ("ase", "gemmi", "numpy", "spglib", "snakemake", "snakemake-executor-plugin-slurm", "uv")


def versions() -> str:
    """`mira 0.2.0`, then a line for each of the others; `none` stands for what is not there."""
    rows = [("mira", __version__), ("python", platform.python_version())]
    rows += [(name, _of_package(name)) for name in _PACKAGES]
    rows.append(_of_apptainer())
    return "\n".join(f"{name} {version}" for name, version in rows)


def _of_package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _of_apptainer() -> tuple[str, str]:
    """Apptainer, or Singularity in its place. `images.apptainer` would take 0.1 s to import."""
    for name in ("apptainer", "singularity"):
        if program := shutil.which(name):
            try:
                asked = [program, "--version"]
                words = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.split()
            except (OSError, subprocess.SubprocessError):
                return name, "unknown"
            return name, words[-1] if words else "unknown"
    return "apptainer", "none"
