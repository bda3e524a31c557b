"""What the system refuses, told in one sentence: a full or read-only disk, what is not there, or is another user's."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from mira_cli.errors import EnvironmentNotReadyError, in_words

_GONE = {errno.ENOENT, errno.ESTALE}


def refused_by_system(error: OSError) -> EnvironmentNotReadyError:
    """An error of the system's, met anywhere, as one that says what to do about it."""
    if error.errno in _GONE and (folder := _removed_folder()):
        what = f"the folder that this was called in, `{folder}`, has been removed"
        hint = "`cd` to a folder that is there, then run the same command again"
        return EnvironmentNotReadyError(what, hint=hint)
    where = f" `{error.filename}`" if error.filename else ""
    hint = "free space or permissions there, then run the same command again"
    if error.errno in _GONE:
        hint = "`ls` shows whether it is there; `mira --debug …` says what wanted it"
    if isinstance(error, PermissionError):
        hint = "`ls -l` shows who may do what there"
        if owner := _other_owner(error.filename):
            hint = f"it belongs to `{owner}`; only its owner can change it"
    return EnvironmentNotReadyError(f"the system refused{where}: {in_words(error)}", hint=hint)


def _removed_folder() -> str | None:
    """The current folder, if it is there no more."""
    try:
        Path.cwd()
    except OSError:
        with suppress(OSError):
            return os.readlink("/proc/self/cwd").removesuffix(" (deleted)")  # noqa: PTH115  (a name, not a path)
        return os.environ.get("PWD", ".")
    return None


def _other_owner(name: object) -> str | None:
    """Who owns a path, or the folder that it is in, if that is another user."""
    if not isinstance(name, str):
        return None
    for place in (Path(name), Path(name).parent):
        with suppress(OSError):
            uid = place.stat().st_uid
            if uid != os.geteuid():
                return _user_name(uid)
    return None


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # of another machine, or of a container
        return f"user {uid}"
