"""What is said of two models agrees with what one computes by hand, on the structures that both answered."""

from itertools import combinations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.collections import s22
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from mira_cli.compare.columns import PAIRS
from mira_cli.compare.energy_pairs import aligned_pairs
from mira_cli.compare.rank_correlation import Order
from mira_cli.units import EV_PER_ANG3_IN_GPA
from tests.unit.compare.compare_tables import (
    Block,
    answers,
    blocks,
    chain,
    matrix,
    softening_matrix,
    statistics,
    theory,
)

SYMMETRIC = ["force_mae_ev_per_ang", "force_rmse_ev_per_ang", "force_relative_rmse", "energy_aligned_rmse_ev_per_atom"]


def pairs(structures, energies, forces, **options):
    found = statistics(answers(structures, energies, **options), blocks(structures, forces))
    return found.pairs


def test_by_hand() -> None:
    one = chain(x="Cu3")
    forces = {"a": [[[3, 0, 0], [0, 4, 0], [0.001, 0, 0]]], "b": [[[1, 0, 0], [0, 4, 3], [0, 0.002, 0]]]}
    (row,) = pairs(one, {"a": [0.0], "b": [1.0]}, forces).to_pylist()
    square = 2**2 + 3**2 + 0.001**2 + 0.002**2
    assert row["n_force_structures"] == row["n_both"] == 1
    assert row["n_force_atoms"] == 3
    assert row["n_small_force_atoms"] == 1
    assert row["force_mae_ev_per_ang"] == pytest.approx((2 + 3 + 0.001 + 0.002) / 9)
    assert row["force_rmse_ev_per_ang"] == pytest.approx(np.sqrt(square / 9))
    assert row["force_max_ev_per_ang"] == pytest.approx(3)
    assert row["force_relative_rmse"] == pytest.approx(np.sqrt(square / ((25 + 1e-6 + 26 + 4e-6) / 2)))
    assert row["force_cosine_mean"] == pytest.approx((1 + 16 / 20) / 2)
    assert row["force_cosine_p05"] == pytest.approx(0.8 + 0.05 * 0.2)
    assert row["softening_a_on_b"] == pytest.approx((3 + 16) / (26 + 4e-6))
    assert row["softening_b_on_a"] == pytest.approx((3 + 16) / (25 + 1e-6))
    assert row["energy_aligned_rmse_ev_per_atom"] is None
    assert row["energy_refusal"] == "1 structure cannot set 1 element shift and leave something to compare"


def test_a_soft_model() -> None:
    rng = np.random.default_rng(0)
    structures = chain(x="Cu5", y="CuO")
    forces = [rng.normal(size=(5, 3)), rng.normal(size=(2, 3))]
    table = pairs(structures, {"a": [0.0, 0], "b": [0.0, 0]}, {"a": forces, "b": [0.8 * f for f in forces]})
    (row,) = table.to_pylist()
    assert row["softening_b_on_a"] == pytest.approx(0.8)
    assert row["softening_a_on_b"] == pytest.approx(1.25)
    assert row["force_cosine_mean"] == pytest.approx(1, abs=1e-14)
    assert row["force_cosine_p05"] == pytest.approx(1, abs=1e-14)
    assert softening_matrix(table, ["b", "a"]) == pytest.approx(np.array([[1, 0.8], [1.25, 1]]))


def test_a_force_of_nothing_has_no_direction() -> None:
    (row,) = pairs(
        chain(x="Cu2"),
        {"a": [0.0], "b": [0.0]},
        {"a": [[[0, 0, 0], [0, 0, 0]]], "b": [[[1, 0, 0], [0, 0, 0]]]},
    ).to_pylist()
    assert row["n_small_force_atoms"] == 2
    assert row["force_cosine_mean"] is None
    assert row["softening_b_on_a"] is None
    assert row["softening_a_on_b"] == 0


def test_one_small_force_still_has_a_direction() -> None:
    forces = {"a": [[[0.001, 0, 0]]], "b": [[[0, 1, 0]]]}
    (row,) = pairs(chain(x="Cu"), {"a": [0.0], "b": [0.0]}, forces).to_pylist()
    assert (row["n_small_force_atoms"], row["force_cosine_mean"]) == (0, 0)


