"""What is told of how a cell may change."""

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from tests.unit.worker.tasks.relaxations import relaxed
from worker.minimum.freedom import freedom_of


@pytest.mark.parametrize(
    ("periodic", "asked", "told"),
    [
        ("TTT", "full", "full"), ("TTT", "111111", "full"), ("TTT", "volume", "volume"), ("TTT", "shape", "shape"),
        ("TTT", "110001", "110001"), ("TTT", "fixed", "none"),
        ("TTF", "full", "in_plane"), ("TTF", "111111", "in_plane"), ("TTF", "110001", "in_plane"),
        ("TTF", "101110", "in_plane 100000"), ("TTF", "001110", "none"), ("TTF", "volume", "in_plane volume"),
        ("TTF", "shape", "in_plane shape"),
        ("FFT", "full", "along_axis"), ("FFT", "volume", "along_axis"), ("FFT", "001000", "along_axis"),
        ("FFT", "110000", "none"), ("FFT", "shape", "none"), ("FFF", "full", "none"),
    ],
)  # fmt: skip
def test_what_a_cell_may_do_is_told_as_it_is_and_not_as_it_was_asked(periodic, asked, told) -> None:
    start = bulk("Cu", cubic=True)
    start.pbc = [one == "T" for one in periodic]
    assert freedom_of(start, asked).cell_relaxed == told
    tilted = start.copy()
    tilted.rotate(30, "x", rotate_cell=True)
    tilted.rotate(20, "z", rotate_cell=True)
    if asked in {"full", "volume", "shape", "fixed"}:
        assert freedom_of(tilted, asked).cell_relaxed == told


def test_symmetry_that_is_kept_is_not_told_as_a_lack_of_freedom() -> None:
    found = relaxed(bulk("Cu", a=3.7), EMT(), symmetry="kept")
    assert (found.status, found.values["cell_relaxed"]) == ("ok", "full")
