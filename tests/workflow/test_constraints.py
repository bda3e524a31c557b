"""Single points of structures with constraints: numbers of raw forces, and frames that carry what was fixed."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.constraints import FixAtoms, FixCartesian, FixScaled, Hookean
from ase.io import read, write

from mira_cli.structures.constraints import held_constraints
from tests.runs import rows

pytestmark = pytest.mark.workflow
CONSTRAINTS = {
    "a": [],
    "b": [FixAtoms([0, 1])],
    "c": [FixCartesian([0], [True, True, False])],
    "d": [FixAtoms([1]), FixCartesian([0], [True, True, False])],
    "e": [Hookean(0, 1, 5.0, 2.0)],
    "f": [FixScaled([1], [True, False, False])],
    "g": [FixAtoms([0]), FixScaled([1], [True, False, False])],
}


def structure(name: str) -> Atoms:
    atoms = bulk("Cu") * (2, 1, 1) if name in "fg" else fcc111("Cu", (1, 1, 3), vacuum=8.0)
    atoms.rattle(0.1, seed=ord(name))
    return atoms


def records_of(run) -> list[bytes]:
    return sorted(file.read_bytes() for file in run.glob("work/records/**/forces.f64"))


def test_numbers_are_those_without_constraints_and_frames_carry_them(tmp_path, mira) -> None:
    runs = {}
    for kind in ("held", "free"):
        (tmp_path / kind).mkdir()
        for name, constraints in CONSTRAINTS.items():
            atoms = structure(name)
            atoms.set_constraint(constraints if kind == "held" else None)
            write(tmp_path / kind / f"{name}.traj", atoms)
        runs[kind] = tmp_path / f"runs of {kind}" / "run"
        mira("run", tmp_path / kind, "-m", "emt", "-o", runs[kind])
    told = [[{**row, "wall_s": ""} for row in rows(run)] for run in runs.values()]
    assert told[0] == told[1]
    assert records_of(runs["held"]) == records_of(runs["free"])
    frames, free = (read(run / "results.extxyz", ":") for run in runs.values())
    assert len(frames) == len(CONSTRAINTS)
    for frame, other, (name, constraints) in zip(frames, free, CONSTRAINTS.items(), strict=True):
        np.testing.assert_array_equal(frame.arrays["forces_emt"], other.arrays["forces_emt"])
        given = structure(name)
        given.set_constraint([one for one in constraints if not isinstance(one, Hookean)])
        for one, wanted in zip(held_constraints([frame]), held_constraints([given]), strict=True):
            assert one.tolist() == wanted.tolist()
    assert [type(one) for one in frames[1].constraints] == [FixAtoms]
    assert {type(one) for one in frames[2].constraints} == {FixCartesian}
    assert frames[5].constraints == []
    assert "fixed_along_cell" in frames[5].arrays
    assert [(type(one), one.index.tolist()) for one in frames[6].constraints] == [(FixAtoms, [0])]
    assert frames[6].arrays["fixed_along_cell"].tolist() == [[True] * 3, [True, False, False]]
