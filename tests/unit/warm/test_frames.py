"""Frames between a warm worker and its owner, its private place, and what the worker refuses."""

import json
import os
import stat

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.structures.geometry import geometry_from_ase
from mira_cli.warm import frames as of_host
from mira_cli.warm import place
from worker import frames as of_worker
from worker.errors import WorkerError
from worker.warm import question_of

ENDS = [(of_host, of_worker), (of_worker, of_host)]


def reader(data: bytes):
    at = 0

    def read(n: int) -> bytes:
        nonlocal at
        if at + n > len(data):
            raise EOFError
        at += n
        return data[at - n : at]

    return read


@pytest.mark.parametrize(("sender", "receiver"), ENDS)
@given(values=arrays("<f8", st.tuples(st.integers(0, 4), st.integers(0, 3))), number=st.integers(0, 1 << 40))
def test_arrays_arrive_bit_by_bit(sender, receiver, values, number) -> None:
    given_ = {"values": values, "numbers": np.arange(3), "flags": np.array([True, False])}
    frame = sender.packed_frame({"id": number}, given_)
    header, found = receiver.read_frame(reader(frame + b"more"))
    assert header == {"id": number}
    assert {name: array.tobytes() for name, array in found.items()} == {k: v.tobytes() for k, v in given_.items()}
    assert [array.shape for array in found.values()] == [array.shape for array in given_.values()]


def frame_of(header: object, body: bytes = b"", header_bytes: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return of_host.COUNTS.pack(header_bytes or len(text), len(body)) + text + body


@pytest.mark.parametrize("end", [of_host, of_worker])
@pytest.mark.parametrize(
    "frame",
    [
        frame_of({"arrays": [["x", "|O", [1]]]}, b"12345678"),  # objects would be code
        frame_of({"arrays": [["x", "<f8", [-1]]]}),
        frame_of({"arrays": [["x", "<f8", [2]]]}, b"12345678"),
        frame_of({"arrays": [["x", "<f8"]]}),
        frame_of({"arrays": 3}),
        frame_of({}),
        frame_of([1, 2]),
        frame_of(b"\x80\x04K\x01."),
        frame_of({"arrays": []}, header_bytes=of_host.MOST_HEADER_BYTES + 1),
    ],
)
def test_what_is_no_frame_is_refused(end, frame) -> None:
    with pytest.raises(end.FrameError):
        end.read_frame(reader(frame))


def test_a_frame_that_is_cut_off_is_an_end() -> None:
    frame = of_host.packed_frame({"id": 1}, {"x": np.zeros(3)})
    for n in range(len(frame)):
        with pytest.raises(EOFError):
            of_worker.read_frame(reader(frame[:n]))


def test_a_frame_holds_no_objects_and_no_nan_in_its_header() -> None:
    with pytest.raises(of_host.FrameError, match="no arrays of type"):
        of_host.packed_frame({}, {"x": np.array([object()])})
    with pytest.raises(ValueError, match="JSON"):
        of_host.packed_frame({"energy": float("nan")}, {})


def asked(**changes) -> tuple[dict, dict]:
    geometry = geometry_from_ase([bulk("Cu"), bulk("NaCl", "rocksalt", a=5.64)])
    names = ("natoms", "numbers", "positions", "cell", "pbc", "charge", "spin")
    return {"id": 3, "task": {"name": "singlepoint", "settings": {}, "version": 1}}, {
        n: getattr(geometry, n) for n in names
    } | changes


def test_a_question_has_the_structures_that_were_sent() -> None:
    question = question_of(*asked())
    assert [structure.hash for structure in question.structures] == ["3:0", "3:1"]
    assert [structure.atoms().get_chemical_formula() for structure in question.structures] == ["Cu", "ClNa"]
    assert question.structures[0].charge is None


@pytest.mark.parametrize(
    "changes", [{"positions": np.zeros((2, 3))}, {"cell": np.zeros((1, 3, 3))}, {"natoms": np.array([1, 5])}]
)
def test_arrays_that_do_not_fit_are_refused(changes) -> None:
    with pytest.raises(of_worker.FrameError, match="shape"):
        question_of(*asked(**changes))


def test_a_task_that_is_not_there_is_refused() -> None:
    header, found = asked()
    with pytest.raises(WorkerError, match="there is no task"):
        question_of(header | {"task": header["task"] | {"name": "../evil"}}, found)


def test_the_place_is_private_and_what_others_can_write_to_is_none(tmp_path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    name = f"mira-warm-{os.getuid()}"
    (first / name).symlink_to(tmp_path)
    home = place.private_home([str(first), str(second)])
    assert home == second / name
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    home.chmod(0o770)
    with pytest.raises(EnvironmentNotReadyError, match="no private place"):
        place.private_home([str(first), str(second)])


def test_folders_that_nobody_holds_go_after_a_day(tmp_path) -> None:
    held, descriptor = place.worker_folder(tmp_path)
    left, other = place.worker_folder(tmp_path)
    os.close(other)
    fresh, another = place.worker_folder(tmp_path)
    os.close(another)
    for folder in (held, left):
        os.utime(folder, (0, 0))
    _, last = place.worker_folder(tmp_path)
    assert (held.exists(), left.exists(), fresh.exists()) == (True, False, True)
    os.close(descriptor)
    os.close(last)


def test_the_name_of_a_socket_is_short_enough() -> None:
    assert len(f"/tmp/mira-warm-{2**31}/12345678/s") < 108
