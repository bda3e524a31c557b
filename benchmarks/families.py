"""How fast the adapters of families are whose published weights are not here, or that few compare.

    .venv/bin/python benchmarks/families.py                    # needs their images as environments

Each family in one process: its library's ASE calculator in a loop, the library's own batches where it has them, and
MIRA's adapter, at several sizes of a batch; the best of each is told. Networks are small ones with random weights, or
those in the packages (SO3LR, HIENet, DIEP).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from processes import HERE, cpu, pythons
from results import write_section

from mira_cli.catalogue.lookup import built_in

FAMILIES = ("nequip", "upet", "matris", "aimnet", "tace", "ani", "dpa", "so3lr", "hienet", "diep")
NOT_ALONE = ("hienet",)  # imports torch_scatter, of which there is no wheel for the image's torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", type=lambda text: text.split(","), default=list(FAMILIES))
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    lines = [
        "| family | ASE loop | library's batch | MIRA | × loop | × library | load, library s | load, MIRA s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for family in asked.families:
        best = measured(family, asked.turns)
        loop, ours, library = best["loop"], best["mira"], best.get("library")
        beside = (f"{library:.0f}", f"{ours / library:.2f}") if library else ("", "")
        load = loading(family, asked.turns)
        words = [family, f"{loop:.0f}", beside[0], f"{ours:.0f}", f"{ours / loop:.2f}", beside[1]]
        lines.append(f"| {' | '.join(words)} | {load.get('library', '')} | {load['mira']} |")
        print(lines[-1], flush=True)
    about = f"{cpu()}, one thread, structures per CPU second: 64 rattled cells of rock salt (8 atoms), or molecules of "
    about += "ethanol for ANI, AIMNet2 and SO3LR; small random networks, and the real ones of SO3LR, HIENet and DIEP. "
    about += "Loading: CPU seconds of import and loading, after ASE, in a process of its own."
    write_section("families", "Adapters of more families", "\n".join([about, "", *lines]))


def measured(family: str, turns: int) -> dict[str, float]:
    """Structures per CPU second of each way, at its best size of a batch."""
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as folder:
        out = Path(folder) / "out.json"
        inside(family, folder, family, out, turns)
        best: dict[str, float] = {}
        for one in json.loads(out.read_text()):
            best[one["way"]] = max(one["per_s"], best.get(one["way"], 0.0))
    return best


def loading(family: str, turns: int) -> dict[str, float]:
    """CPU seconds that import and loading take each way, in processes of their own: the best turn, after one."""
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as folder:
        inside(family, folder, "--row", family, folder)
        best: dict[str, float] = {}
        for turn in range(1 + turns):
            for way in ("mira",) if family in NOT_ALONE else ("library", "mira"):
                said = inside(family, folder, "--load", way, Path(folder) / "row.json")
                if turn:  # the first one writes bytecode
                    best[way] = min(round(float(said.splitlines()[-1]), 1), best.get(way, float("inf")))
        return best


def inside(family: str, folder: str, *words: object) -> str:
    """Run `families_ways.py` in a family's environment; return what it printed."""
    image = built_in().families[family].image
    command = [pythons([image])[image], HERE / "families_ways.py", *map(str, words)]
    variables = {"PATH": "/usr/bin:/bin", "HOME": folder, "OMP_NUM_THREADS": "1", "MIRA_ROWS": json.dumps(rows())}
    done = subprocess.run(command, check=True, cwd=folder, env=variables, capture_output=True, text=True)
    return done.stdout


def rows() -> dict[str, dict[str, Any]]:
    """Models whose weights are in their packages, as jobs name them."""
    return {
        name: {
            "name": name, "family": row.family, "checkpoint": row.checkpoint.model_dump(exclude_none=True),
            "options": row.options, "elements": sorted(row.elements or ()) or None, "stress": row.stress,
        }
        for name, row in built_in().models.items()
        if row.checkpoint.bundled and row.family in FAMILIES
    }  # fmt: skip


if __name__ == "__main__":
    main()