def test_lowest_structures_are_those_of_each_pair() -> None:
    """Three models that find three different ground states; what is said of two is the same in either order."""
    structures = chain(x="Cu", y="Cu", z="Cu")
    energies = {"a": [0.0, 1.0, 5.0], "b": [1.0, 0.0, 9.0], "c": [9.0, 9.5, 0.0]}
    found = {}
    for names in ("abc", "cba"):
        given = answers(structures, {name: energies[name] for name in names})
        for i, j, result in aligned_pairs(given, "composition"):
            found[names[i] + names[j]] = np.abs(result.values)
    assert found["ab"] == pytest.approx(found["ba"])
    assert found["ab"] == pytest.approx([0, 2, 3])  # the mean of a and b is lowest at x (the first of two equals)
    assert found["ac"] == pytest.approx([14, 13.5, 0]) == found["ca"]


def test_real_models_make_symmetric_matrices() -> None:
    structures = {name: s22[name] for name in s22.names[:8]}
    energies, forces = {}, {}
    calculators = {"emt": EMT(), "lj": LennardJones(sigma=1.5, rc=6.0), "emt again": EMT()}
    for name, calculator in calculators.items():
        copies = [atoms.copy() for atoms in structures.values()]
        for atoms in copies:
            atoms.calc = calculator
        energies[name] = [atoms.get_potential_energy() for atoms in copies]
        forces[name] = [atoms.get_forces() for atoms in copies]
    table = pairs(structures, energies, forces)
    for column in SYMMETRIC:
        found = matrix(table, column, list(calculators), diagonal=0)
        assert (found == found.T).all()
        assert np.diag(found).tolist() == [0, 0, 0]
        assert found[0, 2] == pytest.approx(0, abs=1e-12)
        assert found[0, 1] == pytest.approx(found[1, 2])
        assert found[0, 1] > 1e-3
    cosines = matrix(table, "force_cosine_mean", list(calculators), diagonal=1)
    assert cosines[0, 2] == pytest.approx(1, abs=1e-12)
    assert abs(cosines[0, 1]) < 0.9


def test_only_where_both_answered() -> None:
    structures = chain(x="Cu", y="Cu", z="Cu")
    force = [[[1.0, 0, 0]]] * 3
    table = pairs(
        structures,
        {"a": [1.0, 2.0, None], "b": [1.0, None, 3.0], "c": [None, 5.0, None]},
        {"a": [*force[:2], None], "b": [force[0], None, force[2]], "c": [None, force[1], None]},
    )
    rows = {(row["model_a"], row["model_b"]): row for row in table.to_pylist()}
    assert (rows["a", "b"]["n_ok_a"], rows["a", "b"]["n_both"], rows["a", "b"]["n_force_atoms"]) == (2, 1, 1)
    nothing = rows["b", "c"]
    assert nothing["n_both"] == nothing["n_force_atoms"] == nothing["n_energies"] == nothing["n_stresses"] == 0
    assert nothing["energy_refusal"] == "no structure has both energies"
    assert {k: v for k, v in nothing.items() if isinstance(v, float)} == {}


def test_one_model_alone_and_none() -> None:
    structures = chain(x="Cu")
    alone = pairs(structures, {"a": [1.0]}, {"a": [[[0, 0, 1]]]})
    assert (alone.num_rows, alone.schema.names) == (0, list(PAIRS))
    assert matrix(alone, "force_rmse_ev_per_ang", ["a"], diagonal=0).tolist() == [[0]]
    failed = pairs(structures, {"a": [None], "b": [None]}, {"a": [None], "b": [None]}).to_pylist()
    assert [row["n_both"] for row in failed] == [0]


def test_names_in_any_script() -> None:
    structures = {"größe/α β,“1”.cif#0": chain(x="Cu")["x"], "<b>日本</b>": chain(x="Cu2")["x"]}
    found = statistics(
        answers(structures, {"модель": [1.0, 2.0], "<i>": [1.0, 2.0]}),
        blocks(structures, {"модель": [np.ones((1, 3)), np.ones((2, 3))], "<i>": [np.zeros((1, 3)), np.ones((2, 3))]}),
    )
    assert found.pairs.to_pylist()[0]["model_a"] == "модель"
    assert found.disagreement["structure_id"].to_pylist() == list(structures)


def test_stress_in_two_units() -> None:
    structures = {"x": bulk("Cu"), "y": bulk("Cu", a=3.7), "z": bulk("Al")}
    stresses = {"a": [[1.0, 0, 0, 0, 0, 0], [1.0] * 6, None], "b": [[0.0] * 6, [1.0, 1, 1, 1, 1, 3], [1.0] * 6]}
    none = {"a": [None] * 3, "b": [None] * 3}
    (row,) = pairs(structures, {"a": [0.0] * 3, "b": [0.0] * 3}, none, stresses=stresses).to_pylist()
    assert row["n_stresses"] == 2
    assert row["stress_mae_ev_per_ang3"] == pytest.approx(3 / 12)
    assert row["stress_rmse_ev_per_ang3"] == pytest.approx(np.sqrt(5 / 12))
    assert row["stress_rmse_gpa"] == pytest.approx(np.sqrt(5 / 12) * EV_PER_ANG3_IN_GPA)


