"""Records of tasks that move atoms: answers that did not converge, and arrays of as many frames as there were."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mira_cli.driver.collect import collect
from mira_cli.results.print_end_of_run import print_results
from mira_cli.results.read_tables import read_table
from mira_cli.run.best_records import find_best_records
from mira_cli.run.directory import RunDirectory
from mira_cli.run.records import finished_hashes, locate_records
from mira_cli.run.reuse import Neighbour, take_over
from mira_cli.run.tail import Tail
from mira_cli.statuses import ANSWERED, OK
from mira_cli.tasks import Layout, Value
from mira_cli.tasks.singlepoint import TASK
from mira_cli.watching.tally import Tally
from tests.report.runs import usual
from tests.unit.worker.jobs import write_pack
from worker import contract
from worker.contract import Finished, Outcome, recordable
from worker.job import PackRows
from worker.records import RecordFiles
from worker.structures import read_structures

ARRAYS = {"positions": (3, None, None), "path": (3, None, 4), "cells": (3, 3, 4)}
VALUES = {"energy_ev": Value("real"), "steps": Value("whole", needed=False)}
LAYOUTS = {name: Layout(*layout) for name, layout in ARRAYS.items()}
MOVES = replace(TASK, name="moves", values=VALUES, arrays=LAYOUTS, columns=(), fill=lambda *_: {})
TWINS = {name: contract.Layout(*layout) for name, layout in ARRAYS.items()}
SIZES = (1, 3, 2, 2, 5)


def outcome(i: int, status: str = OK, frames: int | None = None) -> Outcome:
    """That of structure i, whose numbers say which it is."""
    n = SIZES[i]
    arrays = {"positions": np.full((n, 3), i)}
    if frames is not None:
        of_frames = np.arange(frames, dtype=float)[:, None, None]
        arrays |= {"path": 10 * i + of_frames + np.zeros((n, 3)), "cells": 100 * i + of_frames + np.zeros((3, 3))}
    reason = None if status == OK else f"{status} it was"
    if status not in ANSWERED:
        return Outcome(status, reason)
    return Outcome(status, reason, {"energy_ev": -1.0 - i, "steps": i}, arrays)


def written(folder, outcomes: dict[int, Outcome]):
    """Record files of some of five structures; returns their hashes."""
    from ase import Atoms

    folder.mkdir(parents=True)
    hashes = write_pack(folder / "p.npz", [Atoms(f"H{n}") for n in SIZES])
    structures = read_structures([PackRows(folder / "p.npz", tuple(range(len(SIZES))))])
    records = RecordFiles(folder, tuple(MOVES.values), TWINS)
    records.append_attempt({"started": f"2026-01-0{1 + len([*folder.parent.iterdir()])}", "model": "m"})
    records.append([Finished(structures[i], one, 1, 0.5) for i, one in outcomes.items()], max_rss_mb=1.0)
    records.close()
    return hashes


MANY = {0: (OK, 4), 1: ("not_converged", 2), 2: ("blown_up", 0), 3: ("failed", None), 4: (OK, None)}


@pytest.fixture
def many(tmp_path):
    hashes = written(tmp_path / "job", {i: outcome(i, *one) for i, one in MANY.items()})
    return tmp_path, np.array(hashes, "S32")


def test_numbers_of_what_did_not_converge_are_there(many) -> None:
    folder, hashes = many
    found = find_best_records(folder, MOVES).read(hashes)
    assert found.texts("status").tolist() == [status for status, _ in MANY.values()]
    assert found.ok().tolist() == [True, False, False, False, True]
    assert found.answered().tolist() == [True, True, True, False, True]
    np.testing.assert_array_equal(found.numbers("energy_ev"), [-1, -2, -3, np.nan, -5])
    for i, (one, positions) in enumerate(zip(found, found.each("positions"), strict=True)):
        wanted = None if i == 3 else np.full((SIZES[i], 3), i)
        np.testing.assert_array_equal(positions, wanted)
        np.testing.assert_array_equal(one.array("positions"), wanted)
    sizes, numbers = found.rows("positions", found.answered())
    assert sizes.tolist() == [SIZES[i] for i in (0, 1, 2, 4)]
    assert numbers[:, 0].tolist() == [0, *[1] * 3, *[2] * 2, *[4] * 5]


def test_frames_are_read_only_where_they_are_asked_for(many) -> None:
    folder, hashes = many
    best = find_best_records(folder, MOVES)
    assert [*best.read(hashes).arrays] == ["positions"]
    found = best.read(hashes, arrays=MOVES.arrays)
    for i, (path, cells) in enumerate(zip(found.each("path"), found.each("cells"), strict=True)):
        status, frames = MANY[i]
        if not frames:  # none are as if the task kept none
            assert (path, cells) == (None, None)
            continue
        assert status in ANSWERED
        assert path.reshape(-1, SIZES[i], 3)[:, 0, 0].tolist() == [10 * i + k for k in range(frames)]
        assert cells.reshape(-1, 3, 3)[:, 0, 0].tolist() == [100 * i + k for k in range(frames)]
    np.testing.assert_array_equal(found.numbers("path_frames"), [4, 2, np.nan, np.nan, np.nan])
    assert found.ok().tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("name", ["records.jsonl", "positions.f64", "path.f64", "cells.f64"])
def test_whatever_is_cut_off_leaves_a_prefix_for_worker_and_host(many, tmp_path, name) -> None:
    folder, hashes = many
    whole = (folder / "job" / name).read_bytes()
    seen = set()
    for cut in (*range(0, len(whole), 24 if name.endswith("f64") else 50), len(whole)):
        (folder / "job" / name).write_bytes(whole[:cut])
        host = [h.decode() for h in locate_records(folder, MOVES)[0]["structure"].tolist()]
        tail = Tail(folder / "job/records.jsonl", MOVES)
        assert [one["structure"] for one in tail.read()] == host
        files = {one: (folder / "job" / one).read_bytes() for one in ("records.jsonl", *(f"{n}.f64" for n in TWINS))}
        records = RecordFiles(folder / "job", tuple(MOVES.values), TWINS)
        worker = list(records.ledger.statuses)
        records.close()
        assert worker == hashes[: len(worker)].astype(str).tolist()  # a prefix: it cuts what is behind
        assert {*worker} <= {*host}
        seen.add(len(worker))
        for one, content in files.items():
            (folder / "job" / one).write_bytes(content)
        (folder / "job" / name).write_bytes(whole)
    assert {0, 5} <= seen


def test_a_line_without_its_count_of_frames_is_no_record(many) -> None:
    folder, _ = many
    log = folder / "job/records.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines[1]["path_frames"] = None
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(locate_records(folder, MOVES)[0]) == 4
    assert len(Tail(log, MOVES).read()) == 4


@pytest.mark.parametrize(
    "statuses",
    [("failed", "not_converged", "oom"), ("not_converged", OK, "blown_up"), ("blown_up", "failed", "not_converged")],
)
def test_of_several_records_ok_wins_then_the_last_answer(tmp_path, statuses) -> None:
    for number, status in enumerate(statuses):
        hashes = written(tmp_path / "m" / f"job{number}", {1: outcome(1, status)})
    best = OK if OK in statuses else [status for status in statuses if status in ANSWERED][-1]
    assert find_best_records(tmp_path / "m", MOVES).get(hashes[1]).status == best
    tally = Tally(tmp_path / "m", np.sort(np.array(hashes, "S32")), MOVES)
    tally.read()
    assert {name: n for name, n in tally.counts().items() if n} == {best: 1}


def test_a_retry_leaves_what_did_not_converge(many) -> None:
    """Another try would end the same way; what failed is computed again."""
    folder, hashes = many
    assert {*finished_hashes(folder, MOVES).tolist()} == {*hashes.tolist()}
    assert {*finished_hashes(folder, MOVES, retry=True).tolist()} == {*hashes.tolist()} - {hashes[3]}


def test_progress_calls_only_what_has_no_answer_failed(many) -> None:
    tail = Tail(many[0] / "job/records.jsonl", MOVES)
    tail.read()
    assert (tail.done, tail.failed) == (5, 1)


def test_answers_with_their_frames_are_taken_over_by_neighbours(tmp_path) -> None:
    run, neighbour = RunDirectory(tmp_path / "a"), RunDirectory(tmp_path / "b")
    hashes = written(neighbour.records("m", "k") / "job", {i: outcome(i, *one) for i, one in MANY.items()})
    everything = np.sort(np.array(hashes, "S32"))
    assert take_over(run, "m", "k", MOVES, Neighbour(neighbour.root, everything)) == 4
    wanted = find_best_records(neighbour.records("m", "k"), MOVES)
    found = find_best_records(run.records("m", "k"), MOVES)
    for i in (0, 1, 2, 4):
        (one,), (other,) = (best.read(np.array(hashes[i : i + 1], "S32"), MOVES.arrays) for best in (found, wanted))
        assert one.status == other.status == MANY[i][0]
        assert one.arrays.keys() == other.arrays.keys()
        for name, values in other.arrays.items():
            np.testing.assert_array_equal(one.arrays[name], values)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"path": np.zeros((5, 2, 3))}, "path of 5 frames, of which it declares 4 at most"),
        ({"path": np.zeros((7, 3))}, "path of 21 numbers, which are no frames of 6"),
        ({"positions": np.zeros((2, 2, 3))}, "positions of 12 numbers instead of 6"),
        ({"path": np.full((2, 2, 3), np.nan)}, "path that are not finite"),
    ],
)
def test_frames_are_bounded_and_whole(arrays, words) -> None:
    good = {"positions": np.zeros((2, 3))}
    assert recordable(Outcome(OK, None, {}, good), tuple(MOVES.values), TWINS, 2).status == OK
    assert words in str(recordable(Outcome(OK, None, {}, good | arrays), tuple(MOVES.values), TWINS, 2).error)


@pytest.mark.parametrize(("status", "did"), [("not_converged", "did not converge"), ("blown_up", "blew up")])
def test_what_did_not_converge_is_shown_with_its_numbers_and_not_compared(tmp_path, capsys, status, did) -> None:
    """In the tables with its numbers, in no statistics, and no failure; the run is not all `ok`."""
    runs = {name: usual(tmp_path / name, 6) for name in ("all", "some")}
    (log,) = (runs["some"].work / "records/a").glob("*/*/records.jsonl")
    lines = log.read_text().splitlines()
    lines[1] = lines[1].replace('"status": "ok", "error": null', f'"status": "{status}", "error": "500 steps"')
    log.write_text("".join(f"{line}\n" for line in lines))
    collect(runs["some"])
    whole, part = (read_table(run, "comparison").to_pylist() for run in runs.values())
    changed = [(one, other) for one, other in zip(whole, part, strict=True) if one != other]
    ((one, other),) = changed
    assert other == one | {"status": status, "error": "500 steps"}
    pairs = [read_table(run, "pairs").to_pylist() for run in runs.values()]
    found = [{(row["model_a"], row["model_b"]): row for row in of_run} for of_run in pairs]
    assert [one["a", "b"]["n_force_structures"] for one in found] == [6, 5]
    assert found[0]["b", "c"] == found[1]["b", "c"]
    capsys.readouterr()
    assert not print_results(runs["some"])
    told = " ".join(capsys.readouterr().err.split())
    assert "2 of 18 rows have no result" in told
    assert f"1 of 18 rows {did}: their numbers are of where they ended" in told
    assert f"Of 18 answers, 1 {did}." in (runs["some"].root / "report.html").read_text(encoding="utf-8")
    assert "a: 500 steps" in told
