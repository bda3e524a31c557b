"""Which structures a model is asked about, and which answers are believed."""

import numpy as np
import pytest
from ase import Atoms

from tests.unit.worker.jobs import write_pack
from worker.contract import ANSWERED, INVALID_RESULT, Layout, Outcome, judged, recordable, structure_refusal
from worker.failures import Failure, kind_of
from worker.families.base import Result
from worker.job import PackRows
from worker.structures import read_structures

NAN = float("nan")


def structure_of(tmp_path, atoms: Atoms):
    write_pack(tmp_path / "p.npz", [atoms])
    return read_structures([PackRows(tmp_path / "p.npz", (0,))])[0]


@pytest.mark.parametrize(
    ("atoms", "elements", "takes_charge", "status", "words"),
    [
        (Atoms("CuAu"), {29, 79}, False, None, None),
        (Atoms("CuAu"), None, False, None, None),
        (Atoms("CuAuAu"), {29}, False, "unsupported_element", "does not know Au"),
        (Atoms("CuYbAu"), {1}, False, "unsupported_element", "does not know Cu, Yb, Au"),
        (Atoms("X"), None, False, "unsupported_element", "does not know element 0"),
        (Atoms(numbers=[121]), {1}, False, "unsupported_element", "does not know element 121"),
        (Atoms("H", info={"charge": 1.0}), None, False, "unsupported_property", r"charge of \+1 e"),
        (Atoms("H", info={"charge": 1.0}), None, True, None, None),
        (Atoms("H", info={"charge": 0.0, "spin": 2.0}), None, False, None, None),
    ],
)
def test_who_is_refused(tmp_path, atoms, elements, takes_charge, status, words):
    known = None if elements is None else frozenset(elements)
    outcome = structure_refusal(structure_of(tmp_path, atoms), elements=known, takes_charge=takes_charge)
    if status is None:
        assert outcome is None
    else:
        assert outcome.status == status
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(str(outcome))


@pytest.mark.parametrize(
    ("energy", "forces", "stress", "wants_stress", "status"),
    [
        (-1.0, np.ones((2, 3)), np.ones(6), True, "ok"),
        (-1.0, np.ones((2, 3)), None, False, "ok"),
        (-1.0, np.ones((2, 3)), np.full(6, NAN), False, "ok"),
        (np.float32(-1), np.ones((2, 3), dtype=np.float32), np.ones(6), True, "ok"),
        (NAN, np.ones((2, 3)), np.ones(6), True, "nonfinite"),
        (-1.0, np.full((2, 3), np.inf), np.ones(6), True, "nonfinite"),
        (-1.0, np.ones((2, 3)), np.full(6, NAN), True, "nonfinite"),
        (-1.0, np.ones((3, 3)), np.ones(6), True, "failed"),
        (-1.0, np.ones(6), np.ones(6), True, "failed"),
        (np.ones(1), np.ones((2, 3)), np.ones(6), True, "failed"),
        (-1.0, np.ones((2, 3)), np.ones((3, 3)), True, "failed"),
        (-1.0, np.ones((2, 3)), None, True, "unsupported_property"),
    ],
)
def test_which_answers_are_believed(energy, forces, stress, wants_stress, status):
    outcome = judged(Result(energy, forces, stress), 2, wants_stress=wants_stress)
    assert getattr(outcome, "status", "ok") == status
    if status == "ok":
        assert type(outcome.energy_ev) is float
        assert outcome.forces_ev_per_ang.dtype == np.float64
        assert (outcome.stress_ev_per_ang3 is not None) is wants_stress
    else:
        assert str(outcome)


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


class AcceleratorError(RuntimeError):
    """Named as torch names its own."""


class PropertyNotImplementedError(NotImplementedError):
    """Named as ASE names its own."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"), Failure.OOM),
        (MemoryError(), Failure.OOM),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), Failure.OOM),
        (RuntimeError("CUDA error: out of memory"), Failure.OOM),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), Failure.OOM),
        (RuntimeError("Failed to allocate 8 bytes"), Failure.OOM),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), Failure.DEVICE_LOST),
        (AcceleratorError("something"), Failure.DEVICE_LOST),
        (OSError(28, "No space left on device"), Failure.DISK_FULL),
        (OSError(122, "Disk quota exceeded"), Failure.DISK_FULL),
        (PropertyNotImplementedError("stress"), Failure.UNSUPPORTED),
        (ValueError("shape"), Failure.ERROR),
        (FileNotFoundError(2, "gone"), Failure.ERROR),
    ],
)
def test_kinds_of_failure(error, kind):
    assert kind_of(error) is kind


@pytest.mark.parametrize("status", ANSWERED)
def test_what_a_story_ended_with_is_kept_whether_or_not_it_converged(status):
    """A record of a story that did not come to what it was after has the task's values and arrays all the same."""
    found = recordable(Outcome(status, "not there", {"x": 1.0}, {"f": np.ones((2, 3))}), ("x",), {"f": Layout()}, 2)
    assert (found.status, found.values, found.arrays["f"].shape) == (status, {"x": 1.0}, (2, 3))
    found = recordable(Outcome(status, "not there", {"x": 1.0}), ("x",), {"f": Layout()}, 2)
    if status == INVALID_RESULT:  # alone it may lack them
        assert (found.status, found.values, found.arrays) == (status, {"x": 1.0}, {})
    else:
        assert "returned no f" in str(found.error)


@pytest.mark.parametrize("values", [{}, {"x": None}])
@pytest.mark.parametrize("status", ["ok", "not_converged"])
def test_an_answer_without_a_value_that_it_needs_is_a_failure(status, values):
    """It would be no record to the host, and be computed again for ever."""
    found = recordable(Outcome(status, None, values), ("x", "y"), {}, 2, needed={"x"})
    assert (found.status, found.error) == ("failed", "the task returned no x")
    assert recordable(Outcome(status, None, {"x": 0.0}), ("x", "y"), {}, 2, needed={"x"}).status == status
    for other in ("oom", INVALID_RESULT):
        assert recordable(Outcome(other, "none"), ("x", "y"), {}, 2, needed={"x"}).status == other


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("real", "1.5", "x as a str, which its twin declares as `real`"),
        ("real", True, "x as a bool, which its twin declares as `real`"),
        ("whole", 1.5, "x as a float, which its twin declares as `whole`"),
        ("flag", 1, "x as a int, which its twin declares as `flag`"),
        ("text", 2.0, "x as a float, which its twin declares as `text`"),
        ("reals", 2.0, "x as a float, which its twin declares as `reals`"),
        ("real", 3, None),
        ("whole", 3, None),
        ("flag", False, None),
        ("text", "", None),
        ("reals", [1.0], None),
        ("real", None, None),
    ],
)
def test_a_value_of_another_kind_than_the_host_reads_is_a_failure_that_says_so(kind, value, said) -> None:
    found = recordable(Outcome("ok", None, {"x": value}), {"x": kind}, {}, 2)
    assert (found.status, found.error) == (("failed", f"the task returned {said}") if said else ("ok", None))