def test_what_must_be_said_beside_the_numbers() -> None:
    structures = chain(x="Cu", y="Cu", z="Cu2")
    data = {"training_data": "MPtrj Alex"}
    facts = [
        theory("a", "PBE", dispersion="none", energy_correction="none", dtype="float32", conservative=True, **data),
        theory("b", "PBE", dispersion="none", energy_correction="none", conservative=False, training_data="MPtrj"),
        theory("c", "PBE", dispersion="included", energy_correction="none", **data),
        theory("d", "r2SCAN", dispersion="none", energy_correction="none", **data),
        theory("e", None),
        theory("f", "PBE", dispersion="none", energy_correction="MP2020", **data),
        theory("g", "PBE", dispersion="none", energy_correction="none", training_data="OMat24"),
    ]
    names = [fact.name for fact in facts]
    table = pairs(
        structures, {name: [1.0, 2.0, 3.0] for name in names}, {name: [None] * 3 for name in names}, facts=facts
    )
    rows = {row["model_a"] + row["model_b"]: row for row in table.to_pylist()}
    assert {name: rows[name]["theory"] for name in ("ab", "ac", "ad", "ae", "af")} == {
        "ab": "same",
        "ac": "different",
        "ad": "different",
        "ae": "unknown",
        "af": "same",
    }
    assert rows["ab"]["notes"] == "forces are not a gradient: b"
    assert rows["ad"]["notes"] == "levels of theory differ (PBE, r2SCAN): not an error of either"
    assert rows["ae"]["notes"] == "level of theory not known: e"
    assert rows["af"]["notes"] == "energy corrections differ (none, MP2020)"
    assert (rows["ab"]["dtype_a"], rows["ab"]["conservative_a"], rows["ab"]["conservative_b"]) == (
        "float32",
        True,
        False,
    )
    assert rows["ab"]["energy_raw_rmse_ev_per_atom"] == 0
    others = [row for name, row in rows.items() if name != "ab"]
    with_raw = [row["model_a"] + row["model_b"] for row in others if row["energy_raw_rmse_ev_per_atom"] is not None]
    assert with_raw == []


def test_facts_come_from_the_table_where_nothing_more_is_known() -> None:
    columns = {"level_of_theory": {"a": "PBE", "b": ""}, "conservative": {"a": False}, "dtype": {"a": "float32"}}
    found = answers(chain(x="Cu"), {"a": [1.0], "b": [1.0]}, columns=columns).models
    assert (found[0].level_of_theory, found[0].conservative, found[0].dtype) == ("PBE", False, "float32")
    assert (found[1].level_of_theory, found[1].conservative, found[1].dispersion) == (None, None, None)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_rank_correlation_is_scipys_within_compositions(seed) -> None:
    rng = np.random.default_rng(seed)
    n = 30
    groups = rng.integers(0, 5, n)
    energies = rng.integers(0, 6, (n, 2)).astype(float)  # many ties
    energies[rng.random((n, 2)) < 0.15] = np.nan
    rho, structures, compositions = Order(groups).correlation(energies, 0, 1)
    wanted, sizes = [], []
    for group in range(5):
        a, b = energies[(groups == group) & np.isfinite(energies).all(axis=1)].T
        if len(a) > 2 and len(set(a)) > 1 and len(set(b)) > 1:
            wanted.append(spearmanr(a, b).statistic)
            sizes.append(len(a))
    assert (structures, compositions) == (sum(sizes), len(sizes))
    assert rho == pytest.approx(np.average(wanted, weights=sizes) if sizes else np.nan, nan_ok=True)


def test_rank_correlation_ignores_shifts_of_elements() -> None:
    structures = chain(a="Cu2O", b="Cu4O2", c="Cu2O", d="CuO", e="CuO")
    first = np.array([-3.0, -6.3, -3.3, -9.0, -1.0])
    second = [
        e + 100 * s.symbols.count("Cu") for e, s in zip([-3.2, -6.6, -3.0, 0, 0], structures.values(), strict=True)
    ]
    (row,) = pairs(structures, {"a": list(first), "b": second}, {"a": [None] * 5, "b": [None] * 5}).to_pylist()
    assert (row["n_rank_structures"], row["n_rank_compositions"]) == (3, 1)
    assert row["rank_correlation"] == pytest.approx(-0.5)


