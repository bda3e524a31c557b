"""What every task must do in a whole run, whatever it computes: `tests/tasks/test_tasks.py` asks it of each.

Models are ASE's own: `emt`, which lacks iron, `lj`, and `faulty`, which lacks a number for copper, time or memory.
"""

from __future__ import annotations

import csv
import json
import math
import os
import signal
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mira_cli import tasks
from mira_cli.run.best_records import find_best_records
from mira_cli.statuses import OK
from tests.runs import METALS, faulty, own_records, records, rows
from worker import tasks as twins
from worker.contract import STATUSES
from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from tests.runs import Started

MODELS = ("emt", "lj", "faulty")
SLOW_S = 1.2  # that a structure takes where a run is to be disturbed
OTHER = ("structure_id", "model", "status")
OF_D3 = "dispersion_energy_ev"  # only models with `+d3` have it: tests/workflow/test_dispersion.py
ATOMIC = {"sigma": 2.3, "rc": 7.0}  # `lj` with atoms as large as metals have: with its own, their crystals collapse


@dataclass(frozen=True)
class Kit:
    """A task, the settings to test it with, and a finished run of three models on eight structures."""

    name: str
    settings: dict[str, Any]
    top: Path
    mira: Callable[..., Any]
    atoms_of: Callable[[str], Atoms]  # what is asked about, of each metal
    told: str = ""  # what the run said

    @property
    def task(self) -> tasks.Task:
        return tasks.find_task(self.name)

    @property
    def structures(self) -> Path:
        return self.top / "structures"

    @property
    def run(self) -> Path:
        return self.top / "runs" / "base"

    def call(self, run: Path, models: str, *more: object) -> tuple[object, ...]:
        """Arguments of `mira` that make a run of the task."""
        asked = {"task": self.name, **{f"task.{name}": value for name, value in self.settings.items()}}
        pairs = [word for name, value in asked.items() for word in ("--set", f"{name}={json.dumps(value)}")]
        if "lj" in models.split(","):
            pairs += [word for name, value in ATOMIC.items() for word in ("--set", f"options.lj.{name}={value}")]
        return ("run", self.structures, "-m", models, "-o", run, *pairs, *more)


def crystal(metal: str) -> Atoms:
    """A crystal of four atoms, or two where it is bcc."""
    from ase.build import bulk

    return bulk(metal, cubic=True)


def made(
    name: str,
    settings: dict[str, Any],
    top: Path,
    mira: Callable[..., Any],
    atoms_of: Callable[[str], Atoms] = crystal,
) -> Kit:
    """Run a task with three models, two of which fail for one structure each."""
    from ase.io import write

    kit = Kit(name, settings, top, mira, atoms_of)
    kit.structures.mkdir(parents=True)
    for metal in (*METALS, "Fe"):
        write(kit.structures / f"{metal}.cif", atoms_of(metal))
    own = faulty(top / "nan.yaml", mode="nan", only_element="Cu")
    told = mira(*kit.call(kit.run, ",".join(MODELS), "--models-file", own), code=1).stderr
    return replace(kit, told=told)


def check_twins(kit: Kit) -> None:
    """Host and worker mean the same task, and the worker takes the host's settings and no others."""
    from ase.build import molecule

    host, worker = kit.task, twins.find_task(kit.name)
    assert (host.name, host.version) == (kit.name, worker.VERSION)
    assert tuple(host.values) == tuple(worker.VALUES)
    assert {name for name, value in host.values.items() if not value.needed} == {*worker.OPTIONAL}
    assert {name: (one.width, one.rows, one.frames) for name, one in host.arrays.items()} == {
        name: (one.width, one.rows, one.frames) for name, one in worker.ARRAYS.items()
    }
    settings = host.settings.model_validate(kit.settings)
    twins.check(kit.name, settings.model_dump(mode="json"), host.version)
    for others, version in (({"no_such_setting": 1}, host.version), ({}, host.version + 1)):
        with pytest.raises(WorkerError):
            twins.check(kit.name, settings.model_dump(mode="json") | others, version)
    if host.of_crystals:  # the run warns of what is no crystal, and the worker must not compute it
        assert getattr(worker, "refusal", lambda _: None)(molecule("H2O")), "no `refusal` of what is no crystal"
    assert host.evaluations(settings) > 0
    assert {*host.shown} <= {column.name for column in host.columns}
    assert host.shown
    assert len({column.name for column in host.columns}) == len(host.columns)


def check_failures(kit: Kit) -> None:
    """What a model cannot do costs one structure, says why, and has no numbers."""
    status = {(row["structure_id"].partition(".")[0], row["model"]): row for row in rows(kit.run)}
    failed = {place: row["status"] for place, row in status.items() if row["status"] != OK}
    assert failed == {("Fe", "emt"): "unsupported_element", ("Cu", "faulty"): "nonfinite"}
    for place in failed:
        assert status[place]["error"]
        assert not any(status[place][column.name] for column in kit.task.columns)
    assert {*STATUSES} >= {*failed.values()}


def check_columns(kit: Kit) -> None:
    """`comparison.csv` has the columns that the task declares, of their kinds; without `+d3` one is empty, no other."""
    found = [row for row in rows(kit.run) if row["status"] == OK]
    assert len(found) == 3 * 8 - 2
    head = list(found[0])
    names = [column.name for column in kit.task.columns]
    assert head[head.index("n_atoms") + 1 : head.index("family")] == names
    for column in kit.task.columns:
        said = [row[column.name] for row in found if row[column.name]]
        assert bool(said) == (column.name != OF_D3), f"{column.name} has {len(said)} of {len(found)} values"
        assert column.meaning
        for text in said:
            assert _is_of(column.kind, text), f"{column.name} has {text!r}, which is not {column.kind}"


