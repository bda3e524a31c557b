"""Constraints of the input, from files to the atoms of a story and to the results."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.constraints import (
    FixAtoms,
    FixBondLength,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedPlane,
    FixScaled,
    Hookean,
)
from ase.io import write

from mira_cli.structures.choice import ALL
from mira_cli.structures.constraints import held_constraints
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from mira_cli.tasks import Layout
from mira_cli.tasks.singlepoint import TASK
from worker.job import PackRows
from worker.structures import read_structures

X, XY = np.array([True, False, False]), np.array([True, True, False])


def slab() -> Atoms:
    return fcc111("Cu", (1, 1, 3), vacuum=8.0)


def skewed() -> Atoms:
    atoms = bulk("Cu")
    atoms.rattle(0.05, seed=1)
    return atoms * (2, 1, 1)


def constrained(atoms: Atoms, *constraints) -> Atoms:
    atoms.set_constraint(constraints)
    return atoms


def loaded(tmp_path, folder, *, moves_atoms=False, into="packs"):
    """The index of a folder's files, and the worker's structures by id."""
    index = load_structures(tmp_path / into, find_sources([str(folder)]).sources, choice=ALL, moves_atoms=moves_atoms)
    found = {}
    for row in index.table.to_pylist():
        if row["invalid"] is None:
            (structure,) = read_structures([PackRows(index.pack_path(row["pack"]), (row["row"],))])
            found[row["id"]] = structure
    return index, found


def mask_of(atoms: Atoms) -> tuple[list[list[bool]], bool]:
    held = held_constraints([atoms])
    assert held.unknown.tolist() == [""]
    return held.fixed.tolist(), bool(held.along_cell[0])


PSEUDO = {"pseudopotentials": {"Cu": "Cu.UPF"}}
WHOLE, PARTS, SCALED = FixAtoms([0]), FixCartesian([0], XY), FixScaled([1], X)
FILES = [
    ("POSCAR", [WHOLE], {"format": "vasp", "direct": True}),
    ("POSCAR", [SCALED], {"format": "vasp", "direct": True}),
    ("POSCAR", [WHOLE, SCALED], {"format": "vasp", "direct": True}),
    ("a.xyz", [WHOLE], {"format": "extxyz"}),
    ("a.xyz", [PARTS], {"format": "extxyz"}),
    ("a.xyz", [FixAtoms([1]), PARTS], {"format": "extxyz"}),
    ("a.pwi", [FixAtoms([1]), PARTS], {"format": "espresso-in", **PSEUDO}),
    ("geometry.in", [FixAtoms([1]), PARTS], {"format": "aims"}),
    ("a.cell", [WHOLE], {"format": "castep-cell"}),
    ("a.con", [WHOLE], {"format": "eon"}),
    ("a.traj", [FixAtoms([0]), FixCartesian([1], X)], {"format": "traj"}),
    ("a.traj", [SCALED], {"format": "traj"}),
    ("a.json", [SCALED], {"format": "json"}),
    ("a.db", [FixCartesian([1], X)], {"format": "db"}),
]


@pytest.mark.parametrize(("name", "constraints", "told"), FILES)
def test_constraints_of_files_reach_the_atoms_of_a_story(tmp_path, name, constraints, told) -> None:
    given = constrained(skewed(), *constraints)
    if told["format"] == "eon":
        given.set_cell(given.cell.cellpar(), scale_atoms=True)
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / name, given, **told)
    index, found = loaded(tmp_path, tmp_path / "in")
    (structure,) = found.values()
    assert mask_of(structure.atoms()) == mask_of(given)
    assert index.column("n_fixed") == [held_constraints([given]).fixed.any(axis=1).sum()]
    assert index.column("constraints_unknown") == [None]
    assert "constraints_unknown" not in structure.atoms().info


def test_selective_dynamics_of_pymatgen(tmp_path) -> None:
    sites = [{"species": [{"element": "Cu", "occu": 1}], "abc": [x, 0, 0]} for x in (0, 0.5)]
    sites[1]["properties"] = {"selective_dynamics": [True, False, True]}
    lattice = {"matrix": (4 * np.eye(3) + 0.1).tolist()}
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.json").write_text(json.dumps({"@class": "Structure", "lattice": lattice, "sites": sites}))
    _, found = loaded(tmp_path, tmp_path / "in")
    (structure,) = found.values()
    assert mask_of(structure.atoms()) == ([[False] * 3, [False, True, False]], True)


@pytest.mark.parametrize(
    ("constraints", "fixed", "unknown"),
    [
        ([FixedPlane(0, (0, 0, 1))], [[False, False, True], [False] * 3], ""),
        ([FixedLine(0, (0, -1, 0))], [[True, False, True], [False] * 3], ""),
        ([FixedPlane(0, (0, 1, 1))], [[False] * 3] * 2, "FixedPlane"),
        ([FixBondLength(0, 1)], [[False] * 3] * 2, "FixBondLengths"),
        ([Hookean(0, 1, 5.0, 2.0), FixCom()], [[False] * 3] * 2, "Hookean, FixCom"),
        ([FixScaled(0, X), FixCartesian(1, X)], [[False] * 3, [True, False, False]], "FixScaled beside FixCartesian"),
        ([FixScaled(0, [1, 1, 1]), FixCartesian(1, X)], [[True] * 3, [True, False, False]], ""),
        ([FixAtoms([0]), FixAtoms([7])], [[True] * 3, [False] * 3], "FixAtoms"),
        ([FixAtoms([-1])], [[False] * 3, [True] * 3], ""),
    ],
)
def test_what_is_held_and_what_is_not(constraints, fixed, unknown) -> None:
    atoms = bulk("Cu") * (2, 1, 1)
    atoms._constraints = constraints
    held = held_constraints([atoms])
    assert (held.fixed.tolist(), held.along_cell.tolist(), held.unknown.tolist()) == (fixed, [False], [unknown])


def test_components_along_a_cell_that_is_not_there_are_not_held() -> None:
    held = held_constraints([constrained(molecule("H2O"), FixScaled(0, X)), molecule("H2O")])
    assert held.unknown.tolist() == ["FixScaled without a cell", ""]
    assert not held.fixed.any()


@pytest.fixture
def inputs(tmp_path):
    """A slab as it is, with atoms fixed in three ways, and with a spring; and a crystal."""
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.traj", slab())
    write(folder / "b.traj", constrained(slab(), FixAtoms([0, 1])))
    write(folder / "c.traj", constrained(slab(), FixAtoms([0])))
    write(folder / "d.traj", constrained(slab(), FixCartesian([0], XY)))
    write(folder / "e.traj", constrained(slab(), Hookean(0, 1, 5.0, 2.0)))
    write(folder / "f.traj", constrained(skewed(), FixScaled([1], X)))
    write(folder / "g.traj", bulk("Cu", cubic=True))
    return folder


def test_constraints_are_part_of_a_structure_only_where_atoms_move(tmp_path, inputs) -> None:
    """Single points of structures that differ in constraints are computed once, as before; relaxations are not."""
    still, _ = loaded(tmp_path, inputs)
    sources_of_still = still.sources
    assert len(still.distinct) == 3
    assert still.notes() == []
    moving, found = loaded(tmp_path, inputs, moves_atoms=True)  # the same folder: it is read again
    assert len(moving.distinct) == 6
    assert moving.invalid() == [("e.traj#0", "its constraint Hookean cannot be held")]
    assert found.keys() == {f"{name}.traj#0" for name in "abcdfg"}
    assert mask_of(found["f.traj#0"].atoms()) == mask_of(constrained(skewed(), FixScaled([1], X)))
    assert (moving.n_atoms[4], moving.column("formula")[4]) == (0, None)
    assert found["a.traj#0"].atoms().info == {}
    unconstrained = [0, 6]
    assert still.hashes[unconstrained].tolist() == moving.hashes[unconstrained].tolist()
    assert set(still.hashes.tolist()) & set(moving.hashes.tolist()) == set(still.hashes[unconstrained].tolist())
    assert sources_of_still != moving.sources
    again, _ = loaded(tmp_path, inputs)
    assert again.hashes.tolist() == still.hashes.tolist()
    assert not TASK.moves_atoms
    assert replace(TASK, arrays={"positions": Layout()}).moves_atoms


def test_packs_without_constraints_have_none(tmp_path, inputs) -> None:
    for name in "bcdef":
        (inputs / f"{name}.traj").unlink()
    index, found = loaded(tmp_path, inputs)
    with np.load(index.pack_path(0)) as arrays:
        assert not [name for name in arrays if "fixed" in name or "constraint" in name]
    assert [structure.atoms().constraints for structure in found.values()] == [[], []]


def test_inspect_says_how_many_atoms_are_fixed(inputs, mira) -> None:
    said = " ".join(mira("inspect", inputs).stdout.split())
    assert "5 atoms of 4 structures fixed, whole or in some directions, for tasks that move atoms" in said
    assert "constraints that tasks cannot hold, of 1 structure: Hookean" in said
    told = json.loads(mira("inspect", inputs, "--json").stdout)
    assert told["summary"]["constraints"] == {"structures": 4, "atoms": 5, "cannot_be_held": {"Hookean": 1}}
    assert [one["n_fixed"] for one in told["structures"]] == [0, 2, 1, 1, 0, 1, 0]
