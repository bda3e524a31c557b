"""Relaxations through whole runs: read on from, referred to, reused, and refused."""

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from ase.constraints import FixAtoms
from ase.io import read, write

from tests.runs import rows

pytestmark = pytest.mark.workflow
RELAX = ("--task", "relax")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Two crystals of copper, strained and rattled, a slab with its lowest layer held, and a molecule."""
    folder = tmp_path_factory.mktemp("relax") / "structures"
    folder.mkdir()
    strained = bulk("Cu", cubic=True)
    strained.set_cell(strained.cell.array @ np.array([[1, 0.03, 0], [0, 1.02, 0], [0, 0, 0.99]]), scale_atoms=True)
    strained.rattle(0.05, seed=1)
    hexagonal = bulk("Cu", "hcp", a=2.6, c=4.2)
    slab = fcc111("Cu", (1, 1, 3), vacuum=6.0)
    slab.rattle(0.05, seed=2)
    slab.set_constraint(FixAtoms([0]))
    for name, atoms in {"fcc": strained, "hcp": hexagonal, "slab": slab, "co": molecule("CO")}.items():
        write(folder / f"{name}.extxyz", atoms)
    return folder


@pytest.fixture(scope="module")
def run(inputs, mira):
    run = inputs.parent / "runs" / "relaxed"
    mira("run", inputs, "-m", "emt", "-o", run, *RELAX)
    return run


def test_any_run_reads_on_from_relaxed_geometries(run, inputs, mira) -> None:
    again = run.parent / "again"
    mira("run", run / "relaxed" / "emt.extxyz", "-m", "emt", "-o", again)
    relaxed, single = rows(run), rows(again)
    energies = [[float(row["energy_ev"]) for row in table] for table in (relaxed, single)]
    np.testing.assert_allclose(*energies, atol=1e-9)
    crystals = [i for i, row in enumerate(relaxed) if row["volume_ang3"]]
    assert [relaxed[i]["structure_id"] for i in crystals] == ["fcc.extxyz#0", "hcp.extxyz#0"]
    assert all(float(single[i]["fmax_ev_per_ang"]) < 0.01 for i in crystals)
    assert all(abs(float(single[i]["pressure_gpa"])) < 0.1 for i in crystals)
    frames = read(run / "relaxed" / "emt.extxyz", ":")
    held = next(frame for frame in frames if frame.info["structure_id"].startswith("slab"))
    assert [one.index.tolist() for one in held.constraints] == [[0]]
    given = read(inputs / "slab.extxyz")  # a fixed atom keeps its place in a cell that changes
    np.testing.assert_allclose(held.get_scaled_positions()[0, :2], given.get_scaled_positions()[0, :2], atol=1e-7)
    assert held.positions[0, 2] == pytest.approx(given.positions[0, 2], abs=1e-7)
    # what the file says of energies, forces and stresses is what the model says of its geometries
    with (again / "reference.csv").open() as stream:
        head, line = (text.strip().split(",") for text in stream.readlines()[:2])
    errors = dict(zip(head, line, strict=False))
    assert float(errors['"energy_raw_mae_ev_per_atom"']) < 1e-8
    assert float(errors['"force_mae_ev_per_ang"']) < 1e-6
    assert float(errors['"stress_mae_gpa"']) < 1e-5


def test_relaxed_references_are_compared_with_and_may_come_later(run, inputs, mira) -> None:
    second = run.with_name("second")
    told = mira("run", inputs, "-m", "emt", "-o", second, *RELAX).stderr
    assert "4 structures taken over" in told
    assert not [row for row in csv_rows(second / "scalars.csv") if row["against"] == "reference"]
    geometries = run / "relaxed" / "emt.extxyz"
    told = mira("run", inputs, "-m", "emt", "-o", second, *RELAX, "--reference", geometries).stderr
    assert "relaxed references of 4 of 4 structures" in told
    assert "nothing to compute, 4 kept" in told
    found = {row["quantity"]: row for row in csv_rows(second / "scalars.csv") if row["against"] == "reference"}
    assert (found["volume_ang3"]["n"], found["a_ang"]["n"]) == ("2", "3")
    assert float(found["volume_ang3"]["mae"]) < 1e-6
    assert "nothing to compare it with" not in mira("table", second).stderr
    minima = [row for row in csv_rows(second / "minima.csv") if row["against"] == "reference"]
    assert [row["same_minimum"] for row in minima] == ["true"] * 4
    told = mira("run", inputs, "-m", "emt,lj", "-o", second, *RELAX, "--reference", geometries, code=1).stderr
    assert "emt: nothing to compute, 4 kept" in told
    assert {row["model"] for row in rows(second)} == {"emt", "lj"}
    mira("collect", second)
    assert [row for row in csv_rows(second / "minima.csv") if row["against"] == "reference"]


def test_a_sheet_gives_references_by_the_names_of_columns(inputs, mira) -> None:
    sheet = inputs.parent / "sheet.csv"
    sheet.write_text(
        "structure_path,Volume,energy_per_atom\nstructures/fcc.extxyz,47.5,-0.01\nstructures/hcp.extxyz,,\n"
    )
    run = inputs.parent / "runs" / "sheet"
    mira("run", sheet, "-m", "emt", "-o", run, *RELAX)
    found = {row["quantity"]: row for row in csv_rows(run / "scalars.csv") if row["against"] == "reference"}
    volume = float(next(row for row in rows(run) if row["structure_id"] == "structures/fcc.extxyz#0")["volume_ang3"])
    assert found["volume_ang3"]["n"] == "1"
    assert float(found["volume_ang3"]["mean_difference"]) == pytest.approx(volume - 47.5)


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        (("--reference", "nowhere.extxyz"), 3, "no file, folder or pattern"),
        (
            ("--reference", "{inputs}/co.extxyz", "--set", "structures={inputs}/fcc.extxyz"),
            3,
            "have other ids than the structures: `co.extxyz#0` (CO), not `fcc.extxyz#0` (Cu4)",
        ),
        (("--set", "task.cell=fixed", "--set", "task.pressure_gpa=1"), 2, "`pressure_gpa` means nothing"),
        (("--set", "task.fmax_ev_per_ang=0"), 2, "`task.fmax_ev_per_ang`"),
        (("--set", "task.cell=full", "--set", "structures={inputs}/co.extxyz"), 2, "no structure is periodic"),
    ],
)
def test_bad_wishes_are_refused_before_any_job(inputs, mira, tmp_path, settings, code, said) -> None:
    words = [word.format(inputs=inputs) for word in settings]
    told = mira("run", inputs, "-m", "emt", "-o", tmp_path / "run", *RELAX, *words, code=code)
    assert said in told.stderr
    assert told.stderr.count("error:") == 1
    assert not (tmp_path / "run").exists()


def test_a_model_without_stress_is_refused_unless_cells_stay(inputs, mira, tmp_path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("models: {flat: {title: t, family: ase_builtin, checkpoint: {bundled: emt}, stress: false}}")
    call = ("run", inputs / "fcc.extxyz", "-m", "flat", "--models-file", own, "-o", tmp_path / "run", *RELAX)
    told = mira(*call, code=2).stderr
    assert "`flat` gives no stress, without which task `relax` cannot change a cell" in told
    assert not (tmp_path / "run").exists()
    mira(*call, "--set", "task.cell=fixed")
    (row,) = rows(tmp_path / "run")
    assert (row["status"], row["cell_relaxed"], row["smax_gpa"]) == ("ok", "none", "") or row["cell_relaxed"] == "fixed"
    assert row["a_change_percent"] == ""  # it could not change


def csv_rows(file):
    import csv

    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_paths_are_files_that_ase_reads_where_they_are_asked_for(run, inputs, mira) -> None:
    assert not (run / "trajectories").exists()
    kept = run.parent.parent / "of paths" / "run"  # not beside runs that it would reuse
    mira("run", inputs, "-m", "emt", "-o", kept, *RELAX, "--set", "task.keep=trajectory")
    frames, ends = (read(kept / folder / "emt.extxyz", ":") for folder in ("trajectories", "relaxed"))
    names = [frame.info["structure_id"] for frame in frames]
    assert list(dict.fromkeys(names)) == [frame.info["structure_id"] for frame in ends]
    for end, row in zip(ends, rows(kept), strict=True):
        path = [frame for frame in frames if frame.info["structure_id"] == end.info["structure_id"]]
        given = read(inputs / end.info["structure_id"].partition("#")[0])
        assert path[0].info["step"] == 0
        assert path[0].get_potential_energy() == pytest.approx(float(row["start_energy_ev"]), abs=1e-9)
        np.testing.assert_allclose(path[0].positions, given.positions, atol=1e-7)
        np.testing.assert_allclose(path[-1].positions, end.positions, atol=1e-7)
        np.testing.assert_allclose(path[-1].cell.array, end.cell.array, atol=1e-9)
        assert (path[-1].pbc == end.pbc).all()
        assert path[-1].get_potential_energy() == pytest.approx(float(row["energy_ev"]), abs=1e-9)
