"""What a report keeps to itself: it is sent to colleagues, so it names no machine, no process and nobody's folders.

`provenance.json` beside it has all of it, for whoever looks after the run.
"""

from __future__ import annotations

import platform
import re
from typing import Any

PRIVATE = frozenset({"host", "pid", "cwd", "slurm_job_id", "gpu_uuid", "server"})

START = r"(?:~[\w.-]*)?/(?!/)"  # of a path from the root or from a home folder; no address of the web
QUOTED = re.compile(rf"(['\"`])({START}[^'\"`\n]+)\1")
BARE = re.compile(rf"(?<![^\s=:,;(\[{{<>'\"`])({START}[^\s'\"`,;?<>)\]}}]+)")
ALONE = re.compile(rf"((?:[\w-]*[:=])?)({START}[^?,\n]*)(.*)")  # as of a setting: it may hold spaces


def shareable(data: Any) -> Any:
    """The same without what is private, and with paths cut to their last name, as in `…/weights.model`."""
    if isinstance(data, dict):
        return {key: shareable(value) for key, value in data.items() if key not in PRIVATE}
    if isinstance(data, list):
        return [shareable(value) for value in data]
    return without_folders(data) if isinstance(data, str) else data


def without_folders(text: str) -> str:
    """A text with the folders of its absolute paths left out."""
    text = text.replace("file:///", "/")
    if (alone := ALONE.fullmatch(text)) and ": " not in text:
        return alone[1] + _name(alone[2]) + without_folders(alone[3])
    text = QUOTED.sub(lambda found: found[1] + _name(found[2]) + found[1], text)
    return BARE.sub(lambda found: _name(found[1]), text)


def system(text: str) -> str:
    """What `platform.platform()` says, without the release of the kernel: it names machines, and changes no number."""
    return text.replace(f"-{platform.release()}", "", 1)


def _name(path: str) -> str:
    return f"…/{path.rstrip('/').rpartition('/')[2]}"
