"""Record files survive being cut anywhere, garbage, and a full disk."""

import errno
import fcntl
import json
import os
import shutil

import numpy as np
import pytest
from ase import Atoms

from tests.unit.worker.jobs import hash_of, write_pack
from worker.contract import Finished, Outcome
from worker.errors import WorkerError
from worker.records import RecordFiles, records_locked
from worker.stopping import Stop
from worker.structures import Structure, read_pack
from worker.tasks.singlepoint import ARRAYS, VALUES


@pytest.fixture(scope="module")
def structures(tmp_path_factory):
    file = tmp_path_factory.mktemp("pack") / "pack.npz"
    hashes = write_pack(file, [Atoms(f"H{n}", positions=np.zeros((n, 3))) for n in (3, 1, 2, 2, 1)])
    pack = read_pack(file)
    return [Structure(h, int(pack.arrays["natoms"][i]), pack, i) for i, h in enumerate(hashes)]


def outcome_of(structure: Structure) -> Outcome:
    """Numbers that say whose they are; the fourth structure fails, and so has none."""
    if structure.row == 3:
        return Outcome("failed", "it was to be")
    forces = structure.row + np.arange(3.0 * structure.n_atoms).reshape(-1, 3) / 100
    values = {"energy_ev": float(structure.row), "stress_ev_per_ang3": [float(structure.row)] * 6}
    return Outcome("ok", values=values, arrays={"forces": forces})


def write_missing(folder, structures) -> None:
    records = RecordFiles(folder, VALUES, ARRAYS)
    todo = [s for s in structures if s.hash not in records.ledger.statuses]
    if todo:
        records.append_attempt({"started": "now"})
    for batch in (todo[:2], todo[2:4], todo[4:]):
        if batch:
            records.append([Finished(s, outcome_of(s), len(batch), 1.0) for s in batch], max_rss_mb=1.0)
    records.close()


def check_complete(folder, structures) -> None:
    forces = np.fromfile(folder / "forces.f64").reshape(-1, 3)
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    records = [line for line in lines if line["kind"] == "record"]
    assert sorted(r["structure"] for r in records) == sorted(s.hash for s in structures)
    by_hash = {r["structure"]: r for r in records}
    for s in structures:
        record, expected = by_hash[s.hash], outcome_of(s)
        assert record["status"] == expected.status
        assert record["energy_ev"] == expected.values.get("energy_ev")
        if "forces" in expected.arrays:
            row = record["forces_row"]
            np.testing.assert_array_equal(forces[row : row + s.n_atoms], expected.arrays["forces"])
    assert len(forces) == sum(s.n_atoms for s in structures if s.row != 3)


def record_line(**changes) -> bytes:
    """A record that has lost its forces, or whatever is changed about it."""
    record = {"kind": "record", "structure": "x", "status": "ok", "n_atoms": 2, "forces_row": 0}
    return json.dumps(record | {"wall_s": 1.0, "batch_size": 1} | changes).encode() + b"\n"


@pytest.fixture
def complete(tmp_path, structures):
    folder = tmp_path / "complete"
    folder.mkdir()
    write_missing(folder, structures)
    check_complete(folder, structures)
    return folder


@pytest.mark.parametrize("name", ["records.jsonl", "forces.f64"])
@pytest.mark.slow
def test_a_file_cut_at_any_byte_is_mended(tmp_path, complete, structures, name, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # thousands of them, and no power cut to survive
    whole = (complete / name).read_bytes()
    for size in range(len(whole)):
        folder = tmp_path / "cut"
        shutil.copytree(complete, folder)
        (folder / name).write_bytes(whole[:size])
        records = RecordFiles(folder, VALUES, ARRAYS)
        if name == "records.jsonl":
            lines = whole[:size].count(b"\n")
            assert len(records.ledger.statuses) == max(0, lines - 1), "a line that is whole was lost"
        assert records.ledger.rows["forces"] * 24 == (folder / "forces.f64").stat().st_size
        records.close()
        write_missing(folder, structures)
        check_complete(folder, structures)
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 50 + b"\n",
        b"not json\n",
        b"[1, 2]\n",
        b'{"kind": "record"}\n',
        record_line(forces_row=99),
        record_line(status="great"),
        record_line(n_atoms="2"),
        record_line(structure=hash_of(0)),
    ],
)
def test_garbage_costs_only_what_follows_it(complete, structures, garbage):
    log = complete / "records.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:3], garbage, *lines[3:]]))
    records = RecordFiles(complete, VALUES, ARRAYS)
    assert len(records.ledger.statuses) == 2
    assert log.read_bytes() == b"".join(lines[:3])
    records.close()
    write_missing(complete, structures)
    check_complete(complete, structures)


def disk_with(room: int):
    """An `os.write` to a disk that has room for so many bytes."""
    real_write = os.write

    def write(fd, data):
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real_write(fd, bytes(data[:room]))
        room -= written
        return written

    return write


def test_a_full_disk_leaves_whole_records_only(tmp_path, structures, monkeypatch):
    records = RecordFiles(tmp_path, VALUES, ARRAYS)
    records.append([Finished(structures[0], outcome_of(structures[0]), 1, 1.0)], max_rss_mb=1.0)
    before = [(tmp_path / name).read_bytes() for name in ("records.jsonl", "forces.f64")]
    for room in range(0, 300, 7):
        monkeypatch.setattr(os, "write", disk_with(room))
        with pytest.raises(OSError, match="No space left"):
            records.append([Finished(s, outcome_of(s), 4, 1.0) for s in structures[1:]], max_rss_mb=1.0)
        monkeypatch.undo()
        assert [(tmp_path / name).read_bytes() for name in ("records.jsonl", "forces.f64")] == before
    records.close()
    write_missing(tmp_path, structures)
    check_complete(tmp_path, structures)


def test_only_one_worker_may_write_and_who_waits_can_be_stopped(tmp_path):
    folder, told = tmp_path / "records", Stop(signum=15)
    told.requested.set()
    with (
        records_locked(folder, Stop()),
        pytest.raises(WorkerError, match=f"told to stop while process {os.getpid()} on .* was at work") as stopped,
        records_locked(folder, told),
    ):
        pass
    assert stopped.value.code == 143
    with records_locked(folder, Stop()):
        pass


def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with records_locked(tmp_path / "records", Stop()):
        pass
    assert "is on a file system without locks; going on without" in capsys.readouterr().err
