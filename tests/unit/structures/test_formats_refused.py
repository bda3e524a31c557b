"""Files that hold more, or less, than a reader makes of them: refused, or told."""

import gzip

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from tests.unit.structures.test_formats import pdb, pdb_line, rows_of, told, xyz


@pytest.mark.parametrize("packed", [False, True])
def test_configurations_of_mlip_are_refused_with_how_to_write_them(tmp_path, packed) -> None:
    text = b"BEGIN_CFG\n Size\n    1\n AtomData:  id type cartes_x cartes_y cartes_z\n 1 0 0 0 0\nEND_CFG\n"
    name = "x.cfg.gz" if packed else "x.cfg"
    (row,) = told(rows_of(tmp_path, name, gzip.compress(text) if packed else text))
    assert row.startswith("cannot be read: configurations of MLIP are not read")
    assert f"`mlp convert-cfg {name} POSCAR --output-format=vasp-poscar`" in row


@pytest.mark.parametrize(
    ("head", "occupancies", "said"),
    [
        ("LATT -1", ("1.0", "1.0 0.25"), "ClNa"),  # AIRSS may write a spin behind
        ("LATT -1", ("11.00000", "11.0 0.05"), "ClNa"),
        ("LATT 4", ("10.02", "10.02"), "cannot be read: its lattice (`LATT 4`) adds atoms"),
        ("ZERR 4 0 0 0 0 0 0", ("1.0", "1.0"), "cannot be read: its lattice (`LATT 1`) adds atoms"),
        ("latt 1\nsymm -x,-y,z", ("11.0", "11.0"), "cannot be read: it has operations of symmetry (`SYMM`)"),
        ("LATT -1", ("1.0", "0.5"), "cannot be read: atom `Cl 2 0.5 0.5 0.5` has the occupancy 0.5, not 1"),
        ("LATT -1", ("11.0", "10.25 0.01"), "cannot be read: atom `Cl 2 0.5 0.5 0.5` has the occupancy 10.25, not 1"),
        ("LATT -1", ("1.0", ""), "cannot be read: a line of an atom is not made of"),
    ],
)
def test_a_res_file_of_part_of_the_cell_is_refused(tmp_path, head, occupancies, said) -> None:
    first, second = occupancies
    atoms = f"SFAC Na Cl\nUNIT 4 4\nNa 1 0 0 0 {first}\nCl 2 0.5 0.5 0.5 {second}\nHKLF 4\nEND\n"
    (row,) = told(rows_of(tmp_path, "x.res", f"TITL x\nCELL 0.71 5.64 5.64 5.64 90 90 90\n{head}\n{atoms}"))
    assert row.startswith(said)


SALT = "salt\n5.64\n1 0 0\n0 1 0\n0 0 1\nNa Cl\n1 1\nSelective dynamics\nDirect\n0 0 0 T T F\n.5 .5 .5 F F F\n"
OF_MD = " 0.1E-02 -0.2E-02 0.0E+00\n" * 2
PREDICTOR = "\n 1\n 0.1E+01\n 0.0 0.0 0.0 0.0\n" + OF_MD * 3
LATTICE = "Lattice velocities and vectors\n 1\n" + " 0.0E+00 0.0E+00 0.0E+00\n" * 6


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("", ["ClNa"]),
        ("\n\n", ["ClNa"]),
        (f"\n{OF_MD}", ["ClNa"]),
        (f"Cartesian\n{OF_MD}", ["ClNa"]),
        (f"\n{OF_MD}{PREDICTOR}", ["ClNa"]),
        (f"{LATTICE}\n{OF_MD}{PREDICTOR}", ["ClNa"]),
        ("by hand\n", ["ClNa | what follows the atoms was not read (line 12: `by hand`)"]),
        (
            ".2 .2 .2 T T T\n",
            ["cannot be read: its counts say 2 atoms, and line 12 lists one more: `.2 .2 .2 T T T`"],
        ),
        (
            SALT,
            ["ClNa", "cannot be read: a second structure begins in line 12; give each POSCAR its own file"],
        ),
        (
            f"\n{SALT}",
            ["ClNa", "cannot be read: a second structure begins in line 13; give each POSCAR its own file"],
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_follows_the_atoms_of_a_poscar(tmp_path, rest, said, packed) -> None:
    content = (SALT + rest).encode()
    name, content = ("POSCAR.gz", gzip.compress(content)) if packed else ("POSCAR", content)
    assert told(rows_of(tmp_path, name, content)) == said


def test_velocities_that_ase_writes_are_no_atoms(tmp_path) -> None:
    moving = bulk("NaCl", "rocksalt", a=5.64)
    moving.set_momenta(np.ones((2, 3)))
    write(tmp_path / "made", moving, format="vasp")
    assert told(rows_of(tmp_path, "CONTCAR", (tmp_path / "made").read_text())) == ["ClNa"]


@pytest.mark.parametrize("header", ["species:S:1:pos:R:3:Z:I:1", "Z:I:1:pos:R:3:symbols:S:1"])
@pytest.mark.parametrize(
    ("symbol", "number", "words"),
    [
        ("Cu", 29, "Cu2"),
        ("Cu1", 29, "Cu2"),
        ("CA2", 20, "CaCu"),  # C or Ca: the number says which
        ("Cu", 47, "line 4 of the frame contradicts itself: `Cu` and the atomic number 47, which is Ag"),
    ],
)
def test_symbols_and_atomic_numbers_that_contradict_each_other_are_refused(
    tmp_path, header, symbol, number, words
) -> None:
    lines = [("Cu", "0 0 0", 29), (symbol, "2 2 2", number)]
    atoms = [f"{s} {at} {z}" if header.startswith("species") else f"{z} {at} {s}" for s, at, z in lines]
    (row, after) = rows_of(tmp_path, "x.xyz", xyz(*atoms, comment=f"Properties={header}") + xyz("H 0 0 0"))
    assert told([row])[0].removeprefix("cannot be read: ").startswith(words)
    assert after["formula"] == "H"


def mtrix(number: int, turned: bool, given: str) -> str:
    rows = np.diag([-1.0, -1.0, 1.0] if turned else [1.0] * 3)
    return "\n".join(
        f"MTRIX{i + 1} {number:>3}{a:10.6f}{b:10.6f}{c:10.6f}     {9.0 * turned:10.5f}    {given}"
        for i, (a, b, c) in enumerate(rows)
    )


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ([mtrix(1, False, "1"), mtrix(2, True, "1")], "C"),
        ([mtrix(1, False, " ")], "C"),
        ([mtrix(1, False, "1"), mtrix(2, True, " ")], "cannot be read: MTRIX records say that the asymmetric"),
    ],
)
def test_copies_that_a_pdb_does_not_list_are_missed(tmp_path, head, said) -> None:
    (row,) = told(rows_of(tmp_path, "x.pdb", pdb(*head, pdb_line(1, " C  ", element="C"))))
    assert row.startswith(said)
