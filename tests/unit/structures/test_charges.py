"""Charges and multiplicities of the input: one rule for all formats, and what it says."""

import gzip

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.db import connect
from ase.io import write

from mira_cli.errors import InputError
from mira_cli.structures.charges import ODD_ELECTRONS, ContradictionError, settle_charges
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures

ASSUMED = ODD_ELECTRONS

GEOMETRY = "O 5.0 5.0 5.12\nH 5.0 5.76 4.53\nH 5.0 4.24 4.53\n"
ESPRESSO = """&control
/
&system
 ! tot_charge = 3
 ibrav = 0, nat = 3, ntyp = 2, tot_charge = 1.0d0, ecutwfc = 30
/
ATOMIC_SPECIES
O 16.0 O.upf
H 1.0 H.upf
CELL_PARAMETERS angstrom
10.0 0.0 0.0
0.0 10.0 0.0
0.0 0.0 10.0
ATOMIC_POSITIONS angstrom
"""
GAUSSIAN = """ Entering Gaussian System, Link 0=g16
 Charge =  1 Multiplicity = 2
                         Standard orientation:
 ---------------------------------------------------------------------
 Center     Atomic      Atomic             Coordinates (Angstroms)
 Number     Number       Type             X           Y           Z
 ---------------------------------------------------------------------
      1          8           0        0.000000    0.000000    0.119262
      2          1           0        0.000000    0.763239   -0.477047
      3          1           0        0.000000   -0.763239   -0.477047
 ---------------------------------------------------------------------
 SCF Done:  E(UB3LYP) =  -75.9000000000     A.U. after    9 cycles
"""
ORCA = """                                 * O   R   C   A *
---------------------------------
CARTESIAN COORDINATES (ANGSTROEM)
---------------------------------
  O      0.000000    0.000000    0.119262
  H      0.000000    0.763239   -0.477047
  H      0.000000   -0.763239   -0.477047

 Total Charge           Charge          ....    1
 Multiplicity           Mult            ....    2
Number of atoms                             ...      3
FINAL SINGLE POINT ENERGY       -75.900000000000
                             ****ORCA TERMINATED NORMALLY****
"""


def water(**info) -> Atoms:
    atoms = molecule("H2O")
    atoms.info |= info
    return atoms


def loaded(tmp_path, *paths, pack: str = "packs"):
    return load_structures(tmp_path / pack, find_sources(map(str, paths)).sources)


def state(index, row: int = 0) -> tuple[float, float]:
    with np.load(index.pack_path(int(index.places[row, 0]))) as arrays:
        return tuple(float(arrays[name][index.places[row, 1]]) for name in ("charge", "spin"))


@pytest.mark.parametrize(
    ("info", "found"),
    [
        ({"charge": 1, "spin": 2}, {"charge": 1.0, "spin": 2.0}),
        ({"total_charge": 1, "total_spin": 2}, {"charge": 1.0, "spin": 2.0}),
        ({"Charge": "1+", "multiplicity": "2"}, {"charge": 1.0, "spin": 2.0}),
        ({"net_charge": "2-"}, {"charge": -2.0}),
        ({"charge": "+1", "total_charge": 1.0, "spin_multiplicity": 2}, {"charge": 1.0, "spin": 2.0}),
        ({"charge": "\N{MINUS SIGN}1", "mult": 2}, {"charge": -1.0, "spin": 2.0}),
        ({"charge": np.array([1]), "spin": np.float32(2)}, {"charge": 1.0, "spin": 2.0}),
        ({"tot_charge": -1.0, "spin": 0}, {"charge": -1.0}),  # a spin of 0 is fairchem's word for unknown
        ({"spin": 0, "multiplicity": 3}, {"spin": 3.0}),
        ({"uhf": 0}, {"spin": 1.0}),
        ({"unpaired_electrons": 2, "spin": 3}, {"spin": 3.0}),
        ({"charge": None}, {}),
        ({}, {}),
    ],
)
def test_every_key_that_is_in_use_is_read(info, found) -> None:
    atoms = water(**info)
    settle_charges(atoms)
    assert atoms.info == found


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"charge": 0, "total_charge": 1}, "`charge` is 0 and `total_charge` is 1"),
        ({"spin": 1, "multiplicity": 3}, "`spin` is 1 and `multiplicity` is 3"),
        ({"charge": "high"}, "`charge` is 'high', which is no number"),
        ({"charge": "+1-"}, "no number"),
        ({"charge": float("nan")}, "`charge` is nan, which is no number"),
        ({"charge": [0.1, 0.2, 0.3]}, "no number"),
        ({"spin": -1}, "`spin` is -1, which is no multiplicity"),
        ({"nunpaired": -1}, "`nunpaired` is -1, which is no number of unpaired electrons"),
        ({"uhf": 1, "spin": 1}, "`uhf` + 1 is 2 and `spin` is 1"),
        ({"spin": 0.5}, "`spin` is 0.5, which is no multiplicity"),
    ],
)
def test_what_contradicts_or_is_no_number_is_no_neutral_structure(info, words) -> None:
    with pytest.raises(ContradictionError, match=words.replace("+", "\\+")):
        settle_charges(water(**info))


