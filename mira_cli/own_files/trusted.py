"""Which families in files this user has vouched for, by their content: a note for each, in the user's own folder.

Not in the cache, which may be shared: others would vouch for themselves.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import platformdirs

from mira_cli.files import read_json, write_json


def _note(sha256: str) -> Path:
    return Path(platformdirs.user_state_dir("mira")) / "trusted-files" / f"{sha256}.json"


def is_vouched_for(sha256: str) -> bool:
    """Whether the user has said that they trust a file of this content, with its lock and what it opens."""
    try:
        found = read_json(_note(sha256))
    except OSError:
        return False
    return isinstance(found, dict)


def vouch(sha256: str, file: str) -> None:
    """Note that the user trusts it; a home that cannot be written is no reason not to compute."""
    with suppress(OSError):
        write_json(_note(sha256), {"file": file})
