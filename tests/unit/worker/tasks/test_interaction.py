"""Interaction energies: fragments that the input names or that bonds make, and what is not taken for one."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111, molecule
from ase.calculators.lj import LennardJones
from ase.collections import s22
from ase.data.s22 import get_number_of_dimer_atoms
from ase.io import write

from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from tests.unit.worker.tasks.stories_by_ase import end_of
from worker.fragments import SplitError, split
from worker.job import PackRows
from worker.structures import read_structures
from worker.tasks import interaction

EPSILON, SIGMA = 0.01, 3.4
BY_BONDS = (2, 1.3)


def argon(*x: float, **info) -> Atoms:
    """Argon atoms on a line."""
    return Atoms(f"Ar{len(x)}", [(one, 0, 0) for one in x], info=info)


def pair_energy(r: float) -> float:
    return 4 * EPSILON * ((SIGMA / r) ** 12 - (SIGMA / r) ** 6)


def lj() -> LennardJones:
    return LennardJones(epsilon=EPSILON, sigma=SIGMA, rc=50.0)


def with_fragments(atoms: Atoms, of_atom, **info) -> Atoms:
    atoms = atoms.copy()
    atoms.set_array("fragment", np.array(of_atom))
    atoms.info |= info
    return atoms


def test_a_pair_of_atoms_has_the_energy_of_its_pair() -> None:
    end = end_of(interaction, argon(0, 3.9), lj())
    shift = 4 * EPSILON * ((SIGMA / 50) ** 12 - (SIGMA / 50) ** 6)  # the calculator's, at its cutoff
    assert end.status == "ok"
    assert end.values["interaction_energy_ev"] == pytest.approx(pair_energy(3.9) - shift, abs=1e-12)
    assert end.values["fragment_energies_ev"] == [0.0, 0.0]
    assert end.values["fragment_source"] == "connectivity"


def test_pairs_within_a_fragment_do_not_count() -> None:
    three = with_fragments(argon(0, 3.8, 9.0), [0, 0, 1])
    shift = pair_energy(50.0)
    end = end_of(interaction, three, lj())
    assert end.values["interaction_energy_ev"] == pytest.approx(pair_energy(9.0) + pair_energy(5.2) - 2 * shift)
    assert end.values["n_fragments"] == 2
    assert end.values["fragment_formulas"] == "Ar2 + Ar"
    by_count = end_of(interaction, argon(0, 3.8, 9.0, fragment_atoms="2"), lj())
    assert by_count.values["interaction_energy_ev"] == end.values["interaction_energy_ev"]
    assert by_count.values["fragment_source"] == "given"
    each = end_of(interaction, argon(0, 3.8, 9.0, fragment_atoms="1, 1, 1"), lj())
    assert each.values["interaction_energy_ev"] == pytest.approx(each.values["complex_energy_ev"])
    assert each.values["n_fragments"] == 3


def test_fragments_of_s22_are_those_of_the_article() -> None:
    for name in s22.names:
        n = get_number_of_dimer_atoms(name)
        found = split(s22[name], *BY_BONDS)
        assert [len(one) for one in found.fragments] == n, name
        assert [one.positions.tolist() for one in found.fragments] == [
            s22[name].positions[: n[0]].tolist(),
            s22[name].positions[n[0] :].tolist(),
        ]


@pytest.mark.parametrize("name", ["H2", "F2", "Cl2", "H2O2", "N2H4", "CH3SH", "SiH4", "LiH", "P2", "C2Cl4"])
def test_long_bonds_are_bonds(name) -> None:
    two = molecule(name)
    two += Atoms(two.symbols, two.positions + np.array([0, 0, 7.0]))
    assert [len(one) for one in split(two, *BY_BONDS).fragments] == [len(two) // 2] * 2


def test_bonds_go_through_the_sides_of_a_cell() -> None:
    """Where each fragment is cut by a side, and the energy is that of the pair in the same cell."""
    water = s22["Water_dimer"]
    water.set_cell([12.0] * 3)
    water.pbc = True
    moved = water.copy()
    moved.positions += 5.7
    moved.wrap()
    assert sorted(len(one) for one in split(moved, *BY_BONDS).fragments) == [3, 3]
    for one in split(moved, *BY_BONDS).fragments:
        assert one.cell.array.tolist() == moved.cell.array.tolist()
        assert one.pbc.all()
    energies = [end_of(interaction, atoms, lj()).values["interaction_energy_ev"] for atoms in (water, moved)]
    assert energies[0] == pytest.approx(energies[1], rel=1e-9)


def hydrogen_peroxide_cut() -> Atoms:
    return with_fragments(molecule("H2O2"), [0, 1, 0, 1])


def ions(**info) -> Atoms:
    return Atoms("NaCl", [(0, 0, 0), (0, 0, 4.0)], info=info)


@pytest.mark.parametrize(
    ("atoms", "why"),
    [
        (molecule("C6H6"), "bonds join its atoms to 1 fragment, not to 2"),
        (argon(0, 4, 8), "bonds join its atoms to 3 fragments, not to 2"),
        (hydrogen_peroxide_cut(), r"not separable: O \(0\) and O \(1\), 1.4\d Å apart, are bonded"),
        (with_fragments(argon(0, 4), [0, 0]), "it is one fragment"),
        (argon(0, 4, fragment_atoms="3"), "`fragment_atoms` is 3, and it has 2 atoms"),
        (argon(0, 4, fragment_atoms="1.5"), "`fragment_atoms` is 1.5"),
        (argon(0, 4, fragment_atoms="one"), "which are no numbers"),
        (argon(0, 4, fragment_charges="1"), "`fragment_charges` has 1 number, and it has 2 fragments"),
        (argon(0, 4, charge=1.0), "nothing says which fragment does: name `fragment_charges`"),
        (argon(0, 4, fragment_charges="1 1", charge=1.0), r"sum to \+2 e, and it carries \+1 e"),
        (argon(0, 4, fragment_charges="1 1"), r"sum to \+2 e, and it carries \+0 e"),
        (argon(0, 4, spin=3.0), "its multiplicity is 3, and its fragments' are not named"),
        (argon(0, 4, spin=3.0, fragment_spins="1 1"), "multiplicities 1 and 1 do not make one of 3"),
        (argon(0, 4, fragment_spins="2 1"), "multiplicities 2 and 1 do not make one of 1"),
        (ions(), "its fragment Na has an odd number of electrons: name `fragment_spins`"),
    ],
)
def test_what_is_no_complex_of_fragments_has_a_reason_and_no_number(atoms, why) -> None:
    with pytest.raises(SplitError, match=why):
        split(atoms, *BY_BONDS)
    end = next_end(atoms)
    assert end.status == "invalid_result"
    assert end.values == {}


def next_end(atoms):
    """What a story ends with that asks the model nothing."""
    with pytest.raises(StopIteration) as end:
        next(interaction.steps(atoms, {"fragments": 2, "bond_factor": 1.3}))
    return end.value.value


@pytest.mark.parametrize(
    ("atoms", "charges", "spins"),
    [
        (argon(0, 4), [None, None], [None, None]),
        (argon(0, 4, charge=0.0, spin=1.0), [0.0, 0.0], [1.0, 1.0]),
        (ions(fragment_charges="1 -1"), [1.0, -1.0], [None, None]),
        (ions(fragment_spins="2 2"), [None, None], [2.0, 2.0]),
        (ions(fragment_spins="2 2", spin=3.0), [None, None], [2.0, 2.0]),
        (argon(0, 4, charge=1.0, spin=2.0, fragment_charges="0,1", fragment_spins="1 2"), [0.0, 1.0], [1.0, 2.0]),
    ],
)
def test_fragments_have_charges_and_multiplicities_of_their_own(atoms, charges, spins) -> None:
    found = split(atoms, *BY_BONDS).fragments
    assert [one.info.get("charge") for one in found] == charges
    assert [one.info.get("spin") for one in found] == spins


def test_a_slab_may_have_an_odd_number_of_electrons() -> None:
    slab = fcc111("Cu", (1, 1, 3), vacuum=9.0)
    slab += Atoms("Ar", [(0, 0, slab.positions[:, 2].max() + 4)])
    found = split(slab, *BY_BONDS)
    assert [len(one) for one in found.fragments] == [3, 1]


def loaded(folder, into, *, takes_fragments: bool):
    """The index of a file, and the worker's structures in order."""
    index = load_structures(into, find_sources([str(folder)]).sources, takes_fragments=takes_fragments)
    places = [PackRows(index.pack_path(row["pack"]), (row["row"],)) for row in index.table.to_pylist()]
    return index, [read_structures([place])[0].atoms() for place in places]


