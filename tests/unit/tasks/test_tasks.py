"""Tasks as data, and the worker's half of their settings."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mira_cli import tasks
from mira_cli.errors import UsageError
from mira_cli.planning.chunks import grown_chunk_atoms, shortest_chunk_atoms
from mira_cli.report.gathered import gather
from mira_cli.report.write import content
from mira_cli.results.print_end_of_run import print_results
from mira_cli.results.print_summary import run_summary
from mira_cli.results.read_tables import load_collected, read_table
from mira_cli.results.table import comparison_schema
from mira_cli.run.best_records import find_best_records
from mira_cli.run.directory import COMPARISONS, RESULTS
from mira_cli.tasks import Column, Settings, Starts, Task, Value
from tests.report.runs import collected, usual
from worker import tasks as twins
from worker.errors import WorkerError
from worker.tasks import singlepoint

KINDS = {"size": "real", "steps": "whole", "is_done": "flag", "why": "text"}
TASK = Task(
    name="toy",
    version=1,
    settings=Settings,
    evaluations=lambda _: 1,
    values={name: Value(kind, needed=False) for name, kind in KINDS.items()},
    arrays={},
    columns=(*(Column(name, kind, name) for name, kind in KINDS.items()), Column("twice", "real", "twice the size")),
    shown=("size",),
    methods="",
    fill=lambda found, ok, _: {"twice": np.where(ok, 2 * found.numbers("size"), np.nan)},
)

NOWHERE = Starts(np.full(4, 2), np.ones(8, int), np.zeros((8, 3)), np.zeros((4, 3, 3)), np.zeros((4, 3), bool))


@pytest.fixture
def found(tmp_path):
    """Records of three structures, the last with nothing, and of a fourth that has none."""
    told = [(1.5, 3, True, "a"), (2.5, 4, False, "b"), (None, None, None, None)]
    lines = [
        {"kind": "record", "structure": name * 32, "status": "ok", "error": None, **dict(zip(KINDS, one, strict=True)),
         "n_atoms": 2, "batch_size": 1, "wall_s": 0.1}
        for name, one in zip("abc", told, strict=True)
    ]  # fmt: skip
    (tmp_path / "job").mkdir()
    (tmp_path / "job/records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    hashes = np.array([name * 32 for name in "abcd"], "S32")
    return find_best_records(tmp_path, TASK, hashes).read(hashes)


def test_columns_of_every_kind_fill_themselves(found) -> None:
    import pyarrow as pa

    columns = tasks.columns_of(TASK, found, np.array([True, True, True, False]), NOWHERE)
    schema = pa.schema([comparison_schema(TASK).field(column.name) for column in TASK.columns])
    table = pa.table({n: pa.array(values, from_pandas=True) for n, values in columns.items()}, schema=schema)
    assert table.to_pydict() == {
        "size": [1.5, 2.5, None, None],
        "steps": [3, 4, None, None],
        "is_done": [True, False, None, None],
        "why": ["a", "b", None, None],
        "twice": [3.0, 5.0, None, None],
    }


def test_what_is_not_ok_has_no_columns(found) -> None:
    columns = tasks.columns_of(TASK, found, np.zeros(4, bool), NOWHERE)
    assert all(np.isnan(columns[name]).all() for name in ("size", "steps", "twice"))
    assert [*columns["is_done"], *columns["why"]] == [None] * 8


def test_values_that_a_task_does_not_have_are_nowhere(found) -> None:
    assert np.isnan(found.numbers("energy_ev")).all()
    assert np.isnan(found.lists("stress_ev_per_ang3", 6)).all()
    assert not TASK.is_compared


def test_a_task_without_energies_and_forces_has_all_other_results(tmp_path, monkeypatch) -> None:
    double = Column("double_atoms", "whole", "twice the atoms")
    toy = replace(TASK, values={}, columns=(double,), shown=(double.name,), methods="Nothing of {structures} was asked",
                  fill=lambda found, ok, _: {double.name: np.where(ok, 2 * found.numbers("n_atoms"), np.nan)},
                  )  # fmt: skip
    monkeypatch.setattr(tasks, "find_task", lambda name: toy)
    run = collected(usual(tmp_path, 6))
    assert {file.name for file in run.root.iterdir() if file.is_file()} >= {*RESULTS}
    assert not any((run.root / name).exists() for name in COMPARISONS)
    table = read_table(run, "comparison")
    rows = table.select(["n_atoms", "status", double.name]).to_pylist()
    assert all(row[double.name] == (2 * row["n_atoms"] if row["status"] == "ok" else None) for row in rows)
    assert "energy_ev" not in table.column_names
    assert "energy_ev_" not in (run.root / "energies.csv").read_text()
    assert "forces_" not in (run.root / "results.extxyz").read_text().replace("reference_forces", "")
    for name in ("pairs", "disagreement", "reference"):
        with pytest.raises(UsageError, match="task `toy` gives no energies or forces"):
            read_table(run, name)
    print_results(run)
    found = run_summary(run)
    assert (found["pairs"], len(found["missing"])) == ([], 3)
    shown = content(gather(load_collected(run)))
    assert [text.partition(" with MIRA")[0] for text in shown["methods"]] == [
        f"Nothing of 6 structures (6 distinct, {sum(gather(load_collected(run)).index.n_atoms)} atoms) was asked"
    ]
    assert not any("nergies" in banner["text"] for banner in shown["banners"])
    assert shown["findings"] == []


def test_an_answer_without_the_number_that_comes_first_is_explained(tmp_path, monkeypatch, capsys) -> None:
    double = Column("double_atoms", "whole", "twice the atoms", empty_if="there is an odd number of atoms")
    toy = replace(TASK, values={}, columns=(double,), shown=(double.name,),
                  fill=lambda found, ok, _: {double.name: np.where(ok, np.nan, np.nan)})  # fmt: skip
    monkeypatch.setattr(tasks, "find_task", lambda name: toy)
    print_results(collected(usual(tmp_path, 6)))
    assert capsys.readouterr().out.count("–: there is an odd number of atoms") == 1


def test_the_worker_takes_its_own_settings_and_version_only(monkeypatch) -> None:
    twins.check("singlepoint", {}, singlepoint.VERSION)
    with pytest.raises(WorkerError, match="task singlepoint has no setting fmax"):
        twins.check("singlepoint", {"fmax": 1}, singlepoint.VERSION)
    with pytest.raises(WorkerError, match="has version 1 here, and the job wants 2"):
        twins.check("singlepoint", {}, 2)
    twins.check("singlepoint", {}, singlepoint.VERSION, singlepoint.VALUES)
    with pytest.raises(WorkerError, match="task singlepoint and the job do not agree on the values energy, energy_ev"):
        twins.check("singlepoint", {}, singlepoint.VERSION, ("energy", *singlepoint.VALUES[1:]))
    monkeypatch.setattr(singlepoint, "SETTINGS", ("fmax",))
    with pytest.raises(WorkerError, match="says nothing of fmax"):
        twins.check("singlepoint", {}, singlepoint.VERSION)


def test_a_task_that_evaluates_more_gets_shorter_jobs() -> None:
    assert tasks.evaluations(tasks.asked(tasks.find_task("singlepoint"), Settings())) == 1
    for total in (1000, 10**6, 10**9):  # as long as those of a task that evaluates once what all copies have in atoms
        once = grown_chunk_atoms(40 * total, gpu=False, slots=4)
        assert grown_chunk_atoms(total, gpu=False, slots=4, evaluations=40) == pytest.approx(once / 40, abs=1)
    assert shortest_chunk_atoms(gpu=True, evaluations=40) == shortest_chunk_atoms(gpu=True) // 40
    assert grown_chunk_atoms(10**6, gpu=False, slots=4, evaluations=1e9) >= 1


def test_tasks_are_listed_with_their_settings(mira) -> None:
    told = json.loads(mira("tasks", "--json").stdout)
    assert [*told] == tasks.names()
    assert told["singlepoint"] == {"summary": "Energy, forces and stress of structures as they are.", "settings": {}}
    assert told["relax"]["settings"]["pressure_gpa"] == {"default": 0.0, "meaning": "external pressure in GPa"}
    shown = mira("tasks").stdout
    assert "--set task.pressure_gpa=0.0  external pressure in GPa" in shown
    assert max(map(len, shown.splitlines())) <= 80
