"""`python -m worker.compile_network MODEL.json OUT THREADS`: compile a model's network. Started by `worker.compiled`.

It loads the model as a job does, from weights whose hash is compared, and ends with whoever has started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import sys
from pathlib import Path
from typing import Any

from worker.errors import guarded, leave

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main(model_file: str, out: str, threads: str) -> int:
    """Compile, and return the exit code."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):  # where memory runs out, it is this process that the kernel is to end
        Path("/proc/self/oom_score_adj").write_text("1000")
    return guarded(lambda: _compile(json.loads(Path(model_file).read_bytes()), Path(out), int(threads)))


def _compile(described: dict[str, Any], out: Path, threads: int) -> int:
    from worker import device, families
    from worker.job import read_model
    from worker.session import framework_of, import_family, load_model

    model = read_model(described)
    family: Any = families.find_family(model.family)
    import_family(family)
    chosen = device.choose_device("cpu", framework_of(family, model), threads)
    family.compile_network(load_model(family, model, chosen), model, out)
    return 0


if __name__ == "__main__":
    leave(main(*sys.argv[1:]))
