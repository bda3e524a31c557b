"""Parts of extended xyz for many structures at once: what ASE would write, in a fraction of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.results.fixed_text import FORM, fixed_text
from mira_cli.results.shortest_text import join_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    Array = np.ndarray[Any, Any]

PLAIN = r"\A[A-Za-z0-9_.#/+-]+\z"  # needs no quotes
PERIODIC = [" ".join("FT"[number >> axis & 1] for axis in (2, 1, 0)) for number in range(8)]


def atom_lines(symbols: Array, numbers: Array, sizes: Array, flags: Array) -> Iterator[bytes]:
    """The atoms of some structures as lines; (a,) symbols of two letters, (a, k) numbers, (a, f) truth values."""
    text, is_wide = fixed_text(numbers)
    end = text.shape[1] + 2
    whole = np.full((len(numbers), end + 1 + 2 * flags.shape[1]), ord(" "), np.uint8)
    whole[:, :2] = symbols.view(np.uint8).reshape(-1, 2)
    whole[:, 2:end] = text
    whole[:, end + 1 : -1 : 2] = np.where(flags, ord("T"), ord("F"))
    whole[:, -1] = ord("\n")
    form = f"%s{FORM * numbers.shape[1]}"
    ends = np.cumsum(sizes)
    any_wide = np.logical_or.reduceat(is_wide, ends - sizes) if len(sizes) else is_wide
    for begin, stop, wide in zip((ends - sizes).tolist(), ends.tolist(), any_wide.tolist(), strict=True):
        if not wide:
            yield whole[begin:stop].tobytes()
            continue
        rows = zip(symbols[begin:stop].astype(str).tolist(), numbers[begin:stop].tolist(), strict=True)
        tails = (row.tobytes() for row in whole[begin:stop, end:])
        yield b"".join(
            (form % (symbol, *values)).encode() + tail for (symbol, values), tail in zip(rows, tails, strict=True)
        )


def symbols_of_atoms(numbers: Array) -> Array:
    """(a,) symbols of elements, S2, filled with a space."""
    from ase.data import chemical_symbols

    return np.array([symbol.ljust(2) for symbol in chemical_symbols], "S2")[numbers]


def lattices(cell: Array) -> pa.Array:
    """`Lattice="…" ` of (n, 3, 3) cells in Å, empty where there is none."""
    import pyarrow.compute as pc

    flat = cell.reshape(-1, 9)
    has = (flat != 0).any(axis=1)
    return pc.fill_null(formed(has, 'Lattice="{}" ', join_numbers(flat.ravel(), np.full(len(flat), 9))), "")


def periodicities(pbc: Array) -> pa.Array:
    """`T T F` of (n, 3) flags."""
    import pyarrow as pa

    return pa.array(PERIODIC).take(pa.array(pbc.astype(int) @ (4, 2, 1)))


def formed(has: Array, form: str, text: pa.Array) -> pa.Array:
    """Texts put into `form`, null where a structure has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    before, after = form.split("{}")
    return pc.if_else(pa.array(has), pc.binary_join_element_wise(before, text, after, ""), pa.scalar(None, pa.string()))


def named_structures(names: pa.Array) -> pa.Array:
    """`structure_id=…`, in quotes where they are needed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    odd = pc.invert(pc.match_substring_regex(names, PLAIN))
    quoted = pa.array([info_text("structure_id", name) for name in names.filter(odd).to_pylist()], pa.string())
    plain = pc.binary_join_element_wise("structure_id=", names, "")
    return pc.replace_with_mask(plain, odd, quoted)


def info_text(key: str, value: str) -> str:
    """`key=value`, in quotes where they are needed."""
    from ase.io.extxyz import key_val_dict_to_str

    return str(key_val_dict_to_str({key: value}))
