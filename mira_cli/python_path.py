"""Whose packages Python finds: its own and MIRA's, never those of another Python or what lies beside a user's data.

Imports nothing but what Python has loaded already: it is there to be called before anything else is imported.
"""

from __future__ import annotations

import os
import sys

# With it, Python does not look for modules in the current folder: `-P` for a process and all that it starts. A run
# directory may hold an `ase/` or a `random.py`, and may come from somebody else.
SAFE = {"PYTHONSAFEPATH": "1"}

_PACKAGE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120  (pathlib is not loaded yet)
_HOME = os.path.dirname(_PACKAGE)  # noqa: PTH120


def own(entries: str) -> list[str]:
    """The folders of a `PYTHONPATH` that are MIRA's: the one that it lies in, and those within it; as full paths.

    What else is there is usually the packages of another Python, put there by an environment module, which Python would
    take before the ones that MIRA was installed with.
    """
    folders = (os.path.realpath(entry) for entry in entries.split(os.pathsep) if entry)
    return [folder for folder in folders if folder == _HOME or folder.startswith(_PACKAGE + os.sep)]


def drop_strangers() -> None:
    """Start this process again, with the same arguments, where `PYTHONPATH` holds what is not MIRA's."""
    given = os.environ.get("PYTHONPATH", "")
    kept = os.pathsep.join(own(given))
    if kept != given and sys.executable:
        os.environ["PYTHONPATH"] = kept
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def python_variables(*folders: str | os.PathLike[str]) -> dict[str, str]:
    """Variables for a Python that is to find these folders, MIRA itself, and nothing in its current folder."""
    known = own(os.environ.get("PYTHONPATH", ""))
    return {**SAFE, "PYTHONPATH": os.pathsep.join([*map(str, folders), *known])}