@pytest.mark.parametrize(
    ("comment", "charge", "notes"),
    [
        ("charge -1", 0, ["`charge` stands there without a number, and nothing was taken from it"]),
        ("charge: -1", 0, ["`charge` stands there without a number, and nothing was taken from it"]),
        ("Charge:-1", 0, ["`Charge` stands there without a number, and nothing was taken from it"]),
        (
            "charge: -1 mult: 2",
            0,
            [f"`{key}` stands there without a number, and nothing was taken from it" for key in ("charge", "mult")],
        ),
        ("q=-1", 0, ["`q` may be a charge, and nothing was taken from it: `charge=-1`"]),
        ("q=0", 0, []),
        ("chrg=-1 mult=2", -1, ["charge -1 is from `chrg`", "spin 2 is from `mult`"]),
    ],
)
def test_no_charge_in_a_comment_is_passed_over_in_silence(tmp_path, comment, charge, notes) -> None:
    (tmp_path / "x.xyz").write_text(f"2\n{comment}\nO 0 0 0\nH 0 0 0.97\n")
    index = loaded(tmp_path, tmp_path / "x.xyz")
    assert np.nan_to_num(state(index)[0]) == charge
    (note,) = index.column("note")
    assert all(one in (note or "") for one in notes)
    assert bool(note) == bool(notes)


def test_other_keys_and_assumptions_are_told() -> None:
    assert settle_charges(water(charge=1, spin=2)) == []
    text = water(charge=True)  # as ASE reads `zero net charge`
    assert settle_charges(text) == ["`charge` stands there without a number, and nothing was taken from it"]
    assert text.info == {}
    assert settle_charges(water(total_charge=2)) == ["charge +2 is from `total_charge`"]
    ion = water()
    ion.set_initial_charges([-0.6, 0.8, 0.8])
    assert settle_charges(ion) == ["charge +1 is the sum of the initial charges", ASSUMED]
    assert ion.info == {"charge": 1.0}
    polar, partial, stated = water(), water(), water(charge=0)
    for atoms, first in ((polar, -0.8), (partial, -0.4), (stated, 0.2)):
        atoms.set_initial_charges([first, 0.4, 0.4])
    assert (settle_charges(polar), polar.info) == ([], {})
    assert settle_charges(partial) == ["initial charges sum to +0.4 e, which is no total charge: computed as neutral"]
    assert settle_charges(stated) == ["initial charges sum to +1, and the stated charge was taken"]
    assert stated.info == {"charge": 0.0}
    stated.info["charge"] = 1
    assert settle_charges(stated) == [ASSUMED]


def test_a_multiplicity_that_so_many_electrons_cannot_have_is_told() -> None:
    assert settle_charges(water(charge=1, spin=1)) == ["a multiplicity of 1 does not fit 9 electrons; `spin` is 2S + 1"]
    assert settle_charges(water(spin=3)) == []
    assert settle_charges(water(spin=0)) == []  # fairchem's word for unknown
    assert settle_charges(water(charge=1)) == [ASSUMED]
    assert settle_charges(water(charge=2)) == settle_charges(water(charge=1, spin=2)) == []


def test_magnetic_moments_are_told_unless_they_are_zero(tmp_path, mira) -> None:
    iron, copper = bulk("Fe"), bulk("Cu")
    copper.set_initial_magnetic_moments([0.0])
    write(tmp_path / "a.extxyz", [iron, copper])
    done = mira("run", tmp_path / "a.extxyz", "-m", "lj", "-n", cwd=tmp_path)
    assert "magnetic moments of 1 structure are not used by the models" in done.stderr
    assert "magnetic moments of 1 structure" in mira("inspect", tmp_path / "a.extxyz").stdout


def test_an_ion_is_no_duplicate_of_the_neutral_molecule(tmp_path) -> None:
    write(tmp_path / "a.extxyz", [water(), water(total_charge=1, total_spin=2), water(charge=1, spin=2)])
    index = loaded(tmp_path, tmp_path / "a.extxyz")
    neutral, ion, same = index.column("hash")
    assert neutral != ion == same
    assert state(index, 1) == (1.0, 2.0)


def test_a_contradiction_is_a_row_with_a_reason(tmp_path) -> None:
    write(tmp_path / "a.extxyz", [water(charge=0, total_charge=1), water()])
    index = loaded(tmp_path, tmp_path / "a.extxyz")
    assert index.column("invalid") == ["the input contradicts itself: `charge` is 0 and `total_charge` is 1", None]


