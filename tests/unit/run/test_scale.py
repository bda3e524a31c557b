"""Large input costs no more than what is new in it, and comes out the same however it is cut."""

import io
import json
import os
import shutil
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.io import read, write
from ase.io.extxyz import write_extxyz

from mira_cli.answers import blocks
from mira_cli.answers.load import load_run
from mira_cli.driver.collect import collect
from mira_cli.errors import InputError
from mira_cli.results import write_tables as writing
from mira_cli.run import records
from mira_cli.run.best_records import find_best_records
from mira_cli.run.records import finished_hashes, locate_records
from mira_cli.structures import packs, parts, readers
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from mira_cli.tasks.singlepoint import TASK
from tests.unit.results.test_results import run as made_run
from tests.unit.run.test_records import job, line

run = made_run  # the fixture


def done(folder, **options) -> set[str]:
    return {structure.decode() for structure in finished_hashes(folder, TASK, **options).tolist()}


def crystals(n: int, first: int = 0) -> list:
    return [bulk("Cu", a=3.5 + 0.001 * i, cubic=True) for i in range(first, first + n)]


def load(folder, *arguments) -> list[dict]:
    return load_structures(folder, find_sources(map(str, arguments)).sources).table.to_pylist()


def contents(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name not in {"pack", "row"}} for row in rows]


@pytest.fixture
def was_read(monkeypatch) -> list[tuple[str, int]]:
    """Files and offsets of what is read, as it is read."""
    seen: list[tuple[str, int]] = []

    def watched(tasks, keys):
        seen.extend((part.path.name, part.offset) for task in tasks for part in task)
        return readers.read_blocks(tasks, keys)

    monkeypatch.setattr(packs, "read_blocks", watched)
    return seen


@pytest.fixture
def short_parts(monkeypatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 800)


ENDINGS = {
    "whole": "",
    "truncated": "5\nbroken\nCu 0 0\n",
    "no count": "what?\n",
    "empty line": "\n2\n\nCu 0 0 0\nCu 1 1 1\n",
    "vectors": "1\n\nCu 0 0 0\nVEC1 3 0 0\nVEC2 0 3 0\nVEC3 0 0 3\n1\n\nAl 0 0 0\n",
    "not text": "1\n\nCu 0 0 \udcff\n",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_cut_file_reads_as_a_whole_one(tmp_path, monkeypatch, ending) -> None:
    write(tmp_path / "x.extxyz", crystals(12))
    with (tmp_path / "x.extxyz").open("a", errors="surrogateescape") as stream:
        stream.write(ENDINGS[ending])
    whole = load(tmp_path / "whole", tmp_path / "x.extxyz")
    monkeypatch.setattr(parts, "PART_BYTES", 800)
    (source,) = find_sources([str(tmp_path / "x.extxyz")]).sources
    pieces = parts.cut(source)
    assert len(pieces) > 3
    assert all(before.offset + before.length == after.offset for before, after in pairwise(pieces))
    cut = contents(load(tmp_path / "cut", tmp_path / "x.extxyz"))
    assert cut == contents(whole)
    if ending in {"no count", "not text"}:  # the frames before are kept
        assert [row["invalid"] is None for row in cut] == [True] * 12 + [False]


def test_appended_frames_are_all_that_is_read(tmp_path, was_read, short_parts) -> None:
    write(tmp_path / "x.extxyz", crystals(20))
    before = load(tmp_path / "packs", tmp_path / "x.extxyz")
    read_before = was_read.copy()
    was_read.clear()
    write(tmp_path / "x.extxyz", crystals(3, first=20), append=True)
    after = load(tmp_path / "packs", tmp_path / "x.extxyz")
    assert len(was_read) < len(read_before) / 2
    assert min(offset for _, offset in was_read) == read_before[-1][1]
    assert contents(after) == contents(load(tmp_path / "anew", tmp_path / "x.extxyz"))
    assert contents(after[:20]) == contents(before)


def test_changed_frame_costs_its_part(tmp_path, was_read, short_parts) -> None:
    write(tmp_path / "x.extxyz", crystals(20))
    load(tmp_path / "packs", tmp_path / "x.extxyz")
    frames = crystals(20)
    frames[9].positions[0, 0] += 0.1
    write(tmp_path / "x.extxyz", frames)
    was_read.clear()
    after = load(tmp_path / "packs", tmp_path / "x.extxyz")
    assert len(was_read) == 1
    assert contents(after) == contents(load(tmp_path / "anew", tmp_path / "x.extxyz"))


def test_a_frame_that_breaks_costs_itself_only(tmp_path, short_parts) -> None:
    write(tmp_path / "x.extxyz", crystals(20))
    load(tmp_path / "packs", tmp_path / "x.extxyz")
    text = (tmp_path / "x.extxyz").read_text()
    lines = text.splitlines(keepends=True)
    lines[6 * 9 + 2] = lines[6 * 9 + 2].replace(".", "x")
    (tmp_path / "x.extxyz").write_text("".join(lines))
    rows = load(tmp_path / "packs", tmp_path / "x.extxyz")
    assert [row["invalid"] is None for row in rows] == [True] * 9 + [False] + [True] * 10
    (tmp_path / "x.extxyz").write_text(text)
    assert [row["invalid"] for row in load(tmp_path / "packs", tmp_path / "x.extxyz")] == [None] * 20


def test_new_file_among_others_is_all_that_is_read(tmp_path, was_read) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in (0, 1, 3):
        write(folder / f"{i}.cif", crystals(1, first=i))
    old = load(tmp_path / "packs", folder)
    was_read.clear()
    write(folder / "2.cif", crystals(1, first=2))
    rows = load(tmp_path / "packs", folder)
    assert was_read == [("2.cif", 0)]
    assert [row["id"] for row in rows] == [f"{i}.cif#0" for i in range(4)]
    assert [rows[i] for i in (0, 1, 3)] == old
    assert contents(rows) == contents(load(tmp_path / "anew", folder))
    was_read.clear()
    (folder / "1.cif").unlink()
    assert [row["id"] for row in load(tmp_path / "packs", folder)] == ["0.cif#0", "2.cif#0", "3.cif#0"]
    assert was_read == []


def test_packs_of_jobs_that_run_stay_and_others_go(tmp_path) -> None:
    folder, there = tmp_path / "structures", tmp_path / "in"
    there.mkdir()
    for i in range(3):
        write(there / f"{i}.extxyz", crystals(4, first=4 * i))
        load(folder, there)
    assert len(list(folder.glob("*.npz"))) == 3
    content = (folder / "00001.npz").read_bytes()
    (tmp_path / "jobs" / "m").mkdir(parents=True)
    (tmp_path / "jobs" / "m" / "j.json").write_text('{"structures": [{"file": "work/structures/00001.npz"}]}')
    kept = load(folder, there / "0.extxyz")
    assert sorted(pack.name for pack in folder.glob("*.npz")) == ["00000.npz", "00001.npz"]
    again = load(folder, there)
    assert (folder / "00001.npz").read_bytes() == content
    assert contents(again) == contents(load(tmp_path / "anew", there))
    assert again[:4] == kept


def test_ids_follow_the_names_of_files(tmp_path, was_read) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "x.extxyz", crystals(2, first=ord(name)))
    assert [row["id"] for row in load(tmp_path / "packs", tmp_path / "a")] == ["x.extxyz#0", "x.extxyz#1"]
    was_read.clear()
    rows = load(tmp_path / "packs", tmp_path / "a", tmp_path / "b")
    assert [row["id"] for row in rows] == [f"{n}/x.extxyz#{i}" for n in "ab" for i in (0, 1)]
    assert len(was_read) == 1
    assert [row["id"] for row in load(tmp_path / "packs", tmp_path / "b")] == ["x.extxyz#0", "x.extxyz#1"]


