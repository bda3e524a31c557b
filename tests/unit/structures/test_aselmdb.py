"""FAIRChem's data sets: what rows say is taken, nothing is written beside them; without the package a sentence."""

import gc
import sys

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures


@pytest.fixture
def data(tmp_path):
    """As OMol25 has them (charge and multiplicity in `data`), and as OMat24 (with stress); one row was deleted."""
    folder = tmp_path / "in"
    folder.mkdir()
    ion, copper = molecule("NH3"), bulk("Cu")
    ion.calc = SinglePointCalculator(ion, energy=-1500.5, forces=np.full((4, 3), 0.1))
    copper.calc = SinglePointCalculator(copper, energy=-3.7, forces=np.zeros((1, 3)), stress=np.arange(6) / 100)
    with connect(folder / "data0000.aselmdb") as database:
        database.write(ion, data={"charge": 1, "spin": 2, "source": "x", "num_atoms": 4})
        database.write(bulk("Ag"))
        database.write(copper, data={"sid": "y"})
    with connect(folder / "data0000.aselmdb") as database:
        database.delete([2])
    for lock in folder.glob("*-lock"):
        lock.unlink()
    return folder


def read(data, tmp_path):
    return load_structures(tmp_path / "packs", find_sources([str(data)]).sources)


def test_rows_have_what_they_say(data, tmp_path) -> None:
    index = read(data, tmp_path)
    ion, copper = index.table.to_pylist()
    assert (ion["id"], ion["formula"], ion["reference_energy_ev"]) == ("data0000.aselmdb#0", "H3N", -1500.5)
    with np.load(index.pack_path(0)) as pack:
        assert (pack["charge"][0], pack["spin"][0]) == (1.0, 2.0)
        assert np.isnan(pack["charge"][1])
        assert pack["reference_forces"][:4].tolist() == [[0.1] * 3] * 4
    assert (copper["formula"], copper["reference_energy_ev"]) == ("Cu", -3.7)
    assert copper["reference_stress_ev_per_ang3"] == pytest.approx(np.arange(6) / 100)


def test_nothing_is_written_beside_the_data(data, tmp_path) -> None:
    (file,) = data.iterdir()
    before = file.read_bytes()
    file.chmod(0o444)
    data.chmod(0o555)
    try:
        assert len(read(data, tmp_path)) == 2
    finally:
        data.chmod(0o755)
    assert [entry.name for entry in data.iterdir()] == [file.name]
    assert file.read_bytes() == before


def test_without_the_package_a_sentence_names_the_extra(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("mira_cli.structures.readers._in_python", lambda part: True)  # in this process
    monkeypatch.setitem(sys.modules, "ase_db_backends.aselmdb", None)
    (reason,) = read(data, tmp_path).column("invalid")
    assert reason == (
        "cannot be read: that takes MIRA's extra `aselmdb`: `pip install '.[aselmdb]'` in its folder, "
        "or `pip install ase-db-backends`"
    )


@pytest.mark.parametrize(
    ("size", "said"), [(10, "it is not complete, or not of its format"), (-1, "the file ends early")]
)
def test_a_file_that_is_cut_or_none_is_a_row(data, tmp_path, size, said) -> None:
    (file,) = data.iterdir()
    file.write_bytes(file.read_bytes()[:size])
    (reason,) = read(data, tmp_path).column("invalid")
    assert reason == f"cannot be read: {said}"


@pytest.mark.filterwarnings("error")  # what Python prints of an error while an object is deleted
def test_a_file_that_is_none_prints_nothing(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr("mira_cli.structures.readers._in_python", lambda part: True)  # in this process
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.aselmdb").write_text("junk\n")
    (reason,) = read(tmp_path / "in", tmp_path).column("invalid")
    gc.collect()
    assert reason == "cannot be read: it is not complete, or not of its format"
    assert capfd.readouterr().err == ""


def test_the_extra_is_what_is_tested() -> None:
    import tomllib
    from pathlib import Path

    said = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    tested = {word for word in said["dependency-groups"]["dev"] if isinstance(word, str)}  # not groups in the group
    assert set(said["project"]["optional-dependencies"]["aselmdb"]) <= tested