def random_case(seed):
    rng = np.random.default_rng(seed)
    structures = chain(**{f"s{i}": str(f) for i, f in enumerate(rng.choice(["Cu2", "CuO", "Al3O", "Cu4O4", "Al"], 7))})
    models = ["a", "b", "c"]
    gone = rng.random((3, 7)) < 0.2
    forces = {
        m: [None if gone[k, i] else rng.normal(size=(len(s), 3)) for i, s in enumerate(structures.values())]
        for k, m in enumerate(models)
    }
    energies = {m: [None if gone[k, i] else float(rng.normal()) for i in range(7)] for k, m in enumerate(models)}
    return rng, structures, energies, forces


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_sums_are_those_of_all_atoms_at_once(seed) -> None:
    _, structures, energies, forces = random_case(seed)
    table = pairs(structures, energies, forces)
    assert [(r["model_a"], r["model_b"]) for r in table.to_pylist()] == list(combinations("abc", 2))
    for row in table.to_pylist():
        both = [
            (a, b)
            for a, b in zip(forces[row["model_a"]], forces[row["model_b"]], strict=True)
            if a is not None and b is not None
        ]
        assert row["n_force_structures"] == len(both)
        if both:
            a, b = (np.concatenate(side) for side in zip(*both, strict=True))
            cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
            assert row["force_mae_ev_per_ang"] == pytest.approx(np.abs(a - b).mean())
            assert row["force_rmse_ev_per_ang"] == pytest.approx(np.sqrt(((a - b) ** 2).mean()))
            assert row["force_cosine_mean"] == pytest.approx(cosines.mean())
            assert row["force_cosine_p05"] == pytest.approx(np.percentile(cosines, 5))
            each = [np.sqrt(((x - y) ** 2).mean()) for x, y in both]
            assert row["force_rmse_structure_mean_ev_per_ang"] == pytest.approx(np.mean(each))
            assert row["softening_a_on_b"] == pytest.approx((a * b).sum() / (b**2).sum())
        assert row["rank_correlation"] == _spearman(structures, energies[row["model_a"]], energies[row["model_b"]])


def _spearman(structures, first, second):
    """Within compositions, as scipy has it."""
    found, sizes = [], []
    for reduced in ({"Cu2"}, {"CuO", "Cu4O4"}, {"Al3O"}, {"Al"}):
        rows = [
            (a / len(atoms), b / len(atoms))
            for atoms, a, b in zip(structures.values(), first, second, strict=True)
            if a is not None and b is not None and atoms.get_chemical_formula() in reduced
        ]
        if len(rows) > 2:
            found.append(spearmanr(*zip(*rows, strict=True)).statistic)
            sizes.append(len(rows))
    return pytest.approx(np.average(found, weights=sizes)) if found else None


def _same(one, two) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        if name == "notes":
            continue  # names the models in their order
        assert two[name] == (pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value), name


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_order_of_structures_atoms_and_models_does_not_matter(seed) -> None:
    rng, structures, energies, forces = random_case(seed)
    before = {frozenset((r["model_a"], r["model_b"])): r for r in pairs(structures, energies, forces).to_pylist()}
    order, names = rng.permutation(7), [str(m) for m in rng.permutation(list("abc"))]
    ids = [list(structures)[i] for i in order]
    moved = {}
    atoms_order = {name: rng.permutation(len(structures[name])) for name in ids}
    for name in names:
        moved[name] = [
            None if forces[name][i] is None else forces[name][i][atoms_order[s]]
            for i, s in zip(order, ids, strict=True)
        ]
    shuffled = {name: structures[name][atoms_order[name]] for name in ids}
    after = pairs(shuffled, {name: [energies[name][i] for i in order] for name in names}, moved).to_pylist()
    for row in after:
        wanted = before[frozenset((row["model_a"], row["model_b"]))]
        if wanted["model_a"] != row["model_a"]:
            other = {"a": "b", "b": "a"}
            wanted = {swapped(name, other): value for name, value in wanted.items()}
        _same(dict(sorted(wanted.items())), dict(sorted(row.items())))


def swapped(name: str, other) -> str:
    if name == "softening_a_on_b":
        return "softening_b_on_a"
    if name == "softening_b_on_a":
        return "softening_a_on_b"
    return f"{name[:-1]}{other[name[-1]]}" if name.endswith(("_a", "_b")) and not name.startswith("softening") else name


def test_forces_that_do_not_fit_are_a_mistake_of_the_caller() -> None:
    found = answers(chain(x="Cu2"), {"a": [1.0]})
    with pytest.raises(ValueError, match="2 atoms"):
        statistics(found, [Block(0, np.array([29, 29]), [np.zeros((3, 3))])])
    with pytest.raises(ValueError, match="2 models"):
        statistics(found, [Block(0, np.array([29, 29]), [None, None])])