def _is_of(kind: str, text: str) -> bool:
    if kind in {"real", "whole"}:
        return math.isfinite(float(text)) and (kind == "real" or float(text).is_integer())
    return kind != "flag" or text in {"true", "false"}


def check_records(kit: Kit) -> None:
    """What the worker wrote is believed by the host: an answer that is not would be computed again for ever."""
    said = Counter(record["status"] for record in records(kit.run))
    believed: Counter[str] = Counter()
    for folder in own_records(kit.run):
        found = find_best_records(folder, kit.task)
        believed.update(record.status for record in found.read(found.hashes) if record)
    assert believed == said
    assert "nothing to compute, 8 kept" in kit.mira(*kit.call(kit.run, "lj", "-n")).stderr


def check_results(kit: Kit) -> None:
    """All that a run writes is there; nothing that assumes another task has failed."""
    for words in ("no report was written", "could not be compared"):
        assert words not in kit.told
    html = (kit.run / "report.html").read_text(encoding="utf-8")
    data = html.partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    shown = json.loads(data)
    assert shown["counts"]["rows"] == 8
    assert len(shown["failures"]) >= 1
    assert shown["methods"]
    kit.mira("report", kit.run, "-o", kit.top / "again.html")
    assert kit.task.shown[0] in kit.mira("table", kit.run, "-t", "comparison", "--json").stdout
    kit.mira("table", kit.run, "--status", "ok")
    kit.mira("table", kit.run)
    assert (kit.run / "pairs.csv").exists() == kit.task.is_compared
    assert (kit.run / "scalars.csv").exists() == bool(kit.task.scalars)
    assert (kit.run / "relaxed" / "lj.extxyz").exists() == kit.task.keeps_geometries
    if "energy_ev" in kit.task.values:
        kit.mira("export", kit.run, "-m", "lj", "--all", "-o", kit.top / "labels.extxyz")
    for name in ("results.extxyz", "provenance.json", "comparison.parquet"):
        assert (kit.run / name).stat().st_size > 0
    for file in kit.run.glob("*.csv"):
        with file.open(newline="", encoding="utf-8") as stream:
            assert next(csv.reader(stream))


def check_reuse_and_additions(kit: Kit) -> None:
    """A neighbour's answers are taken over; what is added is all that is computed, and `-n` says so before.

    One of the models that are added runs out of memory with every batch of two structures.
    """
    from ase.io import write

    second = kit.run.with_name("second")
    told = kit.mira(*kit.call(second, "emt,lj", "-n")).stderr
    assert "7 structures will be taken over" in told
    assert "8 structures will be taken over" in told
    assert not second.exists()
    told = kit.mira(*kit.call(second, "lj")).stderr
    assert "8 structures taken over" in told
    assert "nothing to compute, 8 kept" in told
    wider = kit.atoms_of("Cu")
    wider.set_cell(1.025 * wider.cell.array, scale_atoms=True)
    write(kit.structures / "Cu2.cif", wider)
    largest = max(4, *(record.get("n_supercell_atoms") or 0 for record in records(kit.run)))
    own = faulty(kit.top / "oom.yaml", mode="oom", max_atoms=largest)
    call = kit.call(second, "emt,lj,faulty", "--models-file", own)
    try:
        told = kit.mira(*call, "-n").stderr
        assert "lj: 1 structure to compute in 1 job, 8 kept" in told
        assert "faulty: 9 structures to compute" in told
        assert "(model is new)" in told
        assert len(records(second)) == 8
        kit.mira(*call, code=1)  # for iron
    finally:
        (kit.structures / "Cu2.cif").unlink()
    assert len(records(second)) == 3 * 9
    assert {record["status"] for record in records(second)} == {OK, "unsupported_element"}
    assert_same_numbers(kit, second, but={"Cu2", "Cu"})
    log = "".join(file.read_text() for file in (second / "logs").glob("**/faulty/**/*") if file.is_file())
    assert "out of memory on purpose" in log


def check_interruptions(kit: Kit, started: Callable[..., Started]) -> None:
    """After Ctrl-C, and `kill -9` of the worker, the run ends with the numbers of one that nobody disturbed."""
    run = kit.top / "elsewhere" / "disturbed"
    run.parent.mkdir()
    seconds = SLOW_S / kit.task.evaluations(kit.task.settings.model_validate(kit.settings))
    own = faulty(kit.top / "slow.yaml", mode="sleep", seconds=seconds)
    one_by_one = ("--set", "batch_atoms=4", "--set", "chunk_atoms=1000", "--set", "threads=2")
    call = kit.call(run, "faulty", "--models-file", own, *one_by_one)
    one = started(*call)
    one.wait_for_records(run, 1)
    one.send(signal.SIGINT)
    assert one.end()[0] == 130
    before = {record["structure"] for record in records(run)}
    assert 1 <= len(before) < 8
    one = started(*call)
    one.wait_for_records(run, min(len(before) + 1, 7))  # with the last one the worker ends
    os.kill(one.wait_for_worker(run), signal.SIGKILL)
    code, err = one.end()
    assert code == 0, err
    found = [record["structure"] for record in records(run)]
    assert len(found) == len(set(found)) == 8
    assert_same_numbers(kit, run, but={"Cu"})


def assert_same_numbers(kit: Kit, run: Path, but: set[str]) -> None:
    """The task's columns are those of the base run, to the last digit, but for some structures."""
    names = [*OTHER, *(column.name for column in kit.task.columns)]
    base = {(row["structure_id"], row["model"]): [row[name] for name in names] for row in rows(kit.run)}
    compared = [row for row in rows(run) if row["structure_id"].partition(".")[0] not in but]
    assert compared
    for row in compared:
        assert [row[name] for name in names] == base[row["structure_id"], row["model"]]
