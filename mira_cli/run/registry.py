"""Where the runs of this user are: one small file for each, written when a run is opened."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path

import platformdirs

from mira_cli.console import count, quoted
from mira_cli.errors import UsageError
from mira_cli.files import read_json, write_json
from mira_cli.run.directory import is_run

MOST_NAMED = 8  # runs


def register_folder() -> Path:
    """Folder of the entries, below the user's folder for state (`~/.local/state/mira`)."""
    return Path(platformdirs.user_state_dir("mira")) / "runs"


def remember_run(root: Path) -> None:
    """Note that there is a run; a home that cannot be written is no reason not to compute."""
    root = root.resolve()  # however it is reached, it is one run
    entry = register_folder() / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.json"
    with suppress(OSError, UnicodeEncodeError):  # a path need not be text
        if read_json(entry) != {"root": str(root)}:
            write_json(entry, {"root": str(root)})


def known_runs() -> list[Path]:
    """Run directories that are noted and still there; the entries of others are dropped."""
    found = []
    for entry in sorted(register_folder().glob("*.json")):
        try:
            content = read_json(entry)
        except OSError:
            continue
        root = content.get("root") if isinstance(content, dict) else None
        if not isinstance(root, str):
            _drop(entry)
        elif is_there(Path(root)):
            found.append(Path(root))
        elif _is_gone(Path(root)):
            _drop(entry)
    return found


def runs_below(folder: Path) -> list[Path]:
    """Run directories right in a folder."""
    try:
        return sorted(path for path in folder.iterdir() if is_there(path))
    except OSError:
        return []


def no_run(root: Path) -> UsageError:
    """What to say of a directory that is no run: where it holds some, as those of several tasks, the calls for them."""
    if runs := runs_below(root):
        command = next((word for word in sys.argv[1:] if word.isalpha()), "table")
        named = ", ".join(f"`mira {command} {quoted(run)}`" for run in runs[:MOST_NAMED])
        more = f" and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else ""
        told = f"`{root}` is not a run directory: it holds {count(len(runs), 'run')}"
        return UsageError(told, hint=f"name one of them: {named}{more}")
    return UsageError(f"`{root}` is not a run directory", hint="`mira runs` lists the runs that are known")


def is_there(root: Path) -> bool:
    """True if a directory is a run that can be looked at."""
    try:
        return is_run(root)
    except OSError:
        return False


def _is_gone(root: Path) -> bool:
    """Whether a run was removed, not merely out of sight: a file system that is not mounted now may come back."""
    try:
        return not root.exists() and root.parent.is_dir()
    except OSError:
        return False


def _drop(entry: Path) -> None:
    with suppress(OSError):
        entry.unlink()
