"""Folders of finished calculations: what lies beside the structures, and the same geometry in several files."""

from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from mira_cli.structures.companions import holds_no_structure
from mira_cli.structures.find import find_sources


def names(folder: Path) -> list[str]:
    return [source.name for source in find_sources([str(folder)]).sources]


def filled(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("something\n")


@pytest.mark.parametrize(
    "name",
    [*"INCAR KPOINTS POTCAR CHGCAR CHGCAR.gz WAVECAR DOSCAR ML_LOGFILE vaspout.h5 x.aselmdb-lock Cu.upf Si.UPF".split(),
     *"slurm-1234.out slurm-1234_5.out relax.o12345 relax.e12345 core.991 std_err.txt nohup.out job.sh a.err".split()],
)  # fmt: skip
def test_what_codes_write_beside_geometry_is_passed_over(name) -> None:
    assert holds_no_structure(Path(name))


@pytest.mark.parametrize("name", "POSCAR CONTCAR.gz x.cif run.out pw.in relax.e core.xyz slurm.xyz lock.cif".split())
def test_what_may_hold_a_structure_is_tried(name) -> None:
    assert not holds_no_structure(Path(name))


def test_one_calculation_counts_once_from_the_file_that_says_most(tmp_path) -> None:
    filled(tmp_path, *(f"a/{name}" for name in ("POSCAR", "CONTCAR", "XDATCAR", "OUTCAR", "vasprun.xml", "INCAR")))
    filled(tmp_path, "b/POSCAR", "b/CONTCAR", "b/OUTCAR.gz", "c/POSCAR", "c/CONTCAR", "d/POSCAR", "d/POSCAR_2")
    assert names(tmp_path) == ["a/vasprun.xml", "b/OUTCAR.gz", "c/CONTCAR", "d/POSCAR", "d/POSCAR_2"]
    found = find_sources([str(tmp_path)])
    assert [path.name for path in found.passed_over] == ["INCAR"]
    better = {str(path.relative_to(tmp_path)): other.name for path, other in found.told_better.items()}
    assert better["a/POSCAR"] == "vasprun.xml"
    assert sorted(better) == ["a/CONTCAR", "a/OUTCAR", "a/POSCAR", "a/XDATCAR", "b/CONTCAR", "b/POSCAR", "c/POSCAR"]


def test_an_empty_output_is_no_better_than_the_input(tmp_path) -> None:
    filled(tmp_path, "POSCAR", "pw.pwi")
    (tmp_path / "vasprun.xml").touch()
    (tmp_path / "pw.pwo").touch()
    assert names(tmp_path) == ["POSCAR", "pw.pwi", "pw.pwo", "vasprun.xml"]


def test_the_output_of_espresso_stands_for_its_input(tmp_path) -> None:
    filled(tmp_path, "a.pwi", "a.pwo", "b.in", "b.out", "c.in", "d.out")
    assert names(tmp_path) == ["a.pwo", "b.out", "c.in", "d.out"]


def test_a_file_that_is_named_is_read_whatever_lies_beside_it(tmp_path) -> None:
    filled(tmp_path, "POSCAR", "vasprun.xml")
    assert [source.name for source in find_sources([str(tmp_path / "POSCAR")]).sources] == ["POSCAR"]


def test_a_run_says_what_it_passed_over(tmp_path, mira) -> None:
    folder = tmp_path / "relax"
    filled(folder, "INCAR", "slurm-1.out")
    write(folder / "POSCAR", bulk("Cu"), format="vasp")
    write(folder / "CONTCAR", bulk("Cu"), format="vasp")
    done = mira("run", folder, "--models", "lj", "--dry-run", cwd=tmp_path)
    assert "2 files passed over, by name no structures: INCAR and others" in done.stderr
    assert "POSCAR passed over: a calculation's geometry is read once, here from CONTCAR" in done.stderr
