"""What is read of plain frames many at once is bit by bit what ASE reads."""

from io import StringIO

import numpy as np
import pytest
from ase import Atoms
from ase.io import extxyz
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_cli.structures.formats import xyz, xyz_regular

PLAIN = 'Lattice="4 0 0 0 4 0 0 0 4.5" Properties=species:S:1:pos:R:3 pbc="T T F"'
ATOM = "Cu 0.1 -2.5e-3 1"

KEYS = st.sampled_from(
    [
        "energy",
        "stress",
        "virial",
        "Lattice",
        "pbc",
        "uid",
        "charge",
        "free_energy",
        "config_type",
        "a",
        "dipole",
        "_b-c",
    ]
)
PLAIN_NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.floats(-100, 100).map("{:.8f}".format)
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    PLAIN_NUMBERS,
    st.sampled_from(
        ["+5", "-0", "1.", ".5", "1e5", "1E+05", "1_0", "nan", "inf", "-Infinity", "0x1", "1d5", "1-2", "007"]
    ),
)
WORDS = st.sampled_from(
    ["T", "F", "true", "False", "bulk", "a-b", "_JSON", "x:y", "e5", "NaN", "Infinity", "#", "[1]", "None"]
)
LISTS = st.lists(NUMBERS, min_size=1, max_size=10) | st.lists(NUMBERS | WORDS, max_size=4)
VALUES = st.one_of(
    NUMBERS,
    WORDS,
    st.tuples(LISTS, st.sampled_from([" ", "  ", ",", ", "])).map(lambda one: f'"{one[1].join(one[0])}"'),
    st.lists(NUMBERS, min_size=9, max_size=9).map(lambda nine: f'"{" ".join(nine)}"'),
    st.sampled_from(
        ['"a=b"', "'a b'", "{1 2 3}", "[1, 2]", '"_JSON [1, 2]"', '""', '" "', 'a"b"', '"it\'s"', r'"a\"b"']
    ),
)
PLAIN_VALUES = PLAIN_NUMBERS | st.sampled_from(
    ["bulk", "T", "7", '"1 2 3"', '"T F T"', '"1 2 3 4 5 6 7 8 9."', '"a b"']
)
PAIRS = st.tuples(KEYS, st.just("="), PLAIN_VALUES | PLAIN_VALUES | VALUES) | st.tuples(KEYS, st.just(" = "), VALUES)
COLUMNS = st.sampled_from(
    "forces:R:3 force:R:3 tag:I:1 tags:I:2 name:S:1 fixed:L:1 initial_charges:R:1 charge:R:1 magmoms:R:1 masses:R:1 "
    "velo:R:3 move_mask:L:1 Z:I:1 numbers:I:1 pos:R:3 species:S:1 bad:X:1 forces:R:0".split()
)
MOSTLY_PLAIN = st.one_of(*[PLAIN_NUMBERS] * 20, NUMBERS)
OF_KIND = {
    "R": MOSTLY_PLAIN,
    "I": st.one_of(*[st.integers(-5, 200)] * 5, st.integers(0, 2**33)).map(str),
    "S": WORDS,
    "L": st.sampled_from(["T", "F", "True", "x"]),
}


@st.composite
def frames(draw):
    """A frame's count of atoms; comment and lines, most of them plain."""
    columns = draw(st.lists(COLUMNS, max_size=2))
    kinds = [kind for column in columns for _, kind, n in [column.split(":")] for _ in range(int(n))]
    properties = ":".join(["species:S:1:pos:R:3", *columns])
    natoms = draw(st.integers(1, 3))
    lines = []
    for _ in range(natoms):
        words = [
            draw(st.sampled_from(["Cu", "cu", "O", "H", "X", "Fe", "Uuo"])),
            *(draw(MOSTLY_PLAIN) for _ in range(3)),
        ]
        words += [draw(OF_KIND.get(kind, WORDS)) for kind in kinds]
        lines.append(
            draw(st.sampled_from([" ", "  ", "\t"])).join(words) + draw(st.sampled_from([*[""] * 9, " 1"])) + "\n"
        )
    pairs = [f"Properties={properties}", *map("".join, draw(st.lists(PAIRS, max_size=4)))]
    return natoms, [" ".join(draw(st.permutations(pairs))) + "\n", *lines]


