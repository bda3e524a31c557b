"""JOB.json and structure packs: what is read, and what is said when they are wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from tests.unit.worker.jobs import hash_of, write_job, write_pack
from worker.errors import WorkerError
from worker.job import PackRows, read_job
from worker.structures import read_structures


def change(file: Path, **changes) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_job_is_read(tmp_path):
    write_job(tmp_path, [Atoms("Cu")], model={"elements": [29, 79]}, gpus=[0, "1"], batch_atoms=7)
    job = read_job(tmp_path / "job.json")
    assert job.model.elements == {29, 79}
    assert job.model.checkpoint.bundled == "emt"
    assert job.gpus == ("0", "1")
    assert job.batch_atoms == 7
    assert job.sources == (PackRows(Path("work/00000.npz"), (0,)),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "has schema 2, this worker reads 1"),
        ({"device": "tpu"}, "device 'tpu' is none of auto, cpu, cuda"),
        ({"batch_atoms": 0}, "batch_atoms is 0"),
        ({"model": {}}, "lacks 'checkpoint'"),
        ({"model": 3}, "is not a job"),
        ({"structures": [{"file": "x"}]}, "lacks 'rows'"),
    ],
)
def test_a_wrong_job_is_refused(tmp_path, changes, message):
    write_job(tmp_path, [Atoms("Cu")])
    change(tmp_path / "job.json", **changes)
    with pytest.raises(WorkerError, match=message):
        read_job(tmp_path / "job.json")


@pytest.mark.parametrize("checkpoint", [{}, {"bundled": "emt", "path": "/x"}])
def test_a_checkpoint_is_one_thing(tmp_path, checkpoint):
    write_job(tmp_path, [Atoms("Cu")], model={"checkpoint": checkpoint})
    with pytest.raises(WorkerError, match="either bundled or a path"):
        read_job(tmp_path / "job.json")


def test_files_that_are_no_job(tmp_path):
    with pytest.raises(WorkerError, match="No such file"):
        read_job(tmp_path / "job.json")
    (tmp_path / "job.json").write_text("{")
    with pytest.raises(WorkerError, match="is not a job"):
        read_job(tmp_path / "job.json")


def test_structures_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    given = [
        Atoms("CuAu", positions=rng.normal(size=(2, 3)), cell=rng.normal(size=(3, 3)), pbc=(1, 0, 1)),
        Atoms(),
        Atoms("H", positions=[[1, 2, 3]], info={"charge": -1.0, "spin": 2}),
    ]
    write_pack(tmp_path / "p.npz", given)
    found = read_structures([PackRows(tmp_path / "p.npz", (2, 0, 1, 0))])
    assert [s.hash for s in found] == [hash_of(2), hash_of(0), hash_of(1)]
    for structure, atoms in zip(found, [given[2], given[0], given[1]], strict=True):
        read = structure.atoms()
        assert read == atoms
        assert structure.numbers.tolist() == atoms.numbers.tolist()
        assert read.info == atoms.info
    assert found[0].charge == -1.0
    assert found[1].charge is None


def test_atoms_are_private_copies(tmp_path):
    write_pack(tmp_path / "p.npz", [Atoms("H")])
    (structure,) = read_structures([PackRows(tmp_path / "p.npz", (0,))])
    structure.atoms().positions += 1.0
    assert not structure.atoms().positions.any()


def test_wrong_packs_are_refused(tmp_path):
    file = tmp_path / "p.npz"
    with pytest.raises(WorkerError, match="there is no structure pack"):
        read_structures([PackRows(file, (0,))])
    write_pack(file, [Atoms("H")])
    for row in (1, -1):
        with pytest.raises(WorkerError, match=f"none in row {row}"):
            read_structures([PackRows(file, (row,))])
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WorkerError, match="cannot be read"):
        read_structures([PackRows(file, (0,))])
    np.savez(file, hash=np.array([b"a"]))
    with pytest.raises(WorkerError, match="cannot be read"):
        read_structures([PackRows(file, (0,))])


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    file = tmp_path / "p.npz"
    write_pack(file, [Atoms("H2", positions=np.zeros((2, 3)))])
    with np.load(file) as npz:
        arrays = dict(npz)
    np.savez(file, **arrays | {"natoms": np.array([3], dtype=np.int32)})
    with pytest.raises(WorkerError, match=r"numbers has shape \(2,\), not \(3,\)"):
        read_structures([PackRows(file, (0,))])
