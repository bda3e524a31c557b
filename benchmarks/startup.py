"""What `mira` takes before it does anything, against importing the library that reads its options.

    python benchmarks/startup.py [--rounds 20]

Each round starts every command once, in turns, so that a busy machine slows one like the other. A round before, which
is not counted, writes the bytecode of all: that a second start of an installed `mira` finds, too.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ase.build import bulk
from ase.io import write
from results import write_section

MIRA = [sys.executable, "-m", "mira_cli"]
BASE = "python -c 'import typer'"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    BASE: [sys.executable, "-c", "import typer"],
    "mira --help": [*MIRA, "--help"],
    "mira run --help": [*MIRA, "run", "--help"],
    "completion of `mira st`": [sys.executable, "-c", "from mira_cli.app import app; app(prog_name='mira')"],
    "mira models": [*MIRA, "models"],
    "mira status RUN": [*MIRA, "status", "run"],
    "mira run --dry-run, 1 structure": [*MIRA, "run", "cu.extxyz", "-m", "emt", "-o", "run", "--dry-run"],
}
COMPLETION = {"_MIRA_COMPLETE": "complete_bash", "COMP_WORDS": "mira st", "COMP_CWORD": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "cu.extxyz"), bulk("Cu"))
        once([*MIRA, "run", "cu.extxyz", "-m", "emt", "-o", "run", "--quiet"], folder)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        for _ in range(1 + rounds):
            for name, command in COMMANDS.items():
                taken[name].append(once(command, folder, COMPLETION if name.startswith("completion") else {}))
    report({name: calls[1:] for name, calls in taken.items()}, rounds)


def once(command: list[str], folder: str, environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Seconds that one call takes: by the clock, and of processors."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # bytecode in the folder: it can be written there, whatever the environment says of it elsewhere
    python = {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
    known = os.environ | python | {"PYTHONDONTWRITEBYTECODE": ""} | (environment or {})
    subprocess.run(command, cwd=folder, env=known, capture_output=True, check=True)
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def report(taken: dict[str, list[tuple[float, float]]], rounds: int) -> None:
    lines = ["| command | wall s | CPU s | × import typer, wall | × import typer, CPU |", "|---|---:|---:|---:|---:|"]
    for name, calls in taken.items():
        wall, cpu = (statistics.median(seconds) for seconds in zip(*calls, strict=True))
        # each call against the import of its own round
        pairs = [(w / base_w, c / base_c) for (w, c), (base_w, base_c) in zip(calls, taken[BASE], strict=True)]
        ratios = [statistics.median(ratio) for ratio in zip(*pairs, strict=True)]
        lines.append(f"| {name} | {wall:.3f} | {cpu:.3f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    text = f"Medians of {rounds} rounds, Python {sys.version.split()[0]}.\n\n" + "\n".join(lines)
    print(text)
    write_section("startup", "Start-up of the command", text)


if __name__ == "__main__":
    main()
