"""`results.extxyz`: one frame a structure, in input order, every model's answer under keys of its own.

The text is what ASE would write, put together here since ASE takes several times as long for frames of many columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.spread import force_spread
from mira_cli.results.committee import committees_of, spread_key
from mira_cli.run.records import OK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from mira_cli.compare.theory import Committee
    from mira_cli.results.collect import ModelResults
    from mira_cli.results.table import Found
    from mira_cli.run.answers import Record
    from mira_cli.structures.packs import StructureIndex

    Array = np.ndarray[Any, Any]


def frames(
    structures: pa.Table, index: StructureIndex, models: Sequence[ModelResults], found: Sequence[Found]
) -> Iterator[str]:
    """Frames of some rows of the index; invalid structures have none. Units are eV and Å.

    `structure_id`, `energy_<slug>`, `forces_<slug>`, `stress_<slug>` hold what the models said, `force_spread…` how far
    they are apart on each atom, `reference_energy`, `reference_forces`, `reference_stress` what the input itself gave.
    The keys that ASE takes for a calculator's
    (`energy`, `forces`, `stress`) are left alone.
    """
    rows = structures.select(["id", "reference_energy_ev", "reference_stress_ev_per_ang3"]).to_pylist()
    together = committees_of(models)
    for i, structure in geometry(structures, index):
        answers = [(m.slug, records[i]) for m, records in zip(models, found, strict=True)]
        yield _frame(structure, rows[i], answers, together)


def geometry(structures: pa.Table, index: StructureIndex) -> Iterator[tuple[int, dict[str, Any]]]:
    """What the packs hold of some rows of the index, in order: place among these rows, and arrays by name.

    These are `numbers` (n,), `positions` and `reference_forces` (n, 3), and lists and numbers `cell`, `pbc`, `charge`
    and `spin`. Invalid structures are passed over.
    """
    rows = structures.select(["invalid", "pack", "row"]).to_pylist()
    found: dict[int, dict[str, Any]] = {}
    for pack in sorted({row["pack"] for row in rows if not row["invalid"]}):  # the files of a folder may alternate
        here = [i for i, row in enumerate(rows) if row["pack"] == pack and not row["invalid"]]
        with np.load(index.pack_path(pack), allow_pickle=False) as arrays:
            found |= zip(here, _structures(dict(arrays), [rows[i]["row"] for i in here]), strict=True)
    yield from sorted(found.items())


def _structures(pack: dict[str, Array], rows: Iterable[int]) -> Iterator[dict[str, Any]]:
    """What a pack holds of some structures; copies, so that the pack need not stay in memory."""
    ends = np.cumsum(pack["natoms"])
    for row in rows:
        atoms = slice(ends[row] - pack["natoms"][row], ends[row])
        per_atom = {name: pack[name][atoms].copy() for name in ("numbers", "positions", "reference_forces")}
        yield per_atom | {name: pack[name][row].tolist() for name in ("cell", "pbc", "charge", "spin")}


def _frame(
    structure: dict[str, Any],
    row: dict[str, Any],
    answers: list[tuple[str, Record | None]],
    together: Sequence[Committee],
) -> str:
    from ase.data import chemical_symbols
    from ase.io.extxyz import key_val_dict_to_str

    info = {key: structure[key] for key in ("charge", "spin") if np.isfinite(structure[key])}
    name = str(key_val_dict_to_str({"structure_id": row["id"]}))  # type: ignore[no-untyped-call]  # quoted where needed
    words = [*map(_word, info.items()), name]
    columns, arrays = ["species:S:1:pos:R:3"], [structure["positions"]]
    for key in ("energy", "stress"):
        value = row["reference_energy_ev" if key == "energy" else "reference_stress_ev_per_ang3"]
        if value is not None:
            words.append(_word((f"reference_{key}", value)))
    if np.isfinite(structure["reference_forces"]).all():
        columns.append("reference_forces:R:3")
        arrays.append(structure["reference_forces"])
    known: list[Array | None] = []
    for slug, record in answers:
        forces = record.forces() if record is not None and record.status == OK else None
        known.append(forces)
        if record is None or forces is None:
            continue
        words.append(_word((f"energy_{slug}", record.energy_ev)))
        columns.append(f"forces_{slug}:R:3")
        arrays.append(forces)
        if record.stress_ev_per_ang3 is not None:
            words.append(_word((f"stress_{slug}", [float(value) for value in record.stress_ev_per_ang3])))
    for committee in together:
        if (spread := force_spread([known[m] for m in committee.members])) is not None:
            columns.append(f"{spread_key(committee.name)}:R:1")
            arrays.append(spread[:, None])
    cell = [value for vector in structure["cell"] for value in vector]
    lattice = f'Lattice="{" ".join(map(str, cell))}" ' if any(cell) else ""
    pbc = " ".join("T" if periodic else "F" for periodic in structure["pbc"])
    numbers = np.hstack(arrays)
    line = f"%-2s{' %16.8f' * numbers.shape[1]}\n"
    symbols = (chemical_symbols[number] for number in structure["numbers"].tolist())
    lines = [line % (symbol, *values) for symbol, values in zip(symbols, numbers.tolist(), strict=True)]
    head = f'{lattice}Properties={":".join(columns)} {" ".join(words)} pbc="{pbc}"'
    return f"{len(lines)}\n{head}\n{''.join(lines)}"


def _word(item: tuple[str, Any]) -> str:
    """`key=number` or `key="numbers"`."""
    key, value = item
    return f'{key}="{" ".join(map(str, value))}"' if isinstance(value, list) else f"{key}={value}"
