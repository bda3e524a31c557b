"""Damaged files of every common format end in rows with MIRA's own sentences, never in a traceback."""

import random
import re

import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.io import write

from mira_cli.structures.blocks import read_task
from mira_cli.structures.find import Source
from mira_cli.structures.parts import cut
from mira_cli.structures.references import ReferenceKeys

CRYSTALS = {
    "x.extxyz": None, "x.cif": None, "POSCAR": None, "x.gen": None, "x.traj": None, "x.json": None, "x.xsf": None,
    "x.in": "aims", "x.cfg": None, "x.xsd": None, "x.res": None, "x.cell": None, "XDATCAR": None, "x.db": None,
    "x.cube": None, "x.con": "eon", "CONFIG": "dlp4",
}  # fmt: skip
MOLECULES = {"x.xyz": "xyz", "x.pdb": None, "x.sdf": None, "x.mol": None, "x.gjf": "gaussian-in", "coord": "turbomole",
             "x.gro": None, "x.nwi": None}  # fmt: skip
OURS = re.compile(
    "cannot be read: |not a structure file that ASE knows|the file |no atoms|positions are not|"
    "an atom is more than|the cell is |an atom has no element|periodic in a direction|atoms [0-9]+ and "
)
COPIES = 12


def damaged(content: bytes, dice: random.Random) -> bytes:
    kind, at = dice.randrange(5), dice.randrange(len(content))
    lines = content.split(b"\n")
    line = dice.randrange(len(lines))
    if kind == 0:
        return content[: at + 1]
    if kind == 1:
        return content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :]
    if kind == 2:
        return b"\n".join(lines[:line] + lines[line + 1 :])
    if kind == 3:
        return b"\n".join([*lines[:line], lines[dice.randrange(len(lines))], *lines[line:]])
    words = content.split(b" ")
    words[dice.randrange(len(words))] = dice.choice([b"Qq", b"-1", b"nan", b"1e9", b"", b"?", b"\xff", b"O1"])
    return b" ".join(words)


@pytest.mark.parametrize("name", [*CRYSTALS, *MOLECULES])
def test_every_damaged_file_is_rows_with_sentences(tmp_path, name) -> None:
    crystal = bulk("Cu", cubic=True)
    crystal.calc = EMT()
    crystal.get_forces()
    atoms = crystal if name in CRYSTALS else molecule("CH3CH2OH")
    write(tmp_path / name, atoms, format={**CRYSTALS, **MOLECULES}[name])
    content, dice = (tmp_path / name).read_bytes(), random.Random(name)
    for _ in range(COPIES):
        (tmp_path / name).write_bytes(damaged(content, dice) or b"\n")
        blocks = read_task(cut(Source(tmp_path / name, name)), ReferenceKeys())
        reasons = [reason for block in blocks for reason in block.rows["invalid"].to_pylist()]
        assert reasons
        for reason in reasons:
            # a CIF's are whole sentences of their own
            assert reason is None or ((OURS.match(reason) or name == "x.cif") and reason.isprintable())


@pytest.mark.parametrize("value", ["\0 90", "9\x8a0", "9\x110"])
def test_what_is_quoted_of_a_file_can_be_printed(tmp_path, value) -> None:
    content = "data_x\n_cell_length_a 3.6\n_cell_length_b 3.6\n_cell_length_c 3.6\n_cell_angle_alpha 90\n"
    sites = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nCu1 0 0 0\n"
    (tmp_path / "x.cif").write_text(f"{content}_cell_angle_beta 90\n_cell_angle_gamma '{value}'\n{sites}")
    (block,) = read_task(cut(Source(tmp_path / "x.cif", "x.cif")), ReferenceKeys())
    (reason,) = block.rows["invalid"].to_pylist()
    assert reason.startswith("`_cell_angle_gamma` is ")
    assert reason.isprintable()
