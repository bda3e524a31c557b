"""One step of `planning.py`: make and write the plan of a run, for real input or for made-up structures."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main() -> None:
    _, source, root, models, names, made_up = sys.argv
    from mira_cli.config import build_config
    from mira_cli.planning.prepare import check_request, commit_plan, prepare_run
    from mira_cli.run.directory import open_run
    from mira_cli.structures import packs

    if int(made_up):
        packs.read_blocks = lambda tasks, _keys: ((tasks[0], block) for block in blocks(int(made_up)))
    settings = {"structures": [source], "models": names.split(","), "models_files": [models], "device": "cpu"}
    run = open_run(Path(root))
    prepared = prepare_run(check_request(build_config(settings, [])), run, images="build")
    commit_plan(prepared, run)


def blocks(n: int):
    """Blocks as if so many crystals had been read."""
    from dataclasses import fields

    import pyarrow as pa
    from ase.data import chemical_symbols

    from mira_cli.structures.blocks import Block, index_schema
    from mira_cli.structures.geometry import Geometry

    rng = np.random.default_rng(0)
    for begin in range(0, n, 1000):
        natoms = rng.integers(2, 17, 1000)
        total = int(natoms.sum())
        pairs = zip(natoms.tolist(), *rng.integers(1, 90, (2, 1000)).tolist(), strict=True)
        arrays = {
            "natoms": natoms,
            "numbers": rng.integers(1, 90, total),
            "positions": rng.random((total, 3)),
            "cell": rng.random((1000, 3, 3)),
            "pbc": np.ones((1000, 3), dtype=bool),
            "charge": np.full(1000, np.nan),
            "spin": np.full(1000, np.nan),
            "fixed": np.zeros((total, 3), dtype=bool),
            "fixed_along_cell": np.zeros(1000, dtype=bool),
            "constraints_unknown": np.full(1000, ""),
        }
        geometry = Geometry(**{f.name: arrays[f.name] for f in fields(Geometry)})  # another checkout's may have less
        rows = {
            "id": [f"made-up#{i}" for i in range(begin, begin + 1000)],
            "hash": [rng.bytes(16).hex() for _ in range(1000)],
            "invalid": [None] * 1000,
            "formula": [f"{chemical_symbols[a]}{n // 2}{chemical_symbols[b]}{n - n // 2}" for n, a, b in pairs],
            "n_atoms": natoms,
            "periodic_directions": [3] * 1000,
            "reference_forces": [False] * 1000,
            "magnetic_moments": [False] * 1000,
        }
        said = {name: rows.get(name, [None] * 1000) for name in index_schema().names}
        table = pa.table(said, schema=index_schema())
        yield Block(table, np.zeros(1000, int), geometry, np.full((total, 3), np.nan), unreadable=False)


if __name__ == "__main__":
    main()
