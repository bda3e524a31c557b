"""One stage of `gpu.sh`, as `gpu_stages.py STAGE DEVICE MODEL COUNT`; prints lines of Markdown.

Runs in a Python that has a model's packages, with nothing of MIRA but the worker, which is beside it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow")]

if TYPE_CHECKING:
    from ase import Atoms

SAMPLE = 256  # crystals that the library's batches are tuned on


def main() -> None:
    """Do one stage."""
    stage, device, *rest = sys.argv[1:]
    if stage == "results":
        print(section(device, Path(rest[0])))
        return
    from worker import isolation

    isolation.set_job_environment(1, in_container=False)
    from crystals import crystals
    from processes import model_row

    name, count = rest[0], int(rest[1])
    stages = {"agreement": agreement, "small": small, "memory": memory}
    for line in stages[stage](model_row(name), crystals(count), device):
        print(f"* {name}: {line}")


def agreement(model: dict[str, Any], structures: list[Atoms], device: str) -> list[str]:
    """Compare the device with the CPU, and each accelerator of a family with the plain network."""
    from evaluation_ways import Worker

    there, here = Worker(model, device, threads=1), Worker(model, "cpu", threads=1)
    used, refused = there.accelerated.name or "none", there.accelerated.refused
    why = "".join(f"; {name} refused: {reason}" for name, reason in refused.items())
    off = apart(there.ask(structures), here.ask(structures))
    return [
        f"{there.device} against the CPU, {len(structures)} crystals: {off}.",
        f"accelerator on {there.device}: {used}{why}.",
    ]


def apart(some: list[Any], others: list[Any]) -> str:
    """Word the largest differences of energies and forces."""
    import numpy as np

    pairs = list(zip(some, others, strict=True))
    energy = max(abs(a[0] - b[0]) / len(b[1]) for a, b in pairs)
    force = max(float(np.abs(a[1] - b[1]).max()) for a, b in pairs)
    return f"at most {energy:.0e} eV/atom and {force:.0e} eV/Å apart"


def small(model: dict[str, Any], structures: list[Atoms], device: str) -> list[str]:
    """Time MIRA's worker and the library's best way on many small crystals, and on one large cell."""
    from evaluation_ways import Worker
    from gpu_ways import rate
    from library_ways import library_ways, sevennet_batches, tuned

    mira = Worker(model, device, threads=1)
    ways = {"MIRA's worker": mira.ask}
    # torch-sim is not among what is carried, and a rehearsal need not wait for all its ways
    own = model["family"] == "sevennet" and (device == "cpu" or not find_spec("torch_sim"))
    found = tuned((sevennet_batches if own else library_ways)(model, mira.device), structures[:SAMPLE])
    ways |= {f"{library}, {what['batch']} {what['unit']} a batch": ask for library, (what, ask) in found.items()}
    lines = []
    for way, ask in ways.items():
        ask(structures[:4])
        found_rate = rate(ask, structures, len(structures), mira.device)
        lines.append(f"{len(structures):,} crystals by {way}: {_words(found_rate)}.")
    return lines


def memory(model: dict[str, Any], structures: list[Atoms], device: str) -> list[str]:
    """Find the largest cell that fits, and what becomes of a first batch that is far too large."""
    from ase.build import bulk
    from evaluation_ways import Worker
    from gpu_ways import largest, recovery

    mira = Worker(model, device, threads=1)
    found = recovery(mira, structures)
    counts = ", ".join(f"{n:,} {status}" for status, n in sorted(found["counts"].items()))
    halved = f"{found['halved']} times too large, then {counts}"
    lines = [f"a first batch of {found['batch_atoms']:,} atoms: {halved}, {found['per_s']:.1f} structures/s in all."]
    if device != "cpu":
        cell = largest(mira, bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(8))
        lines.append(f"a cell of {cell['fits']:,} atoms fits, one of {cell['fails']:,} does not.")
    return lines


def _words(measured: dict[str, Any]) -> str:
    if "error" in measured:
        return str(measured["error"])
    peak = f", {measured['peak_mb']:,.0f} MB" if measured.get("peak_mb") else ""
    return f"{measured['per_s']:,.1f} a second{peak}"


def section(device: str, folder: Path) -> str:
    """Put what the stages so far have said together; with a GPU it goes into `RESULTS.md`."""
    from gpu import device as device_words  # asks nvidia-smi
    from results import write_section

    parts = sorted(part for part in folder.glob("*.md") if part.name != "section.md")
    lines = (line for part in parts for line in part.read_text().splitlines() if line.startswith("* "))
    said = "".join(f"{line}\n" for line in lines)  # packages print, too
    text = f"`benchmarks/gpu.sh`: {device_words(device)}; what is done within six minutes.\n\n{said}"
    if device == "cuda":
        write_section("gpu-sh", "A GPU for six minutes", text)
    return text


if __name__ == "__main__":
    main()
