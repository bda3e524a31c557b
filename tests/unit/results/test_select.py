"""The structures that are chosen are those with the largest scores, or near them and unlike one another."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from hypothesis import given
from hypothesis import strategies as st

from mira_cli.answers.load import load_run
from mira_cli.commands.select import select
from mira_cli.driver.collect import collect
from mira_cli.errors import InputError, UsageError
from mira_cli.results.print_summary import print_summary, run_summary
from mira_cli.results.read_tables import read_table
from mira_cli.results.selection import (
    SCORES,
    choose_committee,
    diverse,
    labelled,
    ranked,
    reference_ranking,
    reference_score,
)
from mira_cli.structures.fingerprint import farthest_first, fingerprints
from tests.unit.results.comparison_runs import made_run

SPREAD = (0.1, 0.5, 0.3, 0.0, 0.4)  # of the forces on one atom of each structure


def crystals(n: int = 5) -> list[Atoms]:
    return [bulk("Cu", a=3.4 + 0.1 * i, cubic=True) for i in range(n)]


def answers(sign: float, spreads=SPREAD) -> list:
    """Forces that are apart by twice these on the second atom; energies by their squares."""
    found = []
    for i, spread in enumerate(spreads):
        forces = np.ones((4, 3))
        forces[1, 0] += sign * spread
        found.append((-float(i) + 4 * sign * spread**2, forces))
    return found


@pytest.fixture
def run(tmp_path):
    """Two models that differ as `SPREAD` says, and one of another theory that agrees with their mean but once."""
    third = answers(0.0)
    third[3] = (third[3][0], third[3][1] + 1.0)
    run = made_run(
        tmp_path,
        [*crystals(), crystals()[1]],  # one structure is there twice
        {"a": [*answers(1.0), answers(1.0)[1]], "b": [*answers(-1.0), answers(-1.0)[1]], "c": [*third, third[1]]},
        theory={"a": "PBE", "b": "PBE", "c": "r2SCAN"},
        name="ü.extxyz",
    )
    collect(run)
    return run


def chosen(run, committee: str = "PBE", by: str = "force-spread"):
    loaded = load_run(run)
    index, models = loaded.index, loaded.models
    return ranked(read_table(run, "disagreement"), index, committee=committee, by=by), index, models


def test_the_largest_spread_comes_first_and_twins_once(run) -> None:
    picks, _, _ = chosen(run)
    assert [pick.row["structure_id"] for pick in picks] == [f"ü.extxyz#{i}" for i in (1, 4, 2, 0)]
    scores = [pick.row[SCORES["force-spread"]] for pick in picks]
    assert scores == pytest.approx([np.sqrt(2) * SPREAD[i] for i in (1, 4, 2, 0)])


def test_outliers(run) -> None:
    picks, _, _ = chosen(run, "all", "outlier")
    assert (picks[0].row["structure_id"], picks[0].row["outlier_model"]) == ("ü.extxyz#3", "c")


def test_energies(run) -> None:
    picks, _, _ = chosen(run, by="energy-spread")
    column = [pick.row["energy_spread_ev_per_atom"] for pick in picks]
    assert column == sorted(column, reverse=True)
    assert len(column) == 5


def test_structures_carry_their_scores(run, tmp_path) -> None:
    picks, index, models = chosen(run)
    (first, *_) = images = labelled(picks, index, models, "force-spread")
    assert len(images) == 4
    assert first.info["structure_id"] == "ü.extxyz#1"
    assert (first.info["select_rank"], first.info["select_by"], first.info["committee"]) == (1, "force-spread", "PBE")
    assert first.info["force_spread_max_ev_per_ang"] == pytest.approx(np.sqrt(2) * 0.5)
    assert first.arrays["force_spread_PBE"] == pytest.approx([0, np.sqrt(2) * 0.5, 0, 0])
    assert first.cell.tolist() == crystals()[1].cell.tolist()
    assert first.pbc.all()


def test_committees(run) -> None:
    table = read_table(run, "disagreement")
    assert choose_committee(table, named=None, same_theory=False) == "all"
    assert choose_committee(table, named=None, same_theory=True) == "PBE"
    with pytest.raises(UsageError, match="no committee `PBEsol`"):
        choose_committee(table, named="PBEsol", same_theory=False)


def test_no_theory_or_several_are_refused(tmp_path) -> None:
    given = {name: answers(sign) for name, sign in (("a", 1.0), ("b", -1.0), ("c", 0.5), ("d", 2.0))}
    run = made_run(tmp_path / "1", crystals(), given)
    collect(run)
    with pytest.raises(UsageError, match="no two models"):
        choose_committee(read_table(run, "disagreement"), named=None, same_theory=True)
    theory = {"a": "PBE", "b": "PBE", "c": "r2SCAN", "d": "r2SCAN"}
    run = made_run(tmp_path / "2", crystals(), given, theory=theory)
    collect(run)
    with pytest.raises(UsageError, match="several levels of theory: `PBE`, `r2SCAN`"):
        choose_committee(read_table(run, "disagreement"), named=None, same_theory=True)


@pytest.mark.parametrize(
    ("given", "by", "sentence"),
    [
        ({"a": answers(1.0)}, "force-spread", "one model"),
        ({"a": answers(1.0), "b": [None] * 5}, "force-spread", "answered by two"),
        ({"a": answers(1.0), "b": answers(2.0)}, "outlier", "three models"),
        ({"a": answers(1.0)[:1], "b": answers(2.0)[:1]}, "energy-spread", "1 structure cannot set 1 element shift"),
    ],
)
def test_without_a_committee_there_is_no_choice(tmp_path, given, by, sentence) -> None:
    run = made_run(tmp_path, crystals(len(given["a"])), given)
    collect(run)
    with pytest.raises(UsageError, match=sentence):
        chosen(run, "all", by)


def test_models_that_agree_give_nothing_to_choose(tmp_path) -> None:
    run = made_run(tmp_path, crystals(), {"a": answers(1.0), "b": answers(1.0)})
    collect(run)
    assert chosen(run, "all")[0] == []


def test_models_that_agree_within_rounding_give_nothing_to_choose_and_no_table_of_it(tmp_path, capsys) -> None:
    spreads = (1e-8, 2e-7, 3e-8, 0.0, 4e-9)
    run = made_run(tmp_path, crystals(), {"a": answers(1.0, spreads), "b": answers(-1.0, spreads)})
    collect(run)
    assert 0 < max(read_table(run, "disagreement")["force_spread_max_ev_per_ang"].to_pylist()) < 1e-6
    with pytest.raises(UsageError, match="agree within rounding: no structure has a score above 1e-05"):
        select(run.root, output=tmp_path / "next.extxyz")
    assert not (tmp_path / "next.extxyz").exists()
    print_summary(run_summary(run))
    told = capsys.readouterr()
    assert "the models' forces agree within rounding (1e-05 eV/Å)" in told.err
    assert "in.extxyz#" not in told.out
    assert "where the models differ most" not in told.out


def test_table_of_other_structures_is_refused(run, tmp_path) -> None:
    table = read_table(run, "disagreement")
    index = load_run(run).index
    with pytest.raises(InputError, match="older than the run's plan"):
        ranked(table, type(index)(index.folder, index.table.slice(3)), committee="all", by="force-spread")


def test_committee_that_the_run_has_no_more_is_refused(run) -> None:
    picks, index, models = chosen(run)
    with pytest.raises(InputError, match="older than the run's plan"):
        labelled(picks, index, models[1:], "force-spread")


def test_diverse_choice_takes_unlike_structures_near_the_top(tmp_path) -> None:
    frames = [*crystals(4), fcc111("Cu", (1, 1, 3), vacuum=8.0), molecule("H2O"), bulk("Al", cubic=True)]
    frames += [bulk("Au", a=4 + 0.1 * i, cubic=True) for i in range(7)]  # the lower half of the ranking
    sizes = [len(atoms) for atoms in frames]
    spreads = [1.0, 0.99, 0.98, 0.97, 0.5, 0.4, 0.3, *(0.1 - 0.01 * i for i in range(7))]
    given = {
        name: [(0.0, np.full((n, 3), sign * s)) for n, s in zip(sizes, spreads, strict=True)]
        for name, sign in (("a", 1), ("b", -1))
    }
    run = made_run(tmp_path, frames, given)
    collect(run)
    picks, index, _ = chosen(run, "all")
    assert [pick.place for pick in picks] == list(range(14))
    found = [pick.place for pick in diverse(picks, index, 4)]
    assert found[0] == 0
    assert set(found) == {0, 4, 5, 6}
    assert len(diverse(picks, index, 20)) == 14


def test_fingerprints_say_what_is_documented() -> None:
    copper, water = bulk("Cu", a=3.61, cubic=True), molecule("H2O")
    h, o, cu, periodic, volume, length, mean, deviation = fingerprints([copper, water]).T
    assert (h.tolist(), o.tolist(), cu.tolist()) == ([0, 2 / 3], [0, 1 / 3], [1, 0])
    assert (periodic.tolist(), volume.tolist()) == ([1, 0], pytest.approx([np.log(3.61**3 / 4), 0]))
    assert length[0] == pytest.approx(np.log(3.61 / np.sqrt(2)))
    assert mean.tolist() == pytest.approx([1, 4 / 3 / 12])
    assert deviation[0] == 0


def test_fingerprints_do_not_depend_on_how_a_structure_is_written() -> None:
    one = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    other = one[np.random.default_rng(0).permutation(len(one))] * (2, 1, 1)
    other.rotate(30, "z", rotate_cell=True)
    first, second = fingerprints([one, other])
    assert first == pytest.approx(second)


@pytest.mark.parametrize("atoms", [Atoms("Cu"), Atoms("Cu2"), Atoms("He2", [[0, 0, 0], [0, 0, 50]])])
def test_fingerprints_of_odd_structures_are_numbers(atoms) -> None:
    assert np.isfinite(fingerprints([atoms])).all()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_farthest_first(rows, n, seed) -> None:
    points = np.random.default_rng(seed).integers(0, 4, (rows, 2)).astype(float)
    found = farthest_first(points, n)
    assert len(found) == len(set(found)) == min(n, rows)
    assert found[0] == 0
    for k in range(1, len(found)):
        distance = np.linalg.norm(points[:, None] - points[found[:k]], axis=2).min(axis=1)
        distance[found[:k]] = -1
        assert distance[found[k]] == distance.max()


MISSED = (0.1, 0.0, 0.5, 0.3, 0.5)  # eV/Å, by which the model misses the references


def with_references(folder, *, models="a", energies=True, forces=True):
    frames = crystals()
    for i, atoms in enumerate(frames):
        given = {"energy": -float(i)} if energies else {}
        given |= {"forces": np.zeros((4, 3))} if forces else {}
        atoms.calc = SinglePointCalculator(atoms, **given)
    said = [(-float(i) + 4 * d, np.full((4, 3), d)) for i, d in enumerate(MISSED)]
    other = [(-float(i), np.zeros((4, 3))) for i in range(5)]
    run = made_run(folder, frames, {name: said if name == "a" else other for name in models})
    collect(run)
    return run


def by_error(run, by: str = "reference-error"):
    errors, loaded = read_table(run, "reference_errors"), load_run(run)
    index, models = loaded.index, loaded.models
    column = reference_score(errors, by)
    return column, reference_ranking(errors, index, models, committee="all", column=column)


def test_one_model_is_ranked_by_its_errors(tmp_path) -> None:
    column, picks = by_error(with_references(tmp_path))
    assert column == "force_rmse_ev_per_ang"
    assert [pick.row["structure_id"][-1] for pick in picks] == ["2", "4", "3", "0", "1"]
    assert [pick.row[column] for pick in picks] == pytest.approx([0.5, 0.5, 0.3, 0.1, 0.0])


def test_energies_are_ranked_where_asked_for_or_alone(tmp_path) -> None:
    asked, picks = by_error(with_references(tmp_path / "a"), "reference-energy-error")
    alone, others = by_error(with_references(tmp_path / "b", forces=False))
    assert asked == alone == "energy_aligned_error_ev_per_atom"
    mean = np.mean(MISSED)
    assert sorted(pick.row[asked] for pick in picks) == pytest.approx(sorted(abs(d - mean) for d in MISSED))
    assert [pick.place for pick in picks] == [pick.place for pick in others]
    with pytest.raises(UsageError, match="nothing here has aligned energies"):
        by_error(with_references(tmp_path / "c", energies=False), "reference-energy-error")


def test_several_models_by_the_mean_of_their_errors(tmp_path) -> None:
    _, picks = by_error(with_references(tmp_path, models="ab"))
    assert picks[0].row["force_rmse_ev_per_ang"] == pytest.approx(0.25)
    assert (picks[0].row["outlier_model"], picks[0].row["n_members"]) == ("a", 2)


def test_the_command_ranks_by_references(tmp_path, mira) -> None:
    run = with_references(tmp_path)
    out = tmp_path / "picked.extxyz"
    done = mira("select", run.root, "--by", "reference-error", "-n", 2, "-o", out)
    assert "ranked by the error of forces" in done.stderr
    assert [atoms.info["force_rmse_ev_per_ang"] for atoms in read(out, ":")] == pytest.approx([0.5, 0.5])
    plain = made_run(tmp_path / "plain", crystals(), {"a": answers(1.0)})
    collect(plain)
    assert (
        "come with no energies, forces or stresses"
        in mira("select", plain.root, "--by", "reference-error", code=2).stderr
    )