def by_ase(batch):
    text = "".join(f"{natoms}\n{''.join(frame)}" for natoms, frame in batch)
    return list(extxyz.read_xyz(StringIO(text), index=slice(None)))


def said(value: object) -> object:
    """A value with its type, down to the bits."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, list | np.ndarray):
        return type(value), [said(one) for one in value]
    if isinstance(value, dict):
        return [(key, said(one)) for key, one in value.items()]
    return type(value), value.tobytes() if isinstance(value, np.generic) else value


def all_of(atoms: Atoms) -> object:
    constraints = [constraint.todict() for constraint in atoms.constraints]
    calculated = None if atoms.calc is None else (type(atoms.calc), said(atoms.calc.results))
    return said(dict(atoms.arrays)), said(atoms.cell.array), said(atoms.pbc), said(atoms.info), calculated, constraints


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(frames(), min_size=1, max_size=3))
def test_what_is_read_at_once_is_what_ase_reads(batch):
    try:
        found = xyz_regular.read_regular(batch)
    except Exception:  # noqa: BLE001  (it is read frame by frame then, by ASE)
        return
    if found is not None:
        assert [all_of(atoms) for atoms in found] == [all_of(atoms) for atoms in by_ase(batch)]


@pytest.mark.parametrize(
    "more",
    [
        "",
        'energy=-1.5 stress="1 2 3 2 4 5 3 5 6" config_type=bulk',
        'virial="1.0 0 0 0 1 0 0 0 1" name="two words" n=3 k="1 2 3" ok=T all="T F" pbc="T T T"',
        'uid=17 word="1 of many"',
    ],
)
@pytest.mark.parametrize("columns", ["", ":forces:R:3", ":tags:I:1:name:S:1:ok:L:1:magmoms:R:1"])
def test_plain_frames_are_not_left_to_ase(more, columns, monkeypatch):
    words = {"": "", ":forces:R:3": " 1 2 -3e-4"}.get(columns, " 7 a T 0.5")
    comment = f"{PLAIN} {more}\n".replace("pos:R:3", f"pos:R:3{columns}")
    batch = [(2, [comment, *[f"{ATOM}{words}\n"] * 2]), (1, [comment, f"{ATOM}{words}\n"])]
    expected = [all_of(atoms) for atoms in by_ase(batch)]
    monkeypatch.setattr(xyz, "_by_ase", lambda _: pytest.fail("left to ASE"))
    text = "".join(f"{natoms}\n{''.join(frame)}" for natoms, frame in batch)
    found = [frame.atoms for frame in xyz.read_xyz(text.splitlines(keepends=True))]
    for atoms in found:
        assert atoms is not None
        if atoms.calc is not None and "stress" in atoms.calc.results:  # of which all nine are kept
            full = atoms.calc.results["stress"]
            atoms.calc.results["stress"] = full[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    assert [all_of(atoms) for atoms in found if atoms] == expected


@pytest.mark.parametrize(
    "frame",
    [
        [f"{PLAIN} a\n", f"{ATOM}\n"],
        [f"{PLAIN} a='b'\n", f"{ATOM}\n"],
        [f"{PLAIN} a = b\n", f"{ATOM}\n"],
        [f"{PLAIN}\n", f"{ATOM} 5\n"],
        ["free text\n", f"{ATOM}\n"],
        ["\n", f"{ATOM}\n"],
        [f"{PLAIN}\n", f"{ATOM}\n", "VEC1 1 0 0\n"],
        [f"{PLAIN} a=nan\n", f"{ATOM}\n"],
        [f"{PLAIN} a={10**30}\n", f"{ATOM}\n"],
        [f"{PLAIN.replace('pos:R:3', 'pos:R:3:move_mask:L:1')}\n", f"{ATOM} T\n"],
    ],
)
def test_what_is_not_plain_is_left_to_ase(frame):
    assert xyz_regular.read_regular([(1, frame)]) is None


@pytest.mark.parametrize("twice", ["forces:R:0:forces:R:3", "forces:R:3:forces:R:3", "tag:I:0"])
def test_columns_of_one_name_or_of_none_are_left_to_ase(twice) -> None:
    header = f"Properties=species:S:1:pos:R:3:{twice}\n"
    assert xyz_regular.read_regular([(1, [header, "Cu 0 0 0 1 2 3 4 5 6\n"])]) is None
