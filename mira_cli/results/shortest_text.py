"""Many numbers at once as the shortest text that reads back as the same number: what `repr` makes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

LEAST, MOST = 1e-4, 1e9  # between them Arrow writes the same digits, and neither writes an exponent


def shortest_text(values: Array) -> pa.Array:
    """Write (n,) float64 numbers; the few that Arrow writes in another way are written one by one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = np.abs(values)
    is_whole = (values == np.rint(values)) & (size < MOST)
    odd = ~(is_whole | ((size >= LEAST) & (size < MOST)))
    text = pc.binary_join_element_wise(pa.array(values).cast(pa.string()), pc.if_else(pa.array(is_whole), ".0", ""), "")
    return pc.replace_with_mask(text, pa.array(odd), pa.array(map(repr, values[odd].tolist()), pa.string()))


def join_numbers(values: Array, lengths: Array) -> pa.Array:
    """Texts of (n,) lengths of the (N,) numbers in turn, with a space between numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ends = pa.array(np.cumsum([0, *lengths.tolist()]), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(ends, shortest_text(values)), " ")
