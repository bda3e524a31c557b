"""Errors by the labels of the input: kept with every structure, chosen afterwards, one fit for all groups."""

import csv
import json
import re

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write

from mira_cli.compare.group_errors import MOST_GROUPS
from mira_cli.driver.collect import collect
from mira_cli.driver.realign import realign
from mira_cli.errors import UsageError
from mira_cli.files import read_json, write_json
from mira_cli.report.write import write_report
from mira_cli.results.read_tables import load_collected
from mira_cli.structures.find import find_sources
from mira_cli.structures.labels import keys_of, labels_of, labels_under
from mira_cli.structures.packs import load_structures
from tests.unit.results.comparison_runs import made_run

TYPES = ("bulk", "bulk", "defect", None, "bulk", "defect", "bulk", "bulk")
OFF = (0.0, 0.0, 0.4, 0.0, 0.0, 0.4, 0.0, 0.0)  # eV/atom, by which the model is off


def frames(types=TYPES) -> list:
    found = []
    for i, label in enumerate(types):
        atoms = bulk("Cu", a=3.5 + 0.02 * i, cubic=True)
        atoms.calc = SinglePointCalculator(atoms, energy=-10.0 + i, forces=np.zeros((4, 3)), stress=np.zeros(6))
        if label is not None:
            atoms.info["config_type"] = label
        atoms.info["step"] = i
        found.append(atoms)
    return found


def answers(off=OFF) -> list:
    return [(-10.0 + i + 4 * d, np.full((4, 3), d), [d / 100] * 6) for i, d in enumerate(off)]


def made(folder, key: str | None = "config_type", types=TYPES, off=OFF):
    run = made_run(folder, frames(types), {"a": answers(off), "b": answers([0.0] * len(off))})
    write_json(run.wanted, {**read_json(run.wanted), "group_by": key})
    collect(run)
    return run