def test_charges_of_a_database_are_read_from_pairs_and_data(tmp_path) -> None:
    with connect(tmp_path / "ions.db") as database:
        database.write(water(), charge=1, spin=2)
        database.write(water(), data={"charge": 1, "spin": 2})
        database.write(water(), REF_energy=-14.0)
        database.write(water())
    index = loaded(tmp_path, tmp_path / "ions.db")
    pair, data, reference, neutral = index.column("hash")
    assert pair == data != neutral == reference
    assert state(index) == (1.0, 2.0)
    assert index.column("reference_energy_ev") == [None, None, -14.0, None]


def test_gaussian_input_has_charge_and_multiplicity(tmp_path) -> None:
    route = "%mem=1GB\n#p wb97xd/def2tzvp sp\n\nwater\n\n"
    (tmp_path / "ion.gjf").write_text(route + "1 2\nO 0.0 0.0 0.12\nH 0.0 0.76 -0.48\nH 0.0 -0.76 -0.48\n\n")
    (tmp_path / "no.gjf").write_text(route + "O 0.0 0.0 0.12\nH 0.0 0.76 -0.48\nH 0.0 -0.76 -0.48\n\n")
    index = loaded(tmp_path, tmp_path)
    assert state(index) == (1.0, 2.0)
    assert index.column("invalid")[0] is None
    assert index.column("invalid")[1]


def test_gaussian_input_may_be_packed_and_made_of_fragments(tmp_path) -> None:
    text = "\n#p hf sp\n\n\nion\n\n1 2 0 1 1 2\nO 0.0 0.0 0.12\nH 0.0 0.76 -0.48\nH 0.0 -0.76 -0.48\n\n"
    with gzip.open(tmp_path / "ion.com.gz", "wt") as stream:
        stream.write(text)
    assert state(loaded(tmp_path, tmp_path / "ion.com.gz")) == (1.0, 2.0)


def test_a_radical_of_a_mol_says_its_multiplicity(tmp_path) -> None:
    atoms = [
        f"{x:10.4f}{y:10.4f}{z:10.4f} {s:<3} 0{{:3}}\n" for s, (x, y, z) in zip("OHH", water().positions, strict=True)
    ]
    body = "name\n\n\n  3  0  0  0  0            999 V2000\n" + "".join(atoms)
    plain = body.format(0, 0, 0)
    for name, text in {
        "a.mol": f"{plain}M  CHG  1   1   1\nM  RAD  1   1   2\n",
        "b.mol": f"{plain}M  RAD  1   1   3\n",
        "c.mol": body.format(4, 0, 0),  # in the column of charges: a doublet
        "d.mol": f"{body.format(3, 0, 0)}M  RAD  1   1   2\n",  # the lines replace the column
        "e.mol": f"{plain}M  RAD  2   1   2   2   2\n",
    }.items():
        (tmp_path / name).write_text(f"{text}M  END\n")
    index = loaded(tmp_path, tmp_path)
    found = [state(index, row) for row in range(5)]
    nan = pytest.approx(float("nan"), nan_ok=True)
    assert found == [(1.0, 2.0), (nan, 3.0), (nan, 2.0), (nan, 2.0), (nan, nan)]
    assert index.column("note")[4] == "several atoms of the molecule are radicals: no multiplicity was taken"


def sheet(tmp_path, text: str):
    write(tmp_path / "water.xyz", molecule("H2O"))
    (tmp_path / "sheet.csv").write_text(text)
    return tmp_path / "sheet.csv"


def test_columns_of_a_sheet_are_charge_and_spin(tmp_path) -> None:
    file = sheet(tmp_path, "structure_path,charge,spin,comment\nwater.xyz,1,2,x\nwater.xyz,,,\nwater.xyz,0,1,\n")
    index = loaded(tmp_path, file)
    assert index.column("id") == ["water.xyz?charge=1&spin=2#0", "water.xyz#0", "water.xyz?charge=0&spin=1#0"]
    assert len(set(index.column("hash"))) == 3
    assert state(index) == (1.0, 2.0)
    assert find_sources([str(file)]).unused_columns == {file: ["comment"]}


def test_a_changed_charge_in_a_sheet_is_seen(tmp_path) -> None:
    before = state(loaded(tmp_path, sheet(tmp_path, "structure_path,charge\nwater.xyz,1\n")))
    after = loaded(tmp_path, sheet(tmp_path, "structure_path,charge\nwater.xyz,-1\n"))
    assert (before[0], state(after)[0]) == (1.0, -1.0)
    assert after.column("id") == ["water.xyz#0"]


