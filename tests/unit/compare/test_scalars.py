"""Differences of any number that a task gives, against numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from mira_cli.compare.answers import Answers, ModelFacts
from mira_cli.compare.compositions import compositions
from mira_cli.compare.rank_correlation import Order, average_ranks
from mira_cli.compare.scalars import Scalar, scalars_table, spreads_table

NOTHING = np.full(5, np.nan)


def answers(formulas=("Cu", "Cu", "Cu", "Al", "Al")) -> Answers:
    models = [ModelFacts("a", "PBE", "none"), ModelFacts("b", "PBE", "none"), ModelFacts("c", "r2SCAN", "none")]
    n = len(formulas)
    return Answers(
        structures=pa.array([f"s{i}" for i in range(n)]), formulas=pa.array(formulas), n_atoms=np.ones(n, int),
        made_of=compositions(pa.array(formulas)), models=tuple(models), ok=np.ones((n, 3), bool),
        energy=np.full((n, 3), np.nan), stress=np.full((n, 3, 6), np.nan), reference_energy=np.full(n, np.nan),
        reference_stress=np.full((n, 6), np.nan),
    )  # fmt: skip


def rows_of(table: pa.Table) -> dict:
    return {(row["model_a"], row["model_b"]): row for row in table.to_pylist()}


def test_errors_bias_and_ranks_are_those_of_numpy_and_scipy() -> None:
    values = np.random.default_rng(0).uniform(1, 9, (5, 3))
    values[4, 1] = np.nan
    reference = np.array([2.0, 4.0, np.nan, 8.0, 10.0])
    found = rows_of(scalars_table(answers(), [Scalar("a_ang", values, reference)], "per-element"))
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c"), ("a", None), ("b", None), ("c", None)]
    apart, own = values[:4, 0] - values[:4, 1], found["a", "b"]
    assert (own["n"], own["theory"], own["against"]) == (4, "same", "model")
    assert own["mae"] == pytest.approx(np.abs(apart).mean())
    assert own["rmse"] == pytest.approx(np.sqrt((apart**2).mean()))
    assert own["mean_difference"] == pytest.approx(apart.mean())
    assert own["largest_difference"] == pytest.approx(np.abs(apart).max())
    assert own["mean_absolute_percent"] == pytest.approx(100 * np.abs(apart / values[:4, 1]).mean())
    assert own["rank_correlation"] == pytest.approx(spearmanr(values[:4, 0], values[:4, 1]).statistic)
    has = [0, 1, 3, 4]
    assert found["a", None]["n"] == 4
    assert found["a", None]["mae"] == pytest.approx(np.abs(values[has, 0] - reference[has]).mean())
    assert (found["a", None]["against"], found["a", None]["theory"]) == ("reference", None)


def test_energies_lose_the_zero_of_each_element_before() -> None:
    real = np.array([-3.0, -3.1, -3.3, -1.0, -1.2])
    zero = np.array([5.0, 5.0, 5.0, -2.0, -2.0])
    values = np.column_stack([real, real + zero, real + np.array([0.1, -0.1, 0, 0, 0])])
    found = rows_of(scalars_table(answers(), [Scalar("energy_per_atom_ev", values, NOTHING, True)], "per-element"))
    assert set(found) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert found["a", "b"]["mae"] == pytest.approx(0, abs=1e-12)
    assert found["a", "c"]["mean_difference"] == 0
    assert (found["a", "b"]["energy_alignment"], found["a", "b"]["energy_alignment_rank"]) == ("per-element", 2)
    assert found["a", "c"]["largest_difference"] == pytest.approx(0.1)
    assert found["a", "b"]["rank_correlation"] == 1  # within compositions: between them there is no order
    assert found["a", "b"]["mean_absolute_percent"] is None


def test_spreads_are_standard_deviations_within_committees() -> None:
    values = np.array([[1.0, 2.0, 6.0], [1.0, np.nan, 4.0], [np.nan, np.nan, 1.0], [0.0, 0.0, 0.0], [5.0, 7.0, 9.0]])
    table = spreads_table(answers(), [Scalar("volume_ang3", values, NOTHING)], "per-element")
    rows = [row for row in table.to_pylist() if row["committee"] == "all"]
    assert [row["spread_volume_ang3"] for row in rows] == [
        pytest.approx(np.std([1, 2, 6], ddof=1)), pytest.approx(np.std([1, 4], ddof=1)), None, 0, 2
    ]  # fmt: skip
    own = [row["spread_volume_ang3"] for row in table.to_pylist() if row["committee"] == "PBE"]
    assert own == [pytest.approx(np.std([1, 2], ddof=1)), None, None, 0, pytest.approx(np.std([5, 7], ddof=1))]


def test_numbers_of_any_size_have_ranks() -> None:
    values = np.column_stack([np.arange(5) * 1e-12, np.arange(5) * 1e-12, np.arange(5)[::-1] * 1e9])
    found = rows_of(scalars_table(answers(), [Scalar("x", values, NOTHING)], "none"))
    assert found["a", "b"]["rank_correlation"] == 1


def test_energies_within_a_tie_have_no_order() -> None:
    energies = np.array([[-4.09621, -4.09621], [-4.096214, -4.096213], [-4.096212, -4.096216], [-3.9, -3.8]])
    groups = np.zeros(4, int)
    assert Order(groups, tie_ev=1e-4).correlation(energies, 0, 1)[0] == pytest.approx(1.0)
    assert Order(groups).correlation(energies, 0, 1)[0] == pytest.approx(0.8)
    assert np.isnan(Order(groups[:3], tie_ev=1e-4).correlation(energies[:3], 0, 1)[0])


def test_a_tie_is_never_wider_than_what_is_called_equal() -> None:
    """From the lowest on: 0 and 0.8 tie, 1.6 does not, whatever lies between."""
    values, groups = np.array([1.6, 0.0, 0.8, 5.0, 5.9, 0.4]), np.array([0, 0, 0, 0, 1, 1])
    ranks = average_ranks(values, groups, tie=1.0)
    assert (ranks[1] == ranks[2], ranks[2] < ranks[0] < ranks[3]) == (True, True)
    assert ranks[5] < ranks[4]
    chain = average_ranks(np.arange(100) * 0.4, np.zeros(100, int), tie=1.0)
    assert np.unique(chain).tolist() == [1.0, *np.arange(4.0, 98, 3), 99.0]
    assert np.array_equal(average_ranks(np.array([2.0, 1.0, 2.0]), np.zeros(3, int)), [1.5, 0.0, 1.5])


def test_what_the_input_holds_twice_counts_once_unless_its_references_differ() -> None:
    formulas, hashes = ("Cu", "Cu", "Cu", "Al", "Cu"), ["x", "y", "x", "z", "x"]
    twice = replace(answers(formulas), made_of=compositions(pa.array(formulas), pa.array(hashes)))
    values = np.array([[1.0, 3.0, 0.0], [2.0, 5.0, 0.0], [1.0, 3.0, 0.0], [4.0, 4.0, 0.0], [1.0, 3.0, 0.0]])
    reference = np.array([1.0, 1.0, 1.0, np.nan, 3.0])
    found = rows_of(scalars_table(twice, [Scalar("x", values, reference)], "none"))
    assert (found["a", "b"]["n"], found["a", "b"]["n_rank_structures"]) == (3, 3)
    assert found["a", "b"]["mae"] == pytest.approx((2 + 3 + 0) / 3)
    assert (found["a", None]["n"], found["a", None]["mae"]) == (3, pytest.approx((0 + 1 + 2) / 3))
