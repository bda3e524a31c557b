"""What `reading.py` starts for each checkout: read folders that are named on stdin, and say what that took."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path


def main() -> None:
    from mira_cli.structures.find import find_sources
    from mira_cli.structures.packs import load_structures

    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            begin = cpu_s()
            index = load_structures(Path(folder), find_sources([line.strip()]).sources)
            took = cpu_s() - begin
        hashes = [name.decode() for name in index.hashes.tolist()]
        print(json.dumps({"cpu_s": took, "atoms": int(index.n_atoms.sum()), "hashes": hashes}), flush=True)


def cpu_s() -> float:
    """Seconds of the processor for this process and its children that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


if __name__ == "__main__":
    main()
