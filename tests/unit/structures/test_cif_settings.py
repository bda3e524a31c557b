"""All settings of the International Tables, in the notations in which files give them: never another crystal."""

from collections import Counter
from functools import cache

import gemmi
import numpy as np
import pytest
from ase import Atoms

from mira_cli.structures.formats.cif import read_cif

SITES = {"Zn": (0.0, 0.0, 0.0), "Mg": (0.125, 0.125, 0.125), "O": (0.1137, 0.2741, 0.4129)}
DECIDE = ("operations", "operations and names", "symbol with extension", "Hall symbol")
SETTINGS = list(gemmi.spacegroup_table_itb())


def cell_for(group: gemmi.SpaceGroup) -> tuple[float, ...]:
    a, b, c = 9.1, 10.3, 11.7
    match group.crystal_system():
        case gemmi.CrystalSystem.Triclinic:
            return a, b, c, 83.0, 97.0, 102.0
        case gemmi.CrystalSystem.Monoclinic:
            return a, b, c, *(98.0 if axis == group.monoclinic_unique_axis() else 90.0 for axis in "abc")
        case gemmi.CrystalSystem.Orthorhombic:
            return a, b, c, 90.0, 90.0, 90.0
        case gemmi.CrystalSystem.Cubic:
            return a, a, a, 90.0, 90.0, 90.0
        case gemmi.CrystalSystem.Tetragonal:
            return a, a, c, 90.0, 90.0, 90.0
    return (a, a, a, 67.0, 67.0, 67.0) if group.ext == "R" else (a, a, c, 90.0, 90.0, 120.0)


def names(group: gemmi.SpaceGroup, notation: str) -> str:
    operations = "\n".join(f"'{one.triplet()}'" for one in group.operations())
    extension = group.ext.strip("\0 ")
    number_and_symbol = f"_space_group_IT_number {group.number}\n_space_group_name_H-M_alt '{group.hm}'"
    listed = f"loop_\n_space_group_symop_operation_xyz\n{operations}"
    return {
        "operations": listed,
        "operations and names": f"{number_and_symbol}\n{listed}",
        "symbol with extension": f"_symmetry_space_group_name_H-M '{group.hm}{' :' * bool(extension)}{extension}'",
        "Hall symbol": f"_space_group_name_Hall '{group.hall}'",
        "number and symbol": number_and_symbol,
        "number": f"_symmetry_Int_Tables_number {group.number}",
    }[notation]


def cif(group: gemmi.SpaceGroup, notation: str, contents: str = "") -> bytes:
    tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    cell = "\n".join(f"_cell_{tag} {value}" for tag, value in zip(tags, cell_for(group), strict=True))
    sites = "\n".join(f"{element}1 {element} {x} {y} {z}" for element, (x, y, z) in SITES.items())
    loop = "loop_\n" + "\n".join(
        f"_atom_site_{tag}" for tag in ("label", "type_symbol", "fract_x", "fract_y", "fract_z")
    )
    return "\n".join([f"data_{group.number}", cell, names(group, notation), contents, loop, sites, ""]).encode()


@cache
def truth(group: gemmi.SpaceGroup) -> Atoms:
    """By gemmi's operations, one after the other."""
    symbols, places = [], []
    for element, site in SITES.items():
        images = {tuple(round(x % 1.0, 6) % 1.0 for x in one.apply_to_xyz(list(site))) for one in group.operations()}
        symbols += [element] * len(images)
        places += sorted(images)
    return Atoms(symbols, scaled_positions=places, cell=cell_for(group), pbc=True)


def contents_of(atoms: Atoms) -> str:
    formula = " ".join(f"{element}{count}" for element, count in Counter(atoms.symbols).items())
    return f"_chemical_formula_sum '{formula}'\n_cell_formula_units_Z 1"


def distances(atoms: Atoms) -> np.ndarray:
    """Distances (Å) of all pairs, as such to the nearest image by fractions, sorted per pair of elements."""
    scaled = atoms.get_scaled_positions()
    between = scaled[:, None] - scaled
    cartesian = (between - np.rint(np.round(between, 6))) @ atoms.cell.array
    lengths = np.linalg.norm(cartesian, axis=2)
    return np.concatenate(
        [
            np.sort(lengths[np.ix_(atoms.symbols == one, atoms.symbols == other)], axis=None)
            for one in SITES
            for other in SITES
        ]
    )


def is_same(one: Atoms, other: Atoms) -> bool:
    return (
        Counter(one.symbols) == Counter(other.symbols)
        and abs(one.cell.volume - other.cell.volume) < 1e-6
        and one.cell.cellpar() == pytest.approx(other.cell.cellpar())
        and np.allclose(distances(one), distances(other), atol=1e-3)
    )


def outcomes(notation: str, *, with_contents: bool) -> Counter:
    """How many of the 530 were right, refused, wrong."""
    found: Counter = Counter()
    for group in SETTINGS:
        right = truth(group)
        (read,) = read_cif(cif(group, notation, contents_of(right) if with_contents else ""))
        how = "refused" if read.atoms is None else "right" if is_same(read.atoms, right) else "wrong"
        found[how] += 1
        if how == "wrong" or (how == "refused" and notation in DECIDE):
            print(notation, group.xhm(), how, read.unreadable, read.notes)
        if notation == "operations and names":
            assert read.notes == ()
    contents = ", with formula and Z" * with_contents
    print(f"| {notation}{contents} | {found['right']} | {found['refused']} | {found['wrong']} |")
    return found


@pytest.mark.parametrize("notation", DECIDE)
def test_every_setting_is_read_where_the_file_decides(notation: str) -> None:
    assert outcomes(notation, with_contents=False) == {"right": len(SETTINGS)}


@pytest.mark.parametrize(
    ("notation", "with_contents", "right"),
    [
        ("number and symbol", False, 464),
        ("number and symbol", True, 530),
        ("number", False, 169),
        ("number", True, 211),
    ],
)  # fmt: skip
def test_no_setting_is_read_as_another_where_it_does_not(notation: str, with_contents: bool, right: int) -> None:
    assert outcomes(notation, with_contents=with_contents) == Counter(right=right, refused=len(SETTINGS) - right)
