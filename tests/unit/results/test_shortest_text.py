"""Numbers as `repr` writes them, many at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mira_cli.results.shortest_text import LEAST, MOST, join_numbers, shortest_text

EDGES = [0.0, 1.0, LEAST, 9.999999999999999e-05, MOST, 999999999.9999999, 1e16, 5e-324, np.inf, np.nan]
NUMBERS = st.floats() | st.floats(-1e3, 1e3) | st.integers(-(10**10), 10**10).map(float) | st.sampled_from(EDGES)


@given(st.lists(NUMBERS, max_size=40))
def test_text_is_that_of_repr(values) -> None:
    assert shortest_text(np.array(values, float)).to_pylist() == [repr(value) for value in values]


def test_edges_are_those_of_repr() -> None:
    both = np.array([*EDGES, *(-value for value in EDGES)])
    assert shortest_text(both).to_pylist() == [repr(value) for value in both.tolist()]


def test_numbers_of_rows_of_any_length() -> None:
    assert join_numbers(np.array([1.0, 2.5, -3e-7]), np.array([2, 0, 1])).to_pylist() == ["1.0 2.5", "", "-3e-07"]
