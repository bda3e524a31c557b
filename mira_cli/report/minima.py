"""Where the structures came to rest: what a report shows of a task that moves atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.given_scalars import geometry_of_rows
from mira_cli.compare.minima import (
    MATCHER,
    MOST_ATOMS,
    MOST_PAIRS,
    NOT_MEASURED,
    SAME_ANG,
    SAME_LENGTH_PERCENT,
    SAME_VOLUME_PERCENT,
    has_matcher,
)
from mira_cli.compare.scalars import MODEL
from mira_cli.errors import UsageError
from mira_cli.lattice import SYMPREC_ANG, overlay
from mira_cli.report.gathered import rounded, rows_of
from mira_cli.results.read_tables import read_comparison, read_table
from mira_cli.tasks import ends

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.compare.forces import Array
    from mira_cli.report.gathered import Gathered
    from mira_cli.results.read_tables import Name
    from mira_cli.tasks import Task

DRAWN, MOST_DRAWN_ATOMS = 6, 60  # structures, atoms of one
MOST_SCALARS = 500  # rows; `scalars.csv` has the others
MOST_SAID = 6  # pairs
PAIR = ["against", "model_a", "model_b"]  # columns of `minima.csv` that say of which two a row is
CHANGED_LENGTHS = tuple((f"{axis}_ang", f"start_{axis}_ang") for axis in "abc")
CHANGES = ("max_displacement_ang", *sum(CHANGED_LENGTHS, ()))
FARTHEST = ("displacement_max_ang", "spread_volume_change_percent")  # columns of `spread.csv`, by which they are chosen


def minima(gathered: Gathered, task: Task) -> dict[str, Any]:
    """How the relaxations of each model ended, how far minima are apart, and some of them to look at."""
    tables = {name: _table(gathered, name) for name in ("relax", "scalars", "minima", "spread")}
    tables["minima"] = _once(gathered, tables["minima"])
    return {
        "relax": rows_of(tables["relax"]) if tables["relax"] else [],
        "scalars": rows_of(tables["scalars"].slice(0, MOST_SCALARS)) if tables["scalars"] else [],
        "scalars_left_out": max(0, len(tables["scalars"] or ()) - MOST_SCALARS),
        "meanings": {column.name: column.meaning for column in task.scalars},
        "pairs": _pairs(tables["minima"]),
        "rule": rule(),
        "measured": _measured(tables["minima"]),
        "drawn": _drawn(gathered, tables["spread"]),
    }


def rule() -> str:
    """When two minima are called one."""
    return (
        f"Two minima are called one if no volume differs by {SAME_VOLUME_PERCENT:g} % and no cell length by "
        f"{SAME_LENGTH_PERCENT:g} %, and atoms by less than {SAME_ANG:g} Å (root mean square; the nearest images in "
        "the mean cell, without a common drift), each from the one of its own number or, where that is further, from "
        "the one that pymatgen's StructureMatcher pairs it with."
    )


def methods_of_minima() -> str:
    """How minima are compared, for a methods section."""
    said = ", ".join(f"{name}={value}" for name, value in MATCHER.items())
    measured = (
        f" RMSD are those of pymatgen's StructureMatcher({said}), in units of (V/N)^(1/3): it does not see volumes, "
        "and first reduces cells to primitive ones within 0.25 Å."
        if has_matcher()
        else ""
    )
    return f"Space groups are spglib's with a tolerance of {SYMPREC_ANG:g} Å. {rule()}{measured}"


def findings_of_minima(gathered: Gathered) -> list[str]:
    """A few sentences: which models come to one minimum, and how often."""
    return [
        f"{row['model_a']} and {row['model_b'] or 'the reference'} came to one minimum in {row['same']:,} of "
        f"{row['n']:,} structures{_unknown(row)}."
        for row in _pairs(_once(gathered, _table(gathered, "minima")))[:MOST_SAID]
    ]


def _unknown(row: dict[str, Any]) -> str:
    return f"; of {row['unknown']:,} it is not known" if row["unknown"] else ""


def _table(gathered: Gathered, name: Name) -> pa.Table | None:
    try:
        return read_table(gathered.run, name)
    except UsageError:  # of results that an earlier MIRA made, or that could not be compared
        return None


def _once(gathered: Gathered, minima: pa.Table | None) -> pa.Table | None:
    """`minima.csv` with one row for each pair and structure, where the input holds structures twice."""
    import pyarrow.compute as pc

    if minima is None or not len(minima):
        return minima
    place = pc.index_in(minima["structure_id"], gathered.answers.structures).to_numpy()
    codes = [minima[key].combine_chunks().dictionary_encode("encode").indices.to_numpy() for key in PAIR]
    same = np.column_stack([gathered.answers.made_of.identity[place], *codes])
    return minima.take(np.sort(np.unique(same, axis=0, return_index=True)[1]))


def _pairs(minima: pa.Table | None) -> list[dict[str, Any]]:
    """For each two models, and model and reference: how often they have one minimum, and how far these are apart."""
    import pyarrow.compute as pc

    if minima is None or not len(minima):
        return []
    found = []
    for pair in minima.group_by(PAIR, use_threads=False).aggregate([]).to_pylist():
        own = minima
        for key in PAIR:
            is_one = pc.is_null(own[key]) if pair[key] is None else pc.equal(own[key], pair[key])
            own = own.filter(is_one)
        same = own["same_minimum"]
        found.append(
            {
                **pair,
                "n": len(own),
                "same": pc.sum(same).as_py() or 0,
                "unknown": same.null_count,
                "displacement": _median(own, "rms_displacement_ang"),
                "rmsd": _median(own, "rmsd"),
                "n_rmsd": len(own) - own["rmsd"].null_count,
                "volume": _median(own, "volume_difference_percent"),
            }
        )
    return sorted(found, key=lambda row: row["against"] != MODEL)


def _median(table: pa.Table, name: str) -> float | None:
    values = table[name].drop_null().to_numpy()
    return float(np.median(values)) if len(values) else None


def _measured(minima: pa.Table | None) -> str:
    """Of how many crystals the RMSD was measured, where it was not of all."""
    import pyarrow.compute as pc

    if minima is None or not len(minima):
        return ""
    left = pc.sum(pc.equal(minima["rmsd_status"], NOT_MEASURED)).as_py() or 0
    if not has_matcher():
        return "RMSD were not measured: that takes MIRA's extra `minima` (pip install '.[minima]' in its folder)."
    if not left:
        return ""
    return (
        f"RMSD were measured of {len(minima) - left:,} of {len(minima):,} pairs: of crystals of up to {MOST_ATOMS} "
        f"atoms, and no more than {MOST_PAIRS:,}."
    )


def _drawn(gathered: Gathered, spread: pa.Table | None) -> list[dict[str, Any]]:
    """Start and minima of structures whose minima are furthest apart, moved onto one another."""
    from ase.data import chemical_symbols, covalent_radii

    index, models = gathered.index, gathered.models
    places = [place for place in _farthest(gathered, spread) if 0 < index.n_atoms[place] <= MOST_DRAWN_ATOMS][:DRAWN]
    drawn = []
    for place in places:
        rows = np.array([place])
        start = geometry_of_rows(index, rows)
        found = [model.records.read(index.hashes[rows]) for model in models]
        minima = [ends(one, one.ok(), start) if one.ok().all() else None for one in found]
        moved = [
            None
            if end is None
            else overlay(start.sizes, start.pbc, (start.positions, start.cell), (end.positions, end.cell))
            for end in minima
        ]
        drawn.append(
            {
                "id": gathered.answers.structures[place].as_py(),
                "formula": gathered.answers.formulas[place].as_py(),
                "elements": [chemical_symbols[number] for number in start.numbers.tolist()],
                "radii": rounded([covalent_radii[number] for number in start.numbers.tolist()], 2),
                "pbc": start.pbc[0].tolist(),
                "start": _geometry(start.positions, start.cell[0]),
                "minima": [
                    None if end is None or positions is None else _geometry(positions, end.cell[0])
                    for end, positions in zip(minima, moved, strict=True)
                ],
            }
        )
    return drawn


def _geometry(positions: Any, cell: Any) -> dict[str, Any]:
    return {"positions": rounded(positions, 3), "cell": rounded(cell, 3)}


def _farthest(gathered: Gathered, spread: pa.Table | None) -> list[int]:
    """Places of different structures that came to rest, those first whose minima are furthest apart.

    Where no two models say so, those first that have changed most.
    """
    import pyarrow.compute as pc

    keys = []
    if spread is not None and len(spread):
        own = spread.slice(max(0, pc.index(spread["committee"], "all").as_py()), len(gathered.answers))
        keys = [own[name].to_numpy() for name in FARTHEST if name in own.column_names]
    keys.append(_changes(gathered))
    order = np.lexsort([-np.nan_to_num(key.astype(float), nan=-1.0) for key in reversed(keys)])
    hashes = gathered.index.hashes
    distinct = {hashes[place]: place for place in reversed(order.tolist()) if gathered.answers.ok[place].any()}
    return list(distinct.values())[::-1]


def _changes(gathered: Gathered) -> Array:
    """(s,) the largest displacement of an atom or change of a length since the start, Å, by any model at rest."""
    table = read_comparison(gathered.run, CHANGES)
    shape = gathered.answers.ok.shape

    def of(name: str) -> Array:
        has = name in table.column_names
        return table[name].to_numpy().astype(float).reshape(shape) if has else np.full(shape, np.nan)

    changes = [of(CHANGES[0]), *(np.abs(of(end) - of(start)) for end, start in CHANGED_LENGTHS)]
    known = np.where(gathered.answers.ok, np.nan_to_num(changes, nan=0.0), 0.0)
    return np.asarray(known.max(axis=(0, 2), initial=0.0))
