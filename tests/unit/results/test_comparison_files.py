"""What is written about how models differ, and what of it can be asked for in the terminal."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read

from mira_cli.answers.load import load_run
from mira_cli.cleaning.runs import strangers
from mira_cli.driver.collect import collect
from mira_cli.errors import UsageError
from mira_cli.report.gathered import gather
from mira_cli.report.points import points
from mira_cli.report.summary import banners
from mira_cli.results import comparison_files
from mira_cli.results.filter_rows import column_named, only, ordered
from mira_cli.results.print_summary import run_summary
from mira_cli.results.read_tables import read_table
from mira_cli.run.directory import COMPARISONS, RESULTS
from tests.unit.results.comparison_runs import made_run

STRESS = [0.1, 0.2, 0.3, 0.0, 0.0, 0.0]


def rows(run, name: str) -> list[dict[str, str]]:
    with (run.root / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def written(run) -> set[str]:
    return {name for name in COMPARISONS if (run.root / name).is_file()}


def crystals(n: int = 4) -> list:
    return [bulk("Cu", a=3.5 + 0.05 * i, cubic=True) for i in range(n)]


def forces(scale: float, n: int = 4) -> np.ndarray:
    return scale * np.arange(3 * n, dtype=float).reshape(n, 3)


def answers(scale: float, shift: float = 0.0, n: int = 4) -> list:
    """Energies that differ by `shift` an atom between models, forces that differ by a factor."""
    return [(4 * (i**2 / 10 + shift), forces(scale + i / 10), STRESS) for i in range(n)]


@pytest.fixture
def run(tmp_path):
    """Three models, two of one theory, on four crystals and a molecule that one model failed on."""
    models = {name: [*answers(scale, shift), (shift, forces(scale, 3))] for name, scale, shift in
              (("a", 1.0, 0.0), ("b-1", 1.1, 5.0), ("c", 3.0, -9.0))}  # fmt: skip
    models["c"][4] = None
    theory = {"a": "PBE", "b-1": "PBE", "c": "r2SCAN"}
    made = made_run(tmp_path, [*crystals(), molecule("H2O")], models, theory=theory, name="ü <b>, 1.extxyz")
    collect(made)
    return made


def test_files_hold_what_was_computed(run) -> None:
    assert written(run) == {"pairs.csv", "disagreement.csv", "energies_aligned.csv"}  # no references in the input
    first = rows(run, "pairs.csv")[0]
    assert (first["model_a"], first["model_b"], first["theory"], first["n_both"]) == ("a", "b-1", "same", "5")
    assert float(first["energy_aligned_rmse_ev_per_atom"]) == pytest.approx(0, abs=1e-12)
    assert [row["theory"] for row in rows(run, "pairs.csv")] == ["same", "different", "different"]
    committees = dict.fromkeys(row["committee"] for row in rows(run, "disagreement.csv"))
    assert list(committees) == ["all", "PBE"]
    most = rows(run, "disagreement.csv")[0]
    assert (most["outlier_model"], most["n_members"], most["rank"]) == ("c", "3", "1")
    assert json.loads(run.collected.read_text())["not_compared"] is None


def test_tables_are_read_back_as_they_were_written(run) -> None:
    found = comparison_files.compare(load_run(run))
    for name, table in comparison_files.tables_of(found).items():
        again = read_table(run, name.removesuffix(".csv"))
        assert again.schema.equals(table.schema), name
        for column in table.column_names:
            assert again[column].to_pylist() == pytest.approx(table[column].to_pylist(), nan_ok=True)


def test_aligned_energies_say_how(run) -> None:
    found = rows(run, "energies_aligned.csv")
    assert {row["aligned_with"] for row in found} == {"committee mean"}
    assert {row["energy_alignment"] for row in found} == {"per-element"}
    by_model = {}
    for row in found:
        by_model.setdefault(row["model"], []).append(row)
    assert list(by_model) == ["a", "b-1", "c"]
    numbers = {name: [float(row["energy_aligned_ev_per_atom"]) for row in own[:4]] for name, own in by_model.items()}
    assert numbers["a"] == pytest.approx(numbers["b-1"])
    assert numbers["a"] == pytest.approx(numbers["c"])


def test_spread_of_forces_is_in_the_frames(run) -> None:
    frames = read(run.root / "results.extxyz", index=":")
    first = np.array([forces(1.0), forces(1.1), forces(3.0)])
    wanted = np.sqrt(((first - first.mean(axis=0)) ** 2).sum(axis=(0, 2)) / 2)
    assert frames[0].arrays["force_spread"] == pytest.approx(wanted, abs=1e-7)
    pbe = first[:2]
    wanted = np.sqrt(((pbe - pbe.mean(axis=0)) ** 2).sum(axis=(0, 2)))
    assert frames[0].arrays["force_spread_PBE"] == pytest.approx(wanted, abs=1e-7)
    assert frames[4].arrays["force_spread"] == pytest.approx(frames[4].arrays["force_spread_PBE"])
    largest = {row["structure_id"]: row for row in rows(run, "disagreement.csv") if row["committee"] == "all"}
    for atoms in frames:
        told = float(largest[atoms.info["structure_id"]]["force_spread_max_ev_per_ang"])
        assert atoms.arrays["force_spread"].max() == pytest.approx(told, abs=1e-7)


def test_comparison_says_dispersion_and_kind_of_forces(run) -> None:
    names = list(rows(run, "comparison.csv")[0])
    assert names[-5:] == ["structure_hash", "dispersion", "conservative", "note", "group"]


@pytest.mark.parametrize("fault", [ValueError("odd"), MemoryError(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("where", ["statistics.conclude", "force_sums.ForceSums.add"])
def test_failing_statistics_cost_nothing_else(run, monkeypatch, capsys, fault, where) -> None:
    before = {name: (run.root / name).read_bytes() for name in RESULTS if name != "provenance.json"}

    def fail(*_arguments, **_options):
        raise fault

    monkeypatch.setattr(f"mira_cli.compare.{where}", fail)
    collect(run)
    assert {name: (run.root / name).read_bytes() for name in before} == before
    assert written(run) == set()  # what was there is of an earlier call
    assert type(fault).__name__ in json.loads(run.collected.read_text())["not_compared"]
    assert "could not be compared" in capsys.readouterr().err
    with pytest.raises(UsageError, match="could not be compared"):
        read_table(run, "pairs")
    assert "could not be compared" in run_summary(run)["missing"]["pairs"]


def test_full_disk_leaves_no_half_comparison(run, monkeypatch) -> None:
    write = comparison_files.write_csv

    def full(file, table) -> None:
        if file.name == "disagreement.csv":
            raise OSError(28, "No space left on device")
        write(file, table)

    monkeypatch.setattr(comparison_files, "write_csv", full)
    collect(run)
    assert written(run) == set()
    assert not list(run.root.glob("*.partial")) + list(run.root.glob(".*.partial"))


def test_all_files_are_known_to_be_ours(run) -> None:
    assert strangers(run) == []


def test_one_model_has_nobody_to_differ_from(tmp_path) -> None:
    run = made_run(tmp_path, crystals(), {"a": answers(1.0)})
    collect(run)
    assert written(run) == {"pairs.csv", "disagreement.csv"}
    assert rows(run, "pairs.csv") == []
    assert {row["n_models"] for row in rows(run, "disagreement.csv")} == {"1"}
    assert "force_spread" not in read(run.root / "results.extxyz", index=0).arrays
    assert len(read_table(run, "pairs")) == 0
    with pytest.raises(UsageError, match="one model"):
        read_table(run, "energies_aligned")


def test_one_structure_cannot_align_energies_but_compares_forces(tmp_path) -> None:
    run = made_run(tmp_path, crystals(1), {"a": answers(1.0, n=1), "b": answers(2.0, n=1)})
    collect(run)
    (pair,) = rows(run, "pairs.csv")
    assert pair["energy_refusal"] == "1 structure cannot set 1 element shift and leave something to compare"
    assert (pair["energy_aligned_rmse_ev_per_atom"], pair["n_force_atoms"]) == ("", "4")
    aligned = rows(run, "energies_aligned.csv")
    assert {row["energy_aligned_ev_per_atom"] for row in aligned} == {""}
    assert all(row["energy_refusal"] for row in aligned)


def test_models_without_a_structure_in_common(tmp_path) -> None:
    mine, yours = answers(1.0), answers(2.0)
    run = made_run(tmp_path, crystals(), {"a": [*mine[:2], None, None], "b": [None, None, *yours[2:]]})
    collect(run)
    (pair,) = rows(run, "pairs.csv")
    assert (pair["n_both"], pair["n_force_atoms"], pair["force_mae_ev_per_ang"]) == ("0", "0", "")
    assert pair["energy_refusal"] == "no structure has both energies"
    assert {row["rank"] for row in rows(run, "disagreement.csv")} == {""}
    assert "force_spread" not in read(run.root / "results.extxyz", index=0).arrays


def test_everything_failed(tmp_path) -> None:
    run = made_run(tmp_path, crystals(2), {"a": [None, None], "b": [None, None]})
    collect(run)
    assert {row["status"] for row in rows(run, "comparison.csv")} == {"failed"}
    assert rows(run, "pairs.csv")[0]["n_both"] == "0"


def test_references_of_some_frames_and_not_a_number(tmp_path) -> None:
    frames = crystals()
    frames[0].calc = SinglePointCalculator(frames[0], energy=1.0, forces=forces(1.0), stress=np.array(STRESS))
    frames[1].calc = SinglePointCalculator(frames[1], energy=float("nan"), forces=np.full((4, 3), np.nan))
    frames[2].calc = SinglePointCalculator(frames[2], energy=3.0)
    run = made_run(tmp_path, frames, {"a": answers(1.0)})
    collect(run)
    assert written(run) == set(COMPARISONS)
    (row,) = [row for row in rows(run, "reference.csv") if row["subset"] == "all"]
    assert (row["n_energies"], row["n_force_structures"], row["n_stresses"]) == ("2", "1", "1")
    assert float(row["force_mae_ev_per_ang"]) == pytest.approx(0, abs=1e-7)
    assert {row["aligned_with"] for row in rows(run, "energies_aligned.csv")} == {"reference"}


def test_mixed_compositions_alone_refuse_energies(tmp_path) -> None:
    frames = [molecule("H2O"), bulk("Cu", cubic=True), bulk("NaCl", "rocksalt", a=5.6)]
    given = [(float(len(f)), forces(1.0, len(f))) for f in frames]
    run = made_run(tmp_path, frames, {"a": given, "b": given})
    collect(run)
    (pair,) = rows(run, "pairs.csv")
    assert "cannot set 3 element shifts" in pair["energy_refusal"]
    assert pair["n_rank_structures"] == "0"


@pytest.mark.slow
def test_many_models(tmp_path) -> None:
    run = made_run(tmp_path, crystals(3), {f"m{i}": answers(1 + i / 100, float(i), n=3) for i in range(60)})
    collect(run)
    assert len(rows(run, "pairs.csv")) == 60 * 59 / 2
    found = run_summary(run)
    assert (len(found["models"]), len(found["pairs"])) == (60, 1770)


def test_results_are_the_same_however_they_are_read(run, monkeypatch) -> None:
    before = {name: rows(run, name) for name in written(run)}
    monkeypatch.setattr("mira_cli.answers.blocks.BLOCK_STRUCTURES", 1)
    collect(run)
    for name, table in before.items():
        for one, two in zip(table, rows(run, name), strict=True):
            for key, text in one.items():
                same = text == two[key] or float(text) == pytest.approx(float(two[key]), rel=1e-12, abs=1e-15)
                assert same, (name, key, text, two[key])  # sums in another order


def test_columns_by_the_beginning_of_their_names(run) -> None:
    table = read_table(run, "comparison")
    assert column_named(table, "fmax") == "fmax_ev_per_ang"
    assert column_named(table, "model") == "model"
    interval = pa.table({"a_mae_ev": [1.0], "a_mae_low_ev": [0.0]})
    assert column_named(interval, "a_mae") == "a_mae_ev"
    assert column_named(interval, "a_mae_l") == "a_mae_low_ev"
    with pytest.raises(UsageError, match="several columns begin with `energy_`"):
        column_named(table, "energy_")
    with pytest.raises(UsageError, match="no column `fmux`"):
        column_named(table, "fmux")


def test_rows_are_chosen_and_ordered(run) -> None:
    table = read_table(run, "comparison")
    assert only(table, models=["b-1"], statuses=[])["model"].unique().to_pylist() == ["b-1"]
    assert len(only(table, models=["c"], statuses=["failed"])) == 1
    assert len(only(table, models=[], statuses=["oom"])) == 0
    with pytest.raises(UsageError, match="the model `b`"):
        only(table, models=["b"], statuses=[])
    with pytest.raises(UsageError, match="the status `broken`"):
        only(table, models=[], statuses=["broken"])
    with pytest.raises(UsageError, match="status"):
        only(read_table(run, "pairs"), models=[], statuses=["ok"])
    energies = ordered(table, "energy_ev", reverse=True)["energy_ev"].to_pylist()
    numbers = [value for value in energies if value is not None]
    assert numbers == sorted(numbers, reverse=True)
    assert energies[-1] is None
    pairs = only(read_table(run, "pairs"), models=["a"], statuses=[])
    assert [(row["model_a"], row["model_b"]) for row in pairs.to_pylist()] == [("a", "b-1"), ("a", "c")]


def test_all_that_is_said_of_two_references_of_one_structure_agrees(tmp_path, mira) -> None:
    frames = [*crystals(), crystals()[-1]]
    for atoms, energy in zip(frames, [1.0, 2.5, 3.0, 4.5, 7.4], strict=True):
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
    given = answers(1.0)
    run = made_run(tmp_path, frames, {"a": [*given, given[-1]]})
    collect(run)
    table = list(csv.DictReader(io.StringIO(mira("table", run.root, "-t", "reference", "--csv").stdout)))
    assert table == rows(run, "reference.csv")
    whole, *parts = table
    fits = [row for row in [whole, *parts, *rows(run, "energies_aligned.csv")] if row["energy_alignment"]]
    assert len({tuple(row[f"energy_alignment{n}"] for n in ("", "_rows", "_rank", "_dof")) for row in fits}) == 1
    assert whole["energy_alignment_rows"] == str(len(frames) - 1)
    aligned = {r["structure_id"]: float(r["energy_aligned_ev_per_atom"]) for r in rows(run, "energies_aligned.csv")}
    own = [atoms.calc.results["energy"] / len(atoms) for atoms in frames]
    errors = np.array([*aligned.values()]) - own
    assert float(whole["energy_aligned_mae_ev_per_atom"]) == pytest.approx(np.abs(errors).mean())
    gathered = gather(load_run(run))
    shown = points(gathered)["structures"]["aligned"]["0,reference"]
    assert shown == pytest.approx(errors, rel=1e-3, abs=1e-5)
    assert "The references contradict each other." in [one["text"] for one in banners(gathered)]
