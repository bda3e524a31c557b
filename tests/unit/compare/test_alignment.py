"""Energies with different zeros are made comparable, and no more is claimed than the data can say."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.collections import dcdft, s22
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_cli.compare.alignment import Aligned, Refusal, align, committee_mean
from mira_cli.compare.compositions import Compositions, compositions
from mira_cli.compare.energy_pairs import aligned_pairs
from mira_cli.compare.schemes import SCHEMES
from mira_cli.compare.statistics import aligned_energies
from tests.unit.compare.compare_tables import answers, chain

SHIFTS = {"H": -13.6, "C": 1031.5, "N": 0.37, "O": -2040.9}  # eV, as far apart as all-electron and valence energies


def per_atom(values, made_of):
    return np.asarray(values, float) / made_of.counts.sum(axis=1)[made_of.formula]


@pytest.fixture(scope="module")
def molecules():
    """S22 with EMT's energies, and with the same after each element's zero was moved."""
    structures = {name: s22[name] for name in s22.names}
    energies = []
    for atoms in structures.values():
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
    moved = [e + sum(SHIFTS[s] for s in atoms.symbols) for e, atoms in zip(energies, structures.values(), strict=True)]
    return structures, energies, moved


def test_element_shifts_vanish(molecules) -> None:
    structures, energies, moved = molecules
    found = answers(structures, {"emt": energies, "moved": moved})
    assert np.abs(found.energy[:, 0] - found.energy[:, 1]).min() > 0.5
    ((_, _, result),) = aligned_pairs(found, "per-element")
    assert isinstance(result, Aligned)
    assert (result.rows, result.rank, result.dof) == (22, 4, 18)
    assert np.nanmax(np.abs(result.values)) < 1e-10
    assert result.determined.sum() >= 20


@pytest.mark.parametrize("scheme", ["per-element", "mean-shift", "composition"])
def test_a_constant_vanishes_at_one_composition(scheme) -> None:
    frames = {f"f{i}": bulk("Cu", cubic=True) for i in range(4)}
    energies = [-14.0, -13.7, -13.2, -13.9]
    found = answers(frames, {"a": energies, "b": [e + 1234.5 for e in energies]})
    ((_, _, result),) = aligned_pairs(found, scheme)
    assert isinstance(result, Aligned)
    assert (result.rank, result.dof) == (1, 3)
    assert np.abs(result.values).max() < 1e-12


def test_elements_that_occur_once_cannot_be_fitted() -> None:
    """The 71 elemental crystals have as many shifts as structures; with a strained copy of each there are 71 left."""
    crystals = {name: dcdft[name] for name in dcdft.names}
    made_of = compositions([atoms.get_chemical_formula() for atoms in crystals.values()])
    calculator = LennardJones(sigma=2.0, epsilon=0.1, rc=5.0)
    energies, moved = [], []
    for scale in (1.0, 1.03):
        for i, crystal in enumerate(crystals.values()):
            atoms = crystal.copy()
            atoms.set_cell(atoms.cell * scale, scale_atoms=True)
            atoms.calc = calculator
            energies.append(atoms.get_potential_energy() / len(atoms))
            moved.append(energies[-1] - 17.0 * i)
    once = align(np.array(energies[:71]) - moved[:71], made_of, "per-element")
    assert isinstance(once, Refusal)
    assert (once.rows, once.rank, once.dof) == (71, 71, 0)
    assert once.reason == "71 structures cannot set 71 element shifts and leave something to compare"
    twice = Compositions(made_of.elements, made_of.counts, np.tile(made_of.formula, 2), np.arange(142))
    both = align(np.array(energies) - moved, twice, "per-element")
    assert isinstance(both, Aligned)
    assert (both.rank, both.dof, both.determined.all()) == (71, 71, True)
    assert np.abs(both.values).max() < 1e-9


def test_a_structure_that_alone_sets_a_shift_says_nothing() -> None:
    made_of = compositions([*["Cu"] * 10, "CuAl"])
    noise = np.random.default_rng(0).normal(size=11)
    result = align(noise, made_of, "per-element")
    assert isinstance(result, Aligned)
    assert (result.rank, result.dof) == (2, 9)
    assert result.determined.tolist() == [True] * 10 + [False]
    assert abs(result.values[10]) < 1e-12
    assert np.isnan(result.left_out[10])


def test_left_out_residuals_are_those_of_fits_without_the_structure() -> None:
    made_of = compositions(["Cu", "CuAl", "Cu2Al", "Al", "CuAl3", "Cu3Al"])
    values = np.array([0.1, -0.2, 0.3, 0.25, -0.4, 0.05])
    result = align(values, made_of, "per-element")
    fractions = made_of.fractions[made_of.groups]
    for i in range(6):
        rest = np.arange(6) != i
        x, *_ = np.linalg.lstsq(fractions[rest], values[rest])
        assert result.left_out[i] == pytest.approx(values[i] - fractions[i] @ x)


def test_equal_structures_count_once() -> None:
    assert isinstance(align(np.ones(3), compositions(["Cu"] * 3, ["h", "h", "h"]), "per-element"), Refusal)
    result = align(np.array([1.0, 1.0, 4.0]), compositions(["Cu"] * 3, ["h", "h", "g"]), "mean-shift")
    assert (result.rows, result.dof) == (2, 1)
    assert result.values.tolist() == [-1.5, -1.5, 1.5]


def test_structures_without_a_hash_are_all_different() -> None:
    assert compositions([None, None, "Cu"], [None, None, "h"]).identity.tolist() == [0, 1, 2]


def test_composition_counts_from_the_lowest_of_each() -> None:
    made_of = compositions(["Cu", "Cu4", "CuO", "Cu2O2", "Al"])
    result = align(np.array([-3.0, -3.5, -5.0, -4.0, -2.0]), made_of, "composition")
    assert result.values == pytest.approx([0.5, 0, 0, 1, 0])
    assert result.determined.tolist() == [True, False, False, True, False]
    assert (result.rows, result.rank, result.dof) == (5, 3, 2)
    by_other = align(np.array([-3.0, -3.5]), compositions(["Cu", "Cu4"]), "composition", zero_by=np.array([-1.0, 0]))
    assert by_other.values == pytest.approx([0, -0.5])


def test_elemental_gives_formation_energies() -> None:
    made_of = compositions(["Cu4", "Cu", "Al", "CuAl3", "CuO"])
    result = align(np.array([-3.5, -3.0, -2.0, -2.5, -4.0]), made_of, "elemental")
    assert result.values == pytest.approx([0, 0.5, 0, -2.5 + 3.5 / 4 + 2 * 3 / 4, np.nan], nan_ok=True)
    assert result.determined.tolist() == [False, True, False, True, False]
    assert (result.rows, result.rank, result.dof) == (4, 2, 2)


def test_mean_shift_against_a_target() -> None:
    made_of = compositions(["Cu", "Cu", "CuO"])
    target = np.array([1.0, 2.0, 7.0])
    result = align(np.array([11.0, 13.0, 0.0]), made_of, "mean-shift", target=target)
    assert (result.values - target)[:2] == pytest.approx([-0.5, 0.5])
    assert result.determined.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("scheme", "formulas", "reason"),
    [
        ("per-element", ["CuO"], "1 structure cannot set 1 element shift and leave something to compare"),
        ("per-element", ["CuO", "Cu"], "2 structures cannot set 2 element shifts and leave something to compare"),
        ("composition", ["CuO", "Cu"], "no two structures have the same composition"),
        ("mean-shift", ["CuO", "Cu"], "no two structures have the same composition"),
        ("elemental", ["CuO", "Cu"], "no structure of pure O"),
        ("elemental", ["Cu", "O"], "every structure sets the zero of its own element"),
    ],
)
def test_what_cannot_be_said_is_refused_with_a_sentence(scheme, formulas, reason) -> None:
    result = align(np.ones(len(formulas)), compositions(formulas), scheme)
    assert isinstance(result, Refusal)
    assert result.reason == reason
    assert result.dof == 0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("formulas", [[], [None], ["Cu", None]])
def test_nothing_to_align(scheme, formulas) -> None:
    result = align(np.full(len(formulas), np.nan), compositions(formulas), scheme)
    assert isinstance(result, Refusal)
    assert result.reason == "no structure has both energies"


def test_few_structures_hide_the_error_and_say_so() -> None:
    """Three elements, 0.05 eV/atom of noise: the plain RMSE of four structures is far too small."""
    rng = np.random.default_rng(3)
    plain, left_out = [], []
    for _ in range(300):
        counts = rng.integers(1, 9, (4, 3))
        made_of = Compositions(("A", "B", "C"), counts, np.arange(4), np.arange(4))
        result = align(rng.normal(0, 0.05, 4), made_of, "per-element")
        plain.append(np.mean(result.values**2))
        left_out.append(np.nanmean(result.left_out**2))
        assert result.dof == 1
    assert np.sqrt(np.mean(plain)) < 0.6 * 0.05
    assert np.sqrt(np.median(left_out)) > 0.05


def test_mean_of_the_committee_needs_all_who_answer() -> None:
    energies = np.array([[1.0, 3.0, np.nan], [1.0, np.nan, np.nan]])
    assert committee_mean(energies) == pytest.approx([2.0, np.nan], nan_ok=True)
    assert np.isnan(committee_mean(np.full((2, 0), np.nan))).all()


def test_aligned_columns_say_what_was_done(molecules) -> None:
    structures, energies, moved = molecules
    table = aligned_energies(answers(structures, {"emt": energies, "moved": moved}), "per-element").to_pylist()
    assert len(table) == 44
    assert {(r["alignment"], r["alignment_rows"], r["alignment_rank"], r["alignment_dof"]) for r in table} == {
        ("per-element", 22, 4, 18)
    }
    for a, b in zip(table[:22], table[22:], strict=True):
        assert a["energy_aligned_ev_per_atom"] == pytest.approx(b["energy_aligned_ev_per_atom"], abs=1e-9)
    one = aligned_energies(answers(chain(x="Cu"), {"a": [1.0]}), "per-element").to_pylist()[0]
    assert one["energy_aligned_ev_per_atom"] is None
    assert one["alignment_refusal"].startswith("1 structure cannot set")


FORMULAS = st.lists(
    st.sampled_from(["Cu", "Cu4", "CuO", "Cu2O2", "Al", "OAl", "Al2O3", "CuAl"]), min_size=1, max_size=12
)


@settings(deadline=None, max_examples=100)
@given(FORMULAS, st.sampled_from(SCHEMES), st.integers(0, 2**32 - 1))
def test_order_of_structures_does_not_matter(formulas, scheme, seed) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(len(formulas)) < 0.2, np.nan, rng.normal(size=len(formulas)))
    order = rng.permutation(len(formulas))
    one = align(values, compositions(formulas), scheme)
    two = align(values[order], compositions([formulas[i] for i in order]), scheme)
    assert type(one) is type(two)
    assert (one.rows, one.rank) == (two.rows, two.rank)
    if isinstance(one, Aligned):
        assert one.determined[order].tolist() == two.determined.tolist()
        assert one.values[order] == pytest.approx(two.values, abs=1e-10, nan_ok=True)


@settings(deadline=None, max_examples=100)
@given(FORMULAS, st.sampled_from(["per-element", "mean-shift", "composition", "elemental"]), st.integers(0, 2**32 - 1))
def test_shifts_of_elements_change_nothing(formulas, scheme, seed) -> None:
    rng = np.random.default_rng(seed)
    made_of = compositions(formulas)
    values = rng.normal(size=len(formulas))
    moved = values + made_of.fractions[made_of.groups] @ rng.normal(0, 100, len(made_of.elements))
    one = align(values, made_of, scheme, zero_by=values)
    two = align(moved, made_of, scheme, zero_by=values)
    assert type(one) is type(two)
    if isinstance(one, Aligned):
        assert one.values == pytest.approx(two.values, abs=1e-9, nan_ok=True)
        assert 0 <= one.dof < one.rows
        assert one.determined.any()