def test_damaged_pack_is_made_again(tmp_path) -> None:
    write(tmp_path / "x.traj", crystals(3))
    before = load(tmp_path / "packs", tmp_path / "x.traj")
    (tmp_path / "packs" / "00000.npz").write_bytes(b"")
    after = load(tmp_path / "packs", tmp_path / "x.traj")
    assert contents(after) == contents(before)
    assert {path.name for path in (tmp_path / "packs").glob("*.npz")} == {"00001.npz"}


def test_run_directory_can_move(tmp_path, was_read) -> None:
    write(tmp_path / "x.traj", crystals(3))
    before = load(tmp_path / "packs", tmp_path / "x.traj")
    (tmp_path / "packs").rename(tmp_path / "elsewhere")
    was_read.clear()
    assert load(tmp_path / "elsewhere", tmp_path / "x.traj") == before
    assert was_read == []


@pytest.mark.slow
def test_several_processes_read_as_one_does(tmp_path, monkeypatch, short_parts) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(3):
        write(folder / f"{i}.cif", crystals(1, first=i))
    write(folder / "x.extxyz", crystals(20))
    with (folder / "x.extxyz").open("a") as stream:
        stream.write("5\nbroken\nCu 0 0\n")
    write(folder / "y.extxyz", crystals(8, first=5))
    alone = load(tmp_path / "alone", folder)
    monkeypatch.setattr(readers, "FEW_TASKS", 1)
    assert len(os.sched_getaffinity(0)) > 1
    assert load(tmp_path / "together", folder) == alone


def test_a_reader_that_is_killed_is_told(tmp_path, monkeypatch, short_parts) -> None:
    write(tmp_path / "x.extxyz", crystals(20))
    monkeypatch.setattr(readers, "FEW_TASKS", 1)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(InputError, match="was killed"):
        load(tmp_path / "packs", tmp_path / "x.extxyz")
    monkeypatch.undo()
    assert len(load(tmp_path / "packs", tmp_path / "x.extxyz")) == 20


