"""Forces pass by once, a few structures at a time, and where they are cut changes nothing."""

import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_cli.compare.answers import answers_from_table
from mira_cli.compare.columns import PAIRS, make_table
from mira_cli.compare.cosines import CosineTally
from tests.unit.compare import compare_tables as blocks_module
from tests.unit.compare.compare_tables import Block, answers, chain, chunks, comparison, matrix, statistics


def many(structures, models, seed=0):
    rng = np.random.default_rng(seed)
    frames = chain(**{f"s{i}": f for i, f in enumerate(rng.choice(["Cu2O", "Al4", "CuAl"], structures))})
    energies = {f"m{j}": list(rng.normal(size=structures)) for j in range(models)}
    return frames, energies


def stream(frames, models, reference=True):
    rng = np.random.default_rng(7)
    for i, atoms in enumerate(frames.values()):
        true = rng.normal(size=(len(atoms), 3))
        forces = [true + rng.normal(0, 0.1, true.shape) for _ in range(models)]
        yield Block(i, atoms.numbers, forces, true if reference else None)


def test_cuts_change_nothing(monkeypatch) -> None:
    frames, energies = many(40, 4)
    found = answers(frames, energies, reference=[0.0] * 40)
    whole = statistics(found, stream(frames, 4))
    monkeypatch.setattr(blocks_module, "CHUNK_NUMBERS", 60)
    assert len(list(chunks(stream(frames, 4), 4))) > 10
    cut = statistics(found, stream(frames, 4))
    for name in ("pairs", "disagreement", "reference"):
        for one, two in zip(getattr(whole, name).to_pylist(), getattr(cut, name).to_pylist(), strict=True):
            assert one == {k: pytest.approx(v, abs=1e-12) if isinstance(v, float) else v for k, v in two.items()}


def test_blocks_may_come_in_any_order() -> None:
    frames, energies = many(12, 3)
    found = answers(frames, energies)
    forwards = statistics(found, stream(frames, 3)).disagreement.to_pylist()
    backwards = statistics(found, reversed(list(stream(frames, 3)))).disagreement.to_pylist()
    assert forwards == backwards


def test_few_structures_are_in_memory_at_once(monkeypatch) -> None:
    frames, energies = many(200, 3)
    monkeypatch.setattr(blocks_module, "CHUNK_NUMBERS", 200)
    alive: weakref.WeakSet[Block] = weakref.WeakSet()
    most = 0

    def watched():
        nonlocal most
        for block in stream(frames, 3):
            alive.add(block)
            most = max(most, len(alive))
            yield block

    statistics(answers(frames, energies), watched())
    assert 1 < most < 20


@pytest.mark.slow
def test_two_hundred_models() -> None:
    frames, energies = many(6, 200)
    found = statistics(answers(frames, energies, reference=[0.0] * 6), stream(frames, 200))
    assert found.pairs.num_rows == 200 * 199 // 2
    rmse = matrix(found.pairs, "force_rmse_ev_per_ang", list(energies), diagonal=0)
    assert np.isfinite(rmse).all()
    assert rmse[np.triu_indices(200, 1)].mean() == pytest.approx(0.1 * np.sqrt(2), rel=0.05)
    assert found.disagreement["n_members"].to_pylist() == [200] * 6
    assert len([row for row in found.reference.to_pylist() if row["subset"] == "all"]) == 200


def test_structures_without_atoms_or_models_or_anything() -> None:
    frames, energies = many(2, 2)
    rows = comparison(frames, energies)
    assert len(statistics(answers_from_table(rows.slice(0, 0)), []).disagreement) == 0
    rows = rows.to_pylist()
    for row in rows:
        row |= {"status": "invalid_input", "formula": None, "n_atoms": 0, "energy_ev": None, "structure_hash": ""}
    empty = answers_from_table(
        comparison(frames, energies).from_pylist(rows, schema=comparison(frames, energies).schema)
    )
    found = statistics(empty, [Block(0, np.zeros(0, int), [None, None])])
    assert found.pairs.to_pylist()[0]["n_both"] == 0
    assert [row["n_members"] for row in found.disagreement.to_pylist()] == [0, 0]


def test_rows_of_the_table_in_any_order() -> None:
    frames, energies = many(5, 3)
    rows = comparison(frames, energies)
    by_model = rows.sort_by([("model", "ascending"), ("structure_id", "ascending")])
    one, two = answers_from_table(rows), answers_from_table(by_model)
    assert one.structures == two.structures
    assert (one.energy == two.energy).all()


def test_an_answer_that_is_not_ok_has_no_energy() -> None:
    frames, _ = many(1, 1)
    rows = comparison(frames, {"m": [-3.0]}).to_pylist()
    rows[0]["status"] = "nonfinite"
    found = answers_from_table(comparison(frames, {"m": [-3.0]}).from_pylist(rows))
    assert np.isnan(found.energy).all()
    assert not found.ok.any()


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.sampled_from([0.0, 5.0, 50.0, 100.0]))
def test_percentiles_are_numpys(values, q) -> None:
    tally = CosineTally(3)
    half = len(values) // 2
    for part in (values[:half], values[half:]):
        tally.add(0, np.array([part, [np.nan] * len(part)]))
    assert tally.percentile(q)[0] == pytest.approx(np.percentile(values, q))
    assert tally.mean()[0] == pytest.approx(np.mean(values))
    assert tally.count.tolist() == [len(values), 0, 0]
    assert np.isnan(tally.percentile(q)[1:]).all()


def test_percentiles_of_too_many_values_are_near() -> None:
    rng = np.random.default_rng(0)
    values = np.cos(np.abs(rng.normal(0, 0.3, (2, 20_000))))
    values[1] = 1.0
    tally = CosineTally(2, exact_values=15_000)
    for part in np.split(values, 4, axis=1):
        tally.add(0, part)
    assert tally.percentile(5) == pytest.approx(np.percentile(values, 5, axis=1), abs=1e-3)
    assert tally.percentile(5)[1] == 1
    assert tally.mean() == pytest.approx(values.mean(axis=1))


def test_a_column_that_is_not_documented_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="force_mae"):
        make_table([{"force_mae": 1.0}], PAIRS)