def test_a_sheet_that_contradicts_the_file_is_told(tmp_path) -> None:
    write(tmp_path / "ion.extxyz", water(charge=1))
    file = sheet(tmp_path, "structure_path,charge\nion.extxyz,0\nwater.xyz,one\n")
    first, second = loaded(tmp_path, file).column("invalid")
    assert first == "the input contradicts itself: `charge` is 1 and `charge of the sheet` is 0"
    assert second == "`charge of the sheet` is 'one', which is no number"


def test_a_sheet_with_a_column_twice_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="two `charge` columns"):
        find_sources([str(sheet(tmp_path, "structure_path,charge,charge\nwater.xyz,1,0\n"))])


@pytest.mark.parametrize("titles", ["Structure_Path, Charge ", "structure path,CHARGE", "STRUCTURE-PATH , charge"])
def test_titles_of_columns_may_have_capitals_and_blanks(tmp_path, titles) -> None:
    index = loaded(tmp_path, sheet(tmp_path, f"{titles}\nwater.xyz,1\n"))
    assert state(index)[0] == 1.0


@pytest.mark.parametrize(
    "titles", ["total_charge,mult", "Net charge,multiplicity", "chrg,Spin_Multiplicity", "tot_charge,spin"]
)
def test_titles_may_be_any_key_of_charge_and_multiplicity(tmp_path, titles) -> None:
    file = sheet(tmp_path, f"structure_path,{titles},uhf\nwater.xyz,1,2,1\n")
    assert state(loaded(tmp_path, file)) == (1.0, 2.0)
    assert list(find_sources([str(file)]).unused_columns.values()) == [["uhf (`spin` is a column: 2S + 1)"]]
    with pytest.raises(InputError, match="two `charge` columns"):
        find_sources([str(sheet(tmp_path, "structure_path,charge,total_charge\nwater.xyz,1,0\n"))])


def test_a_column_that_is_nearly_one_is_told(tmp_path) -> None:
    file = sheet(tmp_path, "structure_path,charges,Elements_,comment\nwater.xyz,1,O H,x\n")
    (unused,) = find_sources([str(file)]).unused_columns.values()
    assert unused == ["charges (did you mean `charge`?)", "Elements_ (did you mean `elements`?)", "comment"]
    with pytest.raises(InputError) as caught:
        find_sources([str(sheet(tmp_path, "structures_paths,charge\nwater.xyz,1\n"))])
    assert caught.value.hint.startswith("did you mean `structure_path`? ")


def test_two_titles_of_one_column_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="two `charge` columns"):
        find_sources([str(sheet(tmp_path, "structure_path,charge,Charge\nwater.xyz,1,0\n"))])


def test_more_cells_than_columns_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"row 2 of the sheet .* has more cells than there are columns"):
        find_sources([str(sheet(tmp_path, "structure_path,charge\nwater.xyz,1\nwater.xyz,1,2\n"))])


def test_a_charge_of_a_sheet_is_nothing_to_look_at(tmp_path) -> None:
    assert loaded(tmp_path, sheet(tmp_path, "structure_path,charge,spin\nwater.xyz,1,2\n")).column("note") == [None]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("x.pwi", ESPRESSO + GEOMETRY, (1.0, None)),
        ("x.pwi", ESPRESSO.replace("tot_charge = 1.0d0, ", "") + GEOMETRY, (None, None)),
        ("x.log", GAUSSIAN, (1.0, 2.0)),
        ("x.out", ORCA, (1.0, 2.0)),
        ("x.nwi", f"charge -1\ngeometry units angstrom\n{GEOMETRY}end\n\ndft\n mult 2\nend\n", (-1.0, 2.0)),
    ],
)
def test_files_of_codes_that_state_a_charge_are_no_neutral_structures(tmp_path, name, content, found) -> None:
    (tmp_path / name).write_text(content)
    index = loaded(tmp_path, tmp_path / name)
    assert index.column("formula") == ["H2O"]
    assert state(index) == tuple(pytest.approx(float("nan"), nan_ok=True) if n is None else n for n in found)


@pytest.mark.parametrize(
    ("comment", "told"), [("1 2", "`charge=1 spin=2`"), ("-1 1 ", "`charge=-1 spin=1`"), ("0 1", None), ("12 3", None)]
)
def test_a_comment_that_may_be_charge_and_multiplicity_is_told(tmp_path, comment, told) -> None:
    write(tmp_path / "a.xyz", water())
    lines = (tmp_path / "a.xyz").read_text().splitlines()
    (tmp_path / "a.xyz").write_text("\n".join(["3", comment, *lines[2:], ""]))
    (note,) = loaded(tmp_path, tmp_path / "a.xyz").column("note")
    assert (note or "").endswith(told or "")
    assert (note is None) == (told is None)
