"""How a CPU machine is best used: one worker of one thread a core, or one worker with all threads.

    .venv/bin/python benchmarks/layout.py                        # 200 crystals of 2 to 32 atoms, some minutes

`mira run` evaluates the same crystals both ways, in turns. Seconds are those of evaluation, without the start of
workers: of the slower one where they run side by side, added up where they run one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ase.io import write
from crystals import LARGEST, SMALLEST, crystals
from processes import cpu
from results import write_section


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--structures", type=int, default=200)
    parser.add_argument("--models", type=lambda text: text.split(","), default=["sevennet-0", "chgnet-0.3.0"])
    parser.add_argument("--repeat", type=int, default=2)
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    lines = [
        "| model | turn | workers × threads | evaluation, wall s | `mira run`, wall s | memory of all workers, MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as scratch:
        given = Path(scratch, "crystals.extxyz")
        write(given, crystals(asked.structures))
        for model in asked.models:
            for turn in range(asked.repeat):
                for threads in (1, cores)[:: 1 if turn % 2 == 0 else -1]:
                    place = Path(scratch, f"{model}-{turn}-{threads}")
                    evaluation_s, wall_s, memory_mb = measured(given, model, place, threads, cores // threads)
                    lines.append(
                        f"| {model} | {turn + 1} | {cores // threads} × {threads} "
                        f"| {evaluation_s:.1f} | {wall_s:.1f} | {memory_mb:,.0f} |"
                    )
    text = f"{asked.structures:,} crystals of {SMALLEST} to {LARGEST} atoms, {cpu()}.\n\n" + "\n".join(lines)
    print(text)
    write_section("layout", "Workers and threads on a CPU machine", text)


def measured(given: Path, model: str, place: Path, threads: int, workers: int) -> tuple[float, float, float]:
    """Run once; seconds of evaluation and of everything, and the peak memory in MB of all workers at once."""
    began = time.perf_counter()
    command = [
        sys.executable, "-m", "mira_cli", "run", str(given), "-m", model, "-o", str(place), "--runtime", "venv",
        "--set", f"threads={threads}", "--set", "device=cpu", "--set", "reuse=false",
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: mira run: {done.stderr[-2000:]}")
    wall_s = time.perf_counter() - began
    jobs = [json.loads(file.read_text()) for file in (place / "work/done").glob("*/*.json")]
    seconds, memory = [job["evaluate_s"] for job in jobs], [job["peak_rss_mb"] for job in jobs]
    return max(seconds) if workers > 1 else sum(seconds), wall_s, sum(memory) if workers > 1 else max(memory)


if __name__ == "__main__":
    main()
