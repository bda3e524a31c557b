"""One model on a GPU, in its image; run by `gpu.py`, as `gpu_ways.py MODEL.json FOLDER OUT.json DEVICE LOOP`."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation_ways import Worker, calculator, loop

if TYPE_CHECKING:
    from ase import Atoms
    from library_ways import Ask

SAMPLE = 512  # structures that the library's batches are tuned on
GROWTH = 1.26  # in atoms, from one cell to the next: an edge of 8 %
TOO_MANY_ATOMS = 10**7


def measure(model: dict[str, Any], crystals: list[Atoms], cell: Atoms, device: str, looped: int) -> dict[str, Any]:
    """Measure everything; the loop gets `looped` of the crystals."""
    from library_ways import library_ways, tuned

    mira = Worker(model, device, threads=1)
    ways: dict[str, Ask] = {"ASE loop": loop(calculator(model, mira.device))}
    for library, (what, ask) in tuned(library_ways(model, mira.device), crystals[:SAMPLE]).items():
        batches = f", {what['batch']} {what['unit']} a batch" if what["batch"] else ""
        ways[library + batches + (", cuEquivariance" if what.get("cuequivariance") else "")] = ask
    ways["MIRA's worker"] = mira.ask
    small, large = {}, {}
    for name, ask in ways.items():
        ask(crystals[:4])
        part = crystals[:looped] if name == "ASE loop" else crystals
        small[name] = rate(ask, part, len(part), mira.device)
        large[name] = rate(ask, [cell], len(cell), mira.device, warm=True)
    return {
        "small": small,
        "large": large,
        "largest": largest(mira, cell) if mira.device != "cpu" else None,
        "recovery": recovery(mira, crystals),
    }


def rate(ask: Ask, structures: list[Atoms], units: int, device: str, *, warm: bool = False) -> dict[str, Any]:
    """Ask once (after a first time that is not counted, if `warm`); return units a second and the peak of memory."""
    import torch

    gpu = device != "cpu"
    try:
        if warm:
            ask(structures)
        if gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
        began = time.perf_counter()
        ask(structures)
        if gpu:
            torch.cuda.synchronize()
        found = {"per_s": units / (time.perf_counter() - began)}
        return found | ({"peak_mb": torch.cuda.max_memory_allocated() / 1e6} if gpu else {})
    except Exception as error:  # noqa: BLE001 - one way that cannot do it says nothing about the others
        torch.cuda.empty_cache()
        return {"error": f"{type(error).__name__}: {str(error)[:60]}"}


def largest(mira: Worker, cell: Atoms) -> dict[str, int]:
    """Grow a cell until it does not fit; return the atoms of the last that does, and of the first that does not."""
    from ase.build import bulk

    fits, edge = 0, 1.0
    while fits < TOO_MANY_ATOMS:
        atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(max(1, round((len(cell) / 8) ** (1 / 3) * edge)))
        atoms.rattle(0.05, seed=0)
        ((status, _, _),) = mira.records([atoms])
        if status != "ok":
            return {"fits": fits, "fails": len(atoms)}
        fits, edge = len(atoms), edge * GROWTH ** (1 / 3)
    return {"fits": fits, "fails": TOO_MANY_ATOMS}


def recovery(mira: Worker, crystals: list[Atoms]) -> dict[str, Any]:
    """Begin with all crystals in one batch, and see what becomes of them."""
    atoms = sum(map(len, crystals))
    with redirect_stderr(StringIO()) as said:
        began = time.perf_counter()
        records = mira.records(crystals, batch_atoms=atoms)
        seconds = time.perf_counter() - began
    return {
        "batch_atoms": atoms,
        "halved": len(re.findall(r"^worker: smaller batches", said.getvalue(), re.MULTILINE)),
        "counts": Counter(status for status, _, _ in records),
        "per_s": len(crystals) / seconds,
    }


def main() -> None:
    model_file, folder, out, device, looped = sys.argv[1:6]
    from worker import isolation

    isolation.set_job_environment(1, in_container=False)
    from ase.io import read

    model = json.loads(Path(model_file).read_text())
    crystals, cell = read(Path(folder) / "crystals.extxyz", ":"), read(Path(folder) / "cell.extxyz")
    with tempfile.TemporaryDirectory() as place:
        if family := model.get("random"):
            from random_models import random_model

            model = random_model(family, Path(place))
        Path(out).write_text(json.dumps(measure(model, crystals, cell, device, int(looped))))


if __name__ == "__main__":
    main()