def rows(run, name: str) -> list[dict]:
    with (run.root / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def groups(run) -> dict:
    return {(row["model"], row["subset_value"]): row for row in rows(run, "reference.csv") if row["subset"] == "group"}


def shown_groups(run) -> dict | None:
    html = (run.root / "report.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1]).get("groups")


def test_errors_of_each_label_by_hand(tmp_path) -> None:
    run = made(tmp_path)
    assert list(groups(run)) == [(model, label) for model in "ab" for label in ("bulk", "defect", "")]
    bulky, defect, without = (groups(run)["a", label] for label in ("bulk", "defect", ""))
    assert [row["n_input"] for row in (bulky, defect, without)] == ["5", "2", "1"]
    # one shift of copper for all eight structures: 2 × 0.4 / 8
    assert float(bulky["energy_aligned_mae_ev_per_atom"]) == pytest.approx(0.1)
    assert float(defect["energy_aligned_mae_ev_per_atom"]) == pytest.approx(0.3)
    assert float(defect["energy_aligned_bias_ev_per_atom"]) == pytest.approx(0.3)
    assert float(defect["energy_raw_rmse_ev_per_atom"]) == pytest.approx(0.4)
    assert float(defect["force_mae_ev_per_ang"]) == pytest.approx(0.4)
    assert float(defect["force_max_ev_per_ang"]) == pytest.approx(0.4 * np.sqrt(3))
    assert float(bulky["force_rmse_ev_per_ang"]) == 0.0
    assert float(defect["stress_rmse_ev_per_ang3"]) == pytest.approx(0.004)
    assert float(defect["pressure_bias_gpa"]) == pytest.approx(-0.004 * 160.21766208)
    assert "one fit over all structures" in defect["notes"]
    assert defect["energy_alignment_dof"] == "7"


def test_groups_add_up_to_the_whole(tmp_path) -> None:
    run = made(tmp_path)
    (whole,) = (r for r in rows(run, "reference.csv") if (r["model"], r["subset"]) == ("a", "all"))
    own = [row for (model, _), row in groups(run).items() if model == "a"]
    for count, error in (
        ("n_energies_aligned", "energy_aligned_mae_ev_per_atom"),
        ("n_force_atoms", "force_mae_ev_per_ang"),
        ("n_stresses", "stress_mae_gpa"),
    ):
        assert sum(int(row[count]) for row in own) == int(whole[count])
        total = sum(int(row[count]) * float(row[error]) for row in own)
        assert total / int(whole[count]) == pytest.approx(float(whole[error]))


def test_labels_stand_beside_structures_and_in_the_report(tmp_path) -> None:
    run = made(tmp_path)
    assert [row["group"] or None for row in rows(run, "comparison.csv")[::2]] == list(TYPES)
    shown = shown_groups(run)
    assert (shown["key"], shown["all"]) == ("config_type", 3)
    assert [row.get("subset_value") for row in shown["rows"]] == ["bulk", "defect", None] * 2


def test_another_key_is_chosen_without_computing(tmp_path) -> None:
    run = made(tmp_path, key=None)
    assert groups(run) == {}
    assert shown_groups(run) is None
    computed = realign(run, group_by="config_type")
    write_report(load_collected(run), computed=computed)
    assert groups(run) == groups(made(tmp_path / "at once"))
    assert read_json(run.wanted)["group_by"] == shown_groups(run)["key"] == "config_type"
    realign(run, group_by="step")
    assert len(groups(run)) == 2 * len(TYPES)
    realign(run, "mean-shift")
    assert len(groups(run)) == 2 * len(TYPES)
    realign(run, group_by="none")
    assert groups(run) == {}
    assert {row["group"] for row in rows(run, "comparison.csv")} == {""}


def test_a_key_that_no_structure_has_is_refused_with_those_that_there_are(tmp_path) -> None:
    run = made(tmp_path)
    before = (run.root / "reference.csv").read_bytes()
    with pytest.raises(UsageError, match="under the key `subset`") as refused:
        realign(run, group_by="subset")
    assert "`config_type` (2), `step` (8)" in refused.value.hint
    assert (run.root / "reference.csv").read_bytes() == before


@pytest.mark.slow
def test_many_labels_are_cut_and_told(tmp_path) -> None:
    types = [f"t{i}" for i in range(MOST_GROUPS + 5)] + ["t3"]
    run = made(tmp_path, types=types, off=[0.0] * len(types))
    found = groups(run)
    assert len(found) == 2 * MOST_GROUPS
    assert next(iter(found)) == ("a", "t3")
    assert f"the {MOST_GROUPS:,} largest of {MOST_GROUPS + 5:,} groups" in found["a", "t3"]["notes"]
    assert shown_groups(run)["all"] > len(shown_groups(run)["rows"]) / 2


def test_labels_are_texts_and_whole_numbers() -> None:
    info = {
        "config_type": "a  b\n",
        "n": np.int64(3),
        "is": True,
        "T": 300.0,
        "x": [1],
        "long": "y" * 101,
        7: "z",
        "e": "",
    }
    assert json.loads(labels_of(info)) == {"config_type": "a b", "n": "3", "is": "true"}
    assert labels_of({"T": 1.5}) is None


def test_labels_come_from_databases_and_sheets(tmp_path) -> None:
    with connect(tmp_path / "a.db") as database:
        database.write(bulk("Cu"), key_value_pairs={"subset": "train", "number": 4})
    write(tmp_path / "b.extxyz", [bulk("Au"), bulk("Ag")])
    (tmp_path / "sheet.csv").write_text("structure_path,subset,charge\na.db,,\nb.extxyz,test,0\nb.extxyz,train,0\n")
    found = find_sources([str(tmp_path / "sheet.csv")])
    index = load_structures(tmp_path / "packs", found.sources)
    labels = index.table["labels"]
    assert labels_under(labels, "subset").to_pylist() == ["train", "test", "test"]
    assert keys_of(labels)["number"] == {"4": 1}
    assert found.labelled_twice == [tmp_path / "b.extxyz"]  # said; two rows of one geometry are one structure
    assert labels_under(labels, None).to_pylist() == [None] * 3


def test_a_label_in_a_sheet_is_no_reference(tmp_path) -> None:
    write(tmp_path / "b.extxyz", bulk("Au"))
    (tmp_path / "sheet.csv").write_text("structure_path,REF_energy\nb.extxyz,-3.5\n")
    index = load_structures(tmp_path / "packs", find_sources([str(tmp_path / "sheet.csv")]).sources)
    assert index.column("reference_energy_ev") == [None]


def test_inspect_and_run_name_the_labels(tmp_path, mira) -> None:
    write(tmp_path / "x.extxyz", frames())
    assert "config_type: bulk (5), defect (2)" in mira("inspect", tmp_path / "x.extxyz").stdout
    said = json.loads(mira("inspect", tmp_path / "x.extxyz", "--json").stdout)["summary"]["labels"]
    assert said["config_type"] == {"bulk": 5, "defect": 2}
    done = mira("run", tmp_path / "x.extxyz", "-m", "emt", "-o", tmp_path / "run", "--group-by", "kind")
    assert "no structure has a label under the key `kind`" in done.stderr
    again = mira("run", tmp_path / "x.extxyz", "-m", "emt", "-o", tmp_path / "run", "--group-by", "config_type")
    assert "nothing to compute" in again.stderr
    table = mira("table", tmp_path / "run")
    assert "errors by config_type" in table.stdout
    assert "without a label" in table.stdout
    mira("report", tmp_path / "run", "--group-by", "step")
    assert "group_by: step" in (tmp_path / "run" / "run.yaml").read_text()
