"""Many structures of few formulas, or each of its own: what they are made of is the same as one by one."""

import numpy as np
from ase.formula import Formula
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_cli.compare.compositions import compositions
from tests.unit.compare.compare_tables import answers, chain

SYMBOLS = ["Al", "Cu", "O", "H"]
COUNTS = st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 300), min_size=1)
FORMULAS = st.lists(st.none() | COUNTS.map(lambda count: "".join(f"{s}{n}" for s, n in count.items())), max_size=12)


@settings(deadline=None, max_examples=200)
@given(FORMULAS)
def test_groups_are_those_of_whole_rows(formulas) -> None:
    made_of = compositions(formulas)
    counts = [Formula(formula or "").count() for formula in formulas]
    rows = np.array([[count.get(name, 0) for name in made_of.elements] for count in counts], int)
    rows = rows.reshape(len(formulas), len(made_of.elements))
    assert made_of.elements == tuple(sorted({name for count in counts for name in count}))
    assert made_of.counts[made_of.formula].tolist() == rows.tolist()
    assert made_of.known.tolist() == [formula is not None for formula in formulas]
    alone = [next(iter(count)) if len(count) == 1 else None for count in counts]
    assert [made_of.elements[i] if i >= 0 else None for i in made_of.pure.tolist()] == alone
    if not rows.size:
        return
    reduced = rows // np.maximum(np.gcd.reduce(rows, axis=1, keepdims=True), 1)
    distinct, groups = np.unique(reduced, axis=0, return_inverse=True)
    assert made_of.groups.tolist() == groups.reshape(-1).tolist()
    assert (made_of.fractions == distinct / np.maximum(distinct.sum(axis=1, keepdims=True), 1)).all()


def test_counts_are_as_large_as_they_need_to_be() -> None:
    assert compositions(["H2", "CuO"]).counts.dtype == np.uint8
    assert compositions(["H70000", "CuO"]).counts.tolist() == [[0, 70000, 0], [1, 0, 1]]


def test_a_structure_is_one_and_fits_meet_the_mean_of_its_references() -> None:
    frames = chain(a="Cu", b="Cu", c="Cu", d="Cu", e="Cu", f="Cu")
    given = [1.0, 2.0, 1.0, None, None, 3.0]
    found = answers(frames, {"m": [1.0] * 6}, reference=given, hashes=["h", "h", "h", "h", "i", "j"])
    assert found.made_of.identity.tolist() == [0, 0, 0, 0, 4, 5]
    np.testing.assert_equal(found.fitted_energy, [1.5, 1.5, 1.5, np.nan, np.nan, 3.0])
    assert found.contradictions == (1, 0.5)
