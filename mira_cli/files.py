"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that takes its final name only when it is complete and on disk; on any error nothing changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open(mode, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def write_json(path: Path, data: object) -> None:
    """Write JSON by atomic rename."""
    with replacing(path) as stream:
        json.dump(data, stream, indent=1, ensure_ascii=False)
        stream.write("\n")


def read_json(path: Path) -> Any:
    """Content of a JSON file, or None where there is none or it is damaged (it will be made anew)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
