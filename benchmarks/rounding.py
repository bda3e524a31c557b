"""How far apart forces are that differ by rounding only: what a comparison of MIRA with a package can ask for.

.venv/bin/python benchmarks/rounding.py                    # 100 crystals of 2 to 32 atoms
.venv/bin/python benchmarks/rounding.py --full             # 2,000 crystals: those of `end_to_end.py --full`
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from ase.io import write
from crystals import LARGEST, SMALLEST, crystals
from processes import HERE, MODELS, model_row, pythons, timed
from results import write_section


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--structures", type=int, default=100)
    parser.add_argument("--full", action="store_true", help="2,000 structures")
    asked = parser.parse_args()
    structures = crystals(2000 if asked.full else asked.structures)
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as scratch:
        write(Path(scratch) / "crystals.extxyz", structures)
        found = {name: compared(name, Path(scratch)) for name in ("sevennet-0", "chgnet-0.3.0")}
    lines = [
        f"Largest difference of a force in {len(structures):,} crystals of {SMALLEST} to {LARGEST} atoms, on CPUs.",
        "",
        "| model | between | max eV/Å | 99 % of crystals below, eV/Å | crystals above 1e-4 eV/Å |",
        "|---|---|---:|---:|---:|",
    ]
    for name, pairs in found.items():
        lines += [f"| {name} | {pair} | {x['max']:.1e} | {x['p99']:.1e} | {x['above']} |" for pair, x in pairs.items()]
    print("\n".join(lines))
    write_section("rounding", "Rounding of forces", "\n".join(lines))


def compared(name: str, folder: Path) -> dict[str, Any]:
    """Run `rounding_ways.py` in a model's environment."""
    image, file, out = MODELS[name][2], folder / f"{name}.model.json", folder / f"{name}.json"
    file.write_text(json.dumps(model_row(name)))
    timed([pythons([image])[image], HERE / "rounding_ways.py", file, folder / "crystals.extxyz", out], folder)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


if __name__ == "__main__":
    main()
