"""Packed files: every format in .gz, .bz2, .xz as it is plain, and the members of .zip; nothing is written to disk."""

import bz2
import gzip
import json
import lzma
import zipfile

import pytest
from ase.build import bulk, molecule
from ase.io import write

from mira_cli.structures import unpacked
from mira_cli.structures.blocks import read_task
from mira_cli.structures.find import Source, find_sources
from mira_cli.structures.parts import cut
from mira_cli.structures.references import ReferenceKeys
from tests.unit.structures.test_damaged_files import CRYSTALS, MOLECULES
from tests.unit.structures.test_formats import dump, told

PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
WRITTEN = {**CRYSTALS, **MOLECULES, "x.lmp": "lammps-data"}


def rows(path, **given: str) -> list[dict]:
    source = Source(path, path.name, json.dumps(given) if given else "")
    return [row for block in read_task(cut(source), ReferenceKeys()) for row in block.rows.to_pylist()]


def written(path) -> bytes:
    """A file of the format that its name says."""
    atoms = molecule("CH3CH2OH") if path.name in MOLECULES else bulk("Cu", cubic=True)
    write(path, atoms, format=WRITTEN[path.name], **({"masses": True} if path.name == "x.lmp" else {}))
    return path.read_bytes()


def zipped(path, members: dict[str, str | bytes], **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_packed_is_read_as_what_is_not(tmp_path, name) -> None:
    content = written(tmp_path / name)
    given = {"format": "lammps-data"} if name == "x.lmp" else {}
    plain = rows(tmp_path / name, **given)
    assert plain[0]["formula"]
    files = {suffix: tmp_path / (name + suffix) for suffix in PACK}
    for suffix, file in files.items():
        file.write_bytes(PACK[suffix](content))
    files["zip"] = zipped(tmp_path / "all.zip", {f"in/{name}": content})
    for file in files.values():
        found = rows(file, **given)
        if name == "x.db":
            assert "unpack it first" in found[0]["invalid"]
        else:
            assert [(row["hash"], row["note"]) for row in found] == [(row["hash"], row["note"]) for row in plain]
    assert found[0]["id"].startswith(f"all.zip/in/{name}")


def test_members_of_an_archive_are_files_of_their_own(tmp_path) -> None:
    write(tmp_path / "a.extxyz", [bulk("Cu"), bulk("Ag")])
    write(tmp_path / "POSCAR", bulk("Au"))
    frames = (tmp_path / "a.extxyz").read_text()
    archive = zipped(
        tmp_path / "data.zip",
        {
            "set/a.extxyz": frames, "set/broken.xyz": "3\n\nH 0 0 0\n", "set/readme.md": "x",
            "__MACOSX/._a.extxyz": "x", "POSCAR": (tmp_path / "POSCAR").read_text(), "inner.zip": b"x",
            "b.xyz.gz": b"x", "odd#\n.extxyz": frames,
            "t.lammpstrj": dump("id type x y z", "1 1 0 0 0", steps=1), "empty.cif": "",
        },
    )  # fmt: skip
    read = rows(archive, elements="Ni")
    found = dict(zip((row["id"] for row in read), told(read), strict=True))
    packed = "cannot be read: it is packed inside the archive: unpack that first"
    not_used = " | `elements` is not used: the file names its own"
    assert {name: said.split(" (")[0] for name, said in found.items()} == {
        "data.zip/set/a.extxyz#0": "Cu" + not_used,
        "data.zip/set/a.extxyz#1": "Ag" + not_used,
        "data.zip/set/broken.xyz#0": "cannot be read: the file ends early: 3 atoms are announced, 1 are there",
        "data.zip/POSCAR#0": "Au" + not_used,
        "data.zip/inner.zip": packed,
        "data.zip/b.xyz.gz": packed,
        "data.zip/odd%23%0A.extxyz#0": "Cu" + not_used,
        "data.zip/odd%23%0A.extxyz#1": "Ag" + not_used,
        "data.zip/t.lammpstrj#0": "Ni",
        "data.zip/empty.cif": "the file is empty",
    }


def test_an_archive_without_structures_or_that_is_none_is_a_row(tmp_path) -> None:
    assert told(rows(zipped(tmp_path / "a.zip", {"readme.md": "x"}))) == ["the archive holds no structure"]
    (tmp_path / "b.zip").write_text("no archive")
    assert told(rows(tmp_path / "b.zip")) == ["cannot be read: the archive is damaged, or none"]


def test_an_encrypted_member_is_a_row(tmp_path) -> None:
    archive = zipped(tmp_path / "a.zip", {"a.xyz": "1\n\nH 0 0 0\n"})
    content = bytearray(archive.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags, in both headers
        content[content.index(mark) + at] |= unpacked.ENCRYPTED
    archive.write_bytes(bytes(content))
    assert told(rows(archive)) == ["cannot be read: it is encrypted in the archive: unpack that first"]


def test_a_member_that_is_damaged_is_a_row_and_the_next_is_read(tmp_path) -> None:
    cell = "1.0\n4 0 0\n0 4 0\n0 0 4\nCu\n1\nDirect\n0 0 0\n"
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_STORED) as stored:
        for name in ("a/POSCAR", "b/POSCAR"):
            stored.writestr(name, f"{name}\n{cell}")
    content = (tmp_path / "b.zip").read_bytes().replace(b"POSCAR\n1.0", b"POSCAR\n9.0", 1)
    (tmp_path / "b.zip").write_bytes(content)
    assert told(rows(tmp_path / "b.zip")) == ["cannot be read: the archive is damaged, or none", "Cu"]


def test_what_swells_far_beyond_its_size_is_a_row(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(unpacked, "MOST_BYTES", 1_000)
    text = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nCu\n1\nDirect\n0 0 0\n" + 500_000 * " "
    (row,) = told(rows(zipped(tmp_path / "a.zip", {"POSCAR": text})))
    assert row.startswith("cannot be read: of ")
    assert row.endswith("unpack the file first")
    (tmp_path / "x.res.gz").write_bytes(gzip.compress(text.encode()))
    assert told(rows(tmp_path / "x.res.gz"))[0].endswith("unpack the file first")


def test_what_is_passed_over_in_an_archive_is_told_as_of_folders(tmp_path, mira) -> None:
    poscar = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nCu\n1\nDirect\n0 0 0\n"
    files = {"README.md": "x", "a/INCAR": "x", "a/.hidden": "x", "__MACOSX/a.py": "x"}
    files |= {"a/POSCAR": poscar, "a/CONTCAR": poscar, "b/CONTCAR": "", "b/POSCAR": poscar}
    archive = zipped(tmp_path / "set.zip", files)
    assert [row["id"] for row in rows(archive)] == ["set.zip/a/CONTCAR#0", "set.zip/b/CONTCAR", "set.zip/b/POSCAR#0"]
    done = mira("inspect", archive, cwd=tmp_path, code=1)
    assert "2 files passed over, by name no structures: README.md and others" in done.stderr
    assert "POSCAR passed over: a calculation's geometry is read once, here from CONTCAR" in done.stderr


def test_in_folders_archives_are_read_whose_names_say_what_they_hold(tmp_path) -> None:
    for name in ("a.extxyz.zip", "B.CIF.ZIP", "backup.zip", "run.log.zip"):
        zipped(tmp_path / name, {"a.xyz": "1\n\nH 0 0 0\n"})
    found = find_sources([str(tmp_path)])
    assert [source.name for source in found.sources] == ["B.CIF.ZIP", "a.extxyz.zip"]
    assert [path.name for path in found.passed_over] == ["backup.zip", "run.log.zip"]
    assert [source.name for source in find_sources([str(tmp_path / "backup.zip")]).sources] == ["backup.zip"]