@pytest.fixture
def inputs(tmp_path):
    """One geometry as it is, and with fragments named in five ways; and others of which nothing is said."""
    same = [
        argon(0, 4, 8),
        with_fragments(argon(0, 4, 8), [7, 7, 3]),
        with_fragments(argon(0, 4, 8), ["b", "b", "a"]),
        argon(0, 4, 8, fragment_atoms=2),
        argon(0, 4, 8, fragment_atoms=[1, 1]),
        with_fragments(argon(0, 4, 8), [1, 1, 0], fragment_charges=[1, -1]),
    ]
    (tmp_path / "in").mkdir()
    for k, atoms in enumerate([*same, argon(0, 5, 9)]):
        write(tmp_path / "in" / f"{k}.extxyz", atoms)
    return tmp_path / "in"


def test_named_fragments_reach_the_story_and_are_part_of_what_is_asked(tmp_path, inputs) -> None:
    index, found = loaded(inputs, tmp_path / "packs", takes_fragments=True)
    given = [one.arrays.get("fragment") for one in found]
    assert [None if one is None else one.tolist() for one in given] == [
        *(None, [1, 1, 0], [1, 1, 0], None, None, [1, 1, 0], None)
    ]
    assert [one.info.get("fragment_atoms") for one in found] == [None, None, None, "2", "1 1", None, None]
    assert found[5].info["fragment_charges"] == "1 -1"
    assert len(index.distinct) == 6  # files 1 and 2 say the same
    assert index.hashes[1] == index.hashes[2]
    sources = index.sources
    plain, _ = loaded(inputs, tmp_path / "packs", takes_fragments=False)  # the same folder: it is read again
    assert len(plain.distinct) == 2
    assert plain.hashes[[0, 6]].tolist() == index.hashes[[0, 6]].tolist()
    assert plain.sources != sources


def test_a_sheet_names_fragments(tmp_path, inputs) -> None:
    (tmp_path / "sheet.csv").write_text(
        "structure_path,fragment_atoms,fragment_charges\nin/0.extxyz,1,1 -1\nin/6.extxyz,,\n"
    )
    _, found = loaded(tmp_path / "sheet.csv", tmp_path / "packs", takes_fragments=True)
    assert found[0].info == {"fragment_atoms": "1", "fragment_charges": "1 -1"}
    assert found[1].info == {}


def test_packs_of_structures_without_fragments_have_none(tmp_path, inputs) -> None:
    for k in range(1, 6):
        (inputs / f"{k}.extxyz").unlink()
    index, _ = loaded(inputs, tmp_path / "packs", takes_fragments=True)
    with np.load(index.pack_path(0)) as arrays:
        assert not [name for name in arrays if "fragment" in name]