def test_records_of_files_that_stay_are_not_read_again(tmp_path, monkeypatch) -> None:
    job(tmp_path, "1", line("a") + line("b", "failed", None), atoms=2)
    job(tmp_path, "3", line("b"), atoms=2)
    first = find_best_records(tmp_path, TASK, remember=True)
    assert (first.get("b").status, first.hashes.tolist()) == ("ok", [b"a", b"b"])
    scanned = []
    scan = records._scan
    monkeypatch.setattr(records, "_scan", lambda file, *rest: scanned.append(file.parent.name) or scan(file, *rest))
    job(tmp_path, "2", line("c"), atoms=2)
    with (tmp_path / "3" / "records.jsonl").open("a") as stream:
        stream.write(line("d", "failed", None))
    assert done(tmp_path) == {"a", "b", "c", "d"}
    assert done(tmp_path, retry=True) == {"a", "b", "c"}
    assert set(scanned) == {"2", "3"}
    answers = find_best_records(tmp_path, TASK, remember=True)
    assert {s: answers.get(s).folder.name for s in "abcd"} == {"a": "1", "b": "3", "c": "2", "d": "3"}
    scanned.clear()
    np.zeros(3).tofile(tmp_path / "1" / "forces.f64")  # the forces of a record are lost
    assert done(tmp_path, retry=True) == {"b", "c"}
    assert scanned == ["1"]
    shutil.rmtree(tmp_path / "1")
    assert done(tmp_path) == {"b", "c", "d"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"x" * 100])
def test_damaged_memory_of_records_is_forgotten(tmp_path, content) -> None:
    job(tmp_path, "1", line("a"), atoms=2)
    locate_records(tmp_path, TASK, remember=True)
    (tmp_path / records.LOCATED).write_bytes(content)
    assert done(tmp_path) == {"a"}
    assert find_best_records(tmp_path, TASK, remember=True).get("a").arrays["forces"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert len(records._remembered(tmp_path)[1]) == 1


def test_answers_of_nothing(tmp_path) -> None:
    answers = find_best_records(tmp_path, TASK)
    assert answers.get("a") is None
    assert answers.attempts() == []


def test_results_do_not_depend_on_the_blocks(run, monkeypatch) -> None:
    names = ["comparison.csv", "energies.csv", "results.extxyz"]
    before = [(run.root / name).read_bytes() for name in names]
    table = pq.read_table(run.root / "comparison.parquet")
    for structures, atoms in ((1, 100), (100, 1), (2, 100)):
        monkeypatch.setattr(blocks, "BLOCK_STRUCTURES", structures)
        monkeypatch.setattr(blocks, "BLOCK_ATOMS", atoms)
        monkeypatch.setattr(writing, "ROW_GROUP", structures)
        collect(run)
        assert [(run.root / name).read_bytes() for name in names] == before
        assert pq.read_table(run.root / "comparison.parquet").equals(table)


def test_frames_of_packs_that_alternate_are_in_order(run, tmp_path) -> None:
    folder = tmp_path / "in"
    write(folder / "a.extxyz", crystals(2))
    index = load_structures(run.structures, find_sources([str(folder)]).sources)
    assert len(set(index.column("pack"))) == 2
    wanted = json.loads(run.wanted.read_text())
    run.wanted.write_text(json.dumps({**wanted, "structures": index.sources}))
    collect(run)
    valid = [i for i, why in zip(index.column("id"), index.column("invalid"), strict=True) if not why]
    assert [atoms.info["structure_id"] for atoms in read(run.root / "results.extxyz", index=":")] == valid


def test_frames_are_what_ase_writes(run, tmp_path) -> None:
    odd = crystals(1)[0]
    odd.calc = EMT()
    odd.get_forces()
    odd.get_stress()
    water = molecule("H2O")
    water.info.update(charge=-1, spin=2)
    slab = crystals(1, first=7)[0]
    slab.pbc[2] = False
    write(tmp_path / "in" / "b c.extxyz", [odd, water, slab])
    index = load_structures(run.structures, find_sources([str(tmp_path / "in")]).sources)
    wanted = json.loads(run.wanted.read_text())
    run.wanted.write_text(json.dumps({**wanted, "structures": index.sources}))
    collect(run)
    again = io.StringIO()
    write_extxyz(again, read(run.root / "results.extxyz", index=":"), write_results=False)
    text = (run.root / "results.extxyz").read_text(encoding="utf-8")
    assert again.getvalue() == text
    assert all(
        word in text for word in ("reference_forces:R:3", "reference_stress=", "charge=-1.0 spin=2.0", '"T T F"')
    )
    assert "forces_sevennet_0:R:3:forces_emt:R:3" in text


def test_looking_at_results_writes_nothing(run) -> None:
    located = list(run.root.glob(f"work/records/*/*/{records.LOCATED}"))
    assert len(located) == 2
    located[0].unlink()
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*")}
    load_run(run)
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("*")} == before
