"""The spread of a committee is the known one, its outlier the right one, its groups those of one theory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_cli.compare.spread import force_spread
from mira_cli.compare.theory import cautions, committees, relation, same_zero
from mira_cli.units import EV_PER_ANG3_IN_GPA
from tests.unit.compare.compare_tables import answers, blocks, chain, statistics, theory


def disagreement(structures, energies, forces, *, ddof=1, scheme="per-element", **options):
    found = statistics(answers(structures, energies, **options), blocks(structures, forces), ddof=ddof, scheme=scheme)
    return found.disagreement.to_pylist()


def along_x(*values):
    return [[x, 0, 0] for x in values]


NO = {"a": [0.0], "b": [0.0], "c": [0.0]}


def test_known_spread_by_atom() -> None:
    forces = {"a": [along_x(0, 1)], "b": [along_x(2, 1)], "c": [along_x(4, 1.3)]}
    (row,) = disagreement(chain(x="Cu2"), NO, forces)
    second = np.std([1, 1, 1.3], ddof=1)
    assert row["force_spread_max_ev_per_ang"] == pytest.approx(2)
    assert row["force_spread_mean_ev_per_ang"] == pytest.approx((2 + second) / 2)
    assert row["force_spread_rms_ev_per_ang"] == pytest.approx(np.sqrt((4 + second**2) / 2))
    assert row["force_spread_relative"] == pytest.approx(np.sqrt((4 + second**2) / (2**2 + 1.1**2)))
    assert (row["worst_atom"], row["n_members"], row["n_models"], row["ddof"]) == (0, 3, 3, 1)
    assert force_spread([np.array(f[0]) for f in forces.values()]) == pytest.approx([2, second])


def test_known_spread_over_all_members() -> None:
    (row,) = disagreement(chain(x="Cu"), NO, {"a": [along_x(0)], "b": [along_x(2)], "c": [along_x(4)]}, ddof=0)
    assert row["force_spread_max_ev_per_ang"] == pytest.approx(np.sqrt(8 / 3))
    assert row["ddof"] == 0


def test_no_share_of_forces_that_symmetry_makes_zero() -> None:
    """What is left of them is rounding, and a share of rounding says nothing."""
    rounding = {"a": [along_x(1e-7, -1e-7)], "b": [along_x(3e-7, -3e-7)], "c": [along_x(0, 0)]}
    (row,) = disagreement(chain(x="Cu2"), NO, rounding)
    assert row["force_spread_relative"] is None
    assert 0 < row["force_spread_max_ev_per_ang"] < 1e-6


def test_gaussian_committee_has_the_width_it_was_drawn_with() -> None:
    rng = np.random.default_rng(1)
    forces = {f"m{i}": [rng.normal(0, 0.1, (2000, 3))] for i in range(10)}
    structure = chain(x="Cu2000")
    (row,) = disagreement(structure, {name: [0.0] for name in forces}, forces)
    assert row["force_spread_rms_ev_per_ang"] == pytest.approx(0.1 * np.sqrt(3), rel=0.02)


def test_spread_of_atoms_needs_two() -> None:
    one = np.ones((2, 3))
    assert force_spread([one, None]) is None
    assert force_spread([one, np.full((2, 3), np.nan)]) is None
    assert force_spread([]) is None
    assert force_spread([one, one, None]).tolist() == [0, 0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_absent_members_do_not_count(seed) -> None:
    rng = np.random.default_rng(seed)
    structures = chain(a="Cu2", b="Cu", c="Cu3")
    gone = rng.random((4, 3)) < 0.4
    given = [[rng.normal(size=(n, 3)) if not gone[m, i] else None for i, n in enumerate((2, 1, 3))] for m in range(4)]
    forces = dict(zip("abcd", given, strict=True))
    for row in disagreement(structures, {m: [0.0] * 3 for m in forces}, forces):
        here = [forces[m][list(structures).index(row["structure_id"])] for m in forces]
        spread = force_spread(here)
        members = [f for f in here if f is not None]
        assert row["n_members"] == len(members)
        if spread is None:
            assert row["force_spread_mean_ev_per_ang"] is None
        else:
            assert row["force_spread_mean_ev_per_ang"] == pytest.approx(spread.mean())
            assert row["force_spread_max_ev_per_ang"] == pytest.approx(spread.max())
        if len(members) > 2:
            others = [np.mean([g for g in members if g is not f], axis=0) for f in members]
            far = [np.sqrt(((f - o) ** 2).sum(axis=1).mean()) for f, o in zip(members, others, strict=True)]
            assert row["outlier_distance_ev_per_ang"] == pytest.approx(max(far))


def test_the_outlier_is_furthest_from_the_others() -> None:
    structures = chain(x="Cu", y="Cu", z="Cu")
    forces = {
        "a": [along_x(0), along_x(0), along_x(1)],
        "b": [along_x(0.1), along_x(5), along_x(1)],
        "c": [along_x(3), None, along_x(1)],
    }
    rows = {row["structure_id"]: row for row in disagreement(structures, {m: [0.0] * 3 for m in "abc"}, forces)}
    assert rows["x"]["outlier_model"] == "c"
    assert rows["x"]["outlier_distance_ev_per_ang"] == pytest.approx(3 - 0.05)
    assert (rows["y"]["outlier_model"], rows["y"]["outlier_distance_ev_per_ang"]) == (None, None)  # one of two
    assert rows["z"]["outlier_model"] is None  # all agree


def test_the_most_disputed_come_first() -> None:
    structures = chain(calm="Cu", wild="Cu", lonely="Cu", middle="Cu")
    forces = {"a": [along_x(0)] * 4, "b": [along_x(0.1), along_x(9), None, along_x(1)]}
    rows = disagreement(structures, {"a": [0.0] * 4, "b": [0.0, 0.0, None, 0.0]}, forces)
    assert [(row["structure_id"], row["rank"]) for row in rows] == [
        ("wild", 1),
        ("middle", 2),
        ("calm", 3),
        ("lonely", None),
    ]
    assert rows[-1]["n_members"] == 1
    assert rows[-1]["force_spread_max_ev_per_ang"] is None
    assert rows[-1]["worst_atom"] is None


def test_energies_of_a_full_committee_spread_as_their_standard_deviation() -> None:
    rng = np.random.default_rng(0)
    structures = chain(**{f"s{i}": "Cu4" for i in range(6)})
    energies = rng.normal(0, 1, (6, 5))
    models = {f"m{j}": list(energies[:, j] + 1000 * j) for j in range(5)}
    for ddof in (0, 1):
        rows = disagreement(structures, models, {name: [None] * 6 for name in models}, ddof=ddof)
        wanted = np.std((energies - energies.mean(axis=0)) / 4, axis=1, ddof=ddof)
        found = {row["structure_id"]: row["energy_spread_ev_per_atom"] for row in rows}
        assert [found[f"s{i}"] for i in range(6)] == pytest.approx(wanted)
        assert {(r["energy_alignment_rank"], r["energy_alignment_dof"], r["n_energy_pairs"]) for r in rows} == {
            (1, 5, 10)
        }


def test_a_missing_model_moves_no_zero() -> None:
    """Models far apart in energy that agree but for a shift have no spread, whoever is missing where."""
    structures = chain(**{f"s{i}": f for i, f in enumerate(["Cu", "CuO", "CuO2", "Cu2O", "Cu3O", "O"])})
    rng = np.random.default_rng(0)
    base = rng.normal(size=6)
    made_of = np.array([[a.symbols.count("Cu"), a.symbols.count("O")] for a in structures.values()])
    models = {f"m{j}": list(base + made_of @ rng.normal(0, 500, 2)) for j in range(4)}
    models["m0"][0] = models["m1"][3] = models["m2"][4] = None
    rows = disagreement(structures, models, {name: [None] * 6 for name in models})
    assert all(row["energy_spread_ev_per_atom"] == pytest.approx(0, abs=1e-9) for row in rows)


def test_refused_alignment_leaves_the_energy_spread_empty() -> None:
    (row,) = disagreement(chain(x="CuO"), {"a": [0.0], "b": [9.0]}, {"a": [None], "b": [None]})
    assert (row["energy_spread_ev_per_atom"], row["n_energy_pairs"], row["n_energies"]) == (None, 0, 2)
    assert row["energy_refusal"] == "1 structure cannot set 1 element shift and leave something to compare"


def test_stresses_spread() -> None:
    stresses = {"a": [[0.0] * 6], "b": [[0.2] * 6], "c": [None]}
    (row,) = disagreement(chain(x="Cu"), NO, {m: [None] for m in "abc"}, stresses=stresses)
    assert row["n_stresses"] == 2
    assert row["stress_spread_ev_per_ang3"] == pytest.approx(0.2 / np.sqrt(2))
    assert row["stress_spread_gpa"] == pytest.approx(0.2 / np.sqrt(2) * EV_PER_ANG3_IN_GPA)


def test_models_of_one_theory_are_looked_at_apart() -> None:
    plain = {"dispersion": "none"}
    facts = [theory("a", "PBE", **plain), theory("b", "wB97M-V"), theory("c", "PBE", **plain), theory("d", None)]
    forces = {"a": [along_x(0)], "b": [along_x(9)], "c": [along_x(0.2)], "d": [along_x(0)]}
    rows = disagreement(chain(x="Cu"), {m: [0.0] for m in "abcd"}, forces, facts=facts)
    assert [(r["committee"], r["theory"], r["n_models"]) for r in rows] == [("all", "different", 4), ("PBE", "same", 2)]
    assert rows[0]["outlier_model"] == "b"
    assert rows[1]["force_spread_max_ev_per_ang"] == pytest.approx(0.2 / np.sqrt(2))


def test_groups_of_one_theory() -> None:
    plain, with_d3 = {"dispersion": "none"}, {"dispersion": "included"}
    same = [theory("a", "PBE", **plain), theory("b", "PBE", **plain)]
    assert [(c.name, c.members, c.theory) for c in committees(same)] == [("all", (0, 1), "same")]
    mixed = [*same, theory("c", "PBE", **with_d3), theory("d", "PBE", **with_d3)]
    assert [(c.name, c.members) for c in committees(mixed)] == [
        ("all", (0, 1, 2, 3)),
        ("PBE, dispersion none", (0, 1)),
        ("PBE, dispersion included", (2, 3)),
    ]
    assert relation([theory("a", "PBE", **plain), theory("b", "PBE")]) == "unknown"
    assert relation([theory("a", "PBE"), theory("b", None), theory("c", "r2SCAN")]) == "different"
    assert [c.members for c in committees([])] == [()]
    own = [theory("emt", "empirical"), theory("lj", "empirical"), theory("a", "PBE")]
    assert [(c.name, c.theory) for c in committees(own)] == [("all", "different")]
    assert relation(own[:2]) == "different"
    assert cautions(*own[:2]) == ["empirical potentials share no level of theory"]


def test_what_is_not_known_of_two_models_is_not_known_to_be_the_same() -> None:
    unknown = [theory("a", "PBE"), theory("b", "PBE"), theory("c", "r2SCAN", dispersion="none")]
    assert relation(unknown[:2]) == "unknown"
    assert [c.name for c in committees(unknown)] == ["all"]
    assert cautions(*unknown[:2]) == ["dispersion not known: a, b"]
    assert cautions(unknown[0], theory("d", "PBE", dispersion="none")) == ["dispersion not known: a"]
    assert relation([theory("a", None), theory("b", None)]) == "unknown"
    known = {"dispersion": "none", "training_data": "MPtrj"}
    both = {"energy_correction": "none", **known}
    assert same_zero(theory("a", "PBE", **both), theory("b", "PBE", **both))
    assert not same_zero(theory("a", "PBE", **known), theory("b", "PBE", **known))
    for name in both:
        less = {key: value for key, value in both.items() if key != name}
        assert not same_zero(theory("a", "PBE", **less), theory("b", "PBE", **less)), name


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_order_of_structures_atoms_and_models_does_not_matter(seed) -> None:
    rng = np.random.default_rng(seed)
    structures = chain(**{f"s{i}": str(f) for i, f in enumerate(rng.choice(["Cu2", "CuO", "Al3O", "Al"], 6))})
    gone = rng.random((4, 6)) < 0.2
    sizes = [len(atoms) for atoms in structures.values()]
    models = list("abcd")
    forces = {
        m: [None if gone[k, i] else rng.normal(size=(n, 3)) for i, n in enumerate(sizes)] for k, m in enumerate(models)
    }
    energies = {m: [None if gone[k, i] else float(rng.normal()) for i in range(6)] for k, m in enumerate(models)}
    order, names = rng.permutation(6), [str(m) for m in rng.permutation(models)]
    within = [rng.permutation(n) for n in sizes]
    ids = list(structures)
    before = {row["structure_id"]: row for row in disagreement(structures, energies, forces)}
    after = disagreement(
        {ids[i]: structures[ids[i]][within[i]] for i in order},
        {m: [energies[m][i] for i in order] for m in names},
        {m: [None if forces[m][i] is None else forces[m][i][within[i]] for i in order] for m in names},
    )
    for row in after:
        wanted = before[row["structure_id"]]
        for name, value in wanted.items():
            if name == "worst_atom" and value is not None:
                assert within[ids.index(row["structure_id"])][row[name]] == value
            elif name != "rank":
                assert row[name] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value), name
    found = [row["force_spread_max_ev_per_ang"] for row in after if row["rank"]]
    assert found == sorted(found, reverse=True)
