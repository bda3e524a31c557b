"""Tables and frames say what the records say, for every structure and model, in order."""

import csv
import json
from contextlib import suppress

import numpy as np
import pyarrow.parquet as pq
import pytest
from ase.build import bulk, molecule
from ase.io import read, write
from ase.units import GPa

from mira_cli import console
from mira_cli.catalogue.lookup import built_in
from mira_cli.driver.collect import collect
from mira_cli.errors import UsageError
from mira_cli.files import replacing, write_json
from mira_cli.results.print_end_of_run import _groups, _headline
from mira_cli.run.directory import open_run
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from mira_cli.tasks import singlepoint
from mira_cli.units import EV_PER_ANG3_IN_GPA

STRESS = [0.1, 0.2, 0.3, 0.04, 0.05, 0.06]
ENERGY = singlepoint.TASK.columns[1]


@pytest.fixture
def run(tmp_path):
    """A run of three usable structures (one twice) and an empty file, with records of two models."""
    folder = tmp_path / "in"
    folder.mkdir()
    crystal = bulk("NaCl", "rocksalt", a=5.64)
    write(folder / 'a "b" <i>=1, ü.extxyz', [crystal, molecule("H2O"), crystal])
    (folder / "empty.cif").touch()
    run = open_run(tmp_path / "run")
    index = load_structures(run.structures, find_sources([str(folder)]).sources)
    forces = {"sevennet_0": np.arange(15.0), "emt": np.arange(6.0)}
    rows = {"sevennet_0": ["ok", "ok"], "emt": ["ok", "unsupported_element"]}
    for slug, statuses in rows.items():
        job = run.records(slug, "key") / "job"
        job.mkdir(parents=True)
        with (job / "records.jsonl").open("w") as stream:
            attempt = {"kind": "attempt", "device": "cpu", "checkpoint_sha256": "f00", "image": {"recipe": "r"}}
            stream.write(json.dumps(attempt) + "\n")
            row = 0
            for status, digest, n in zip(statuses, index.column("hash")[:2], (2, 3), strict=True):
                ok = status == "ok"
                record = {
                    "kind": "record",
                    "structure": digest,
                    "status": status,
                    "error": None if ok else "no H, O",
                    "energy_ev": -3.0 * n if ok else None,
                    "stress_ev_per_ang3": STRESS if ok and n == 2 else None,
                    "n_atoms": n,
                    "forces_row": row if ok else None,
                    "wall_s": 0.5,
                    "batch_size": 2,
                }
                row += n
                stream.write(json.dumps(record) + "\n")
        forces[slug].tofile(job / "forces.f64")
    same = {"key": "key", "image": "i", "package": "p==1", "dtype": "float32"}
    rows = {name: row.model_dump(mode="json", exclude_defaults=True) for name, row in built_in().models.items()}
    models = [
        {"name": name, "slug": slug, **same, "row": rows[name]}
        for name, slug in (("sevennet-0", "sevennet_0"), ("emt", "emt"))
    ]
    write_json(run.wanted, {"models": models, "structures": index.sources})
    collect(run)
    return run


def rows_of(run) -> list[dict[str, str]]:
    with (run.root / "comparison.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_there_is_a_row_for_every_structure_and_model(run) -> None:
    rows = rows_of(run)
    assert [row["status"] for row in rows] == [
        "ok",
        "ok",
        "ok",
        "unsupported_element",
        "ok",
        "ok",
        *["invalid_input"] * 2,
    ]
    assert rows[3]["error"] == "no H, O"
    assert rows[7]["error"] == "the file is empty"
    assert [row["structure_id"].rpartition("#")[2] for row in rows[:6]] == ["0", "0", "1", "1", "2", "2"]


def test_first_columns_are_as_documented(run) -> None:
    documented = (
        "structure_id, model, status, error, formula, n_atoms, energy_ev, energy_per_atom_ev, fmax_ev_per_ang, "
        "frms_ev_per_ang, net_force_ev_per_ang, stress_xx_ev_per_ang3, stress_yy_ev_per_ang3, stress_zz_ev_per_ang3, "
        "stress_yz_ev_per_ang3, stress_xz_ev_per_ang3, stress_xy_ev_per_ang3, pressure_gpa"
    ).split(", ")
    assert list(rows_of(run)[0])[: len(documented)] == documented


def test_numbers_follow_from_the_records(run) -> None:
    first = rows_of(run)[0]
    forces = np.arange(6.0).reshape(2, 3)
    assert float(first["energy_per_atom_ev"]) == -3.0
    assert float(first["fmax_ev_per_ang"]) == pytest.approx(np.linalg.norm(forces[1]))
    assert float(first["frms_ev_per_ang"]) == pytest.approx(np.sqrt((forces**2).sum() / 2))
    assert float(first["net_force_ev_per_ang"]) == pytest.approx(np.linalg.norm([3, 5, 7]))
    assert float(first["pressure_gpa"]) == pytest.approx(-0.2 / GPa)
    assert float(first["stress_yz_ev_per_ang3"]) == 0.04
    assert pytest.approx(1 / GPa) == EV_PER_ANG3_IN_GPA


def test_stress_of_a_molecule_is_empty(run) -> None:
    assert rows_of(run)[2]["stress_xx_ev_per_ang3"] == rows_of(run)[2]["pressure_gpa"] == ""


def test_failed_rows_hold_no_number(run) -> None:
    for row in rows_of(run):
        numbers = [value for name, value in row.items() if "_ev" in name or "gpa" in name]
        assert (row["status"] == "ok") == any(numbers)


def test_parquet_and_csv_agree(run) -> None:
    table = pq.read_table(run.root / "comparison.parquet").to_pylist()
    for row, text in zip(table, rows_of(run), strict=True):
        assert row["structure_id"] == text["structure_id"]
        assert row["energy_ev"] == (float(text["energy_ev"]) if text["energy_ev"] else None)


def test_wide_table_has_a_column_a_model(run) -> None:
    with (run.root / "energies.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["energy_ev_emt"] for row in rows] == ["-6", "", "-6", ""]
    assert [row["energy_ev_sevennet_0"] for row in rows] == ["-6", "-9", "-6", ""]


def test_frames_survive_a_round_trip_through_ase(run, tmp_path) -> None:
    frames = read(run.root / "results.extxyz", index=":")
    write(tmp_path / "again.extxyz", frames)
    for atoms in (frames, read(tmp_path / "again.extxyz", index=":")):
        crystal, water, twin = atoms
        assert crystal.info["structure_id"] == 'a "b" <i>=1, ü.extxyz#0'
        assert twin.info["structure_id"].endswith("#2")
        assert crystal.info["energy_sevennet_0"] == twin.info["energy_emt"] == -6.0
        assert np.allclose(crystal.arrays["forces_sevennet_0"], np.arange(6.0).reshape(2, 3))
        assert np.allclose(crystal.info["stress_sevennet_0"], STRESS)
        assert "stress_sevennet_0" not in water.info
        assert "energy_emt" not in water.info
        assert crystal.calc is None


def test_provenance_names_weights_and_attempts(run) -> None:
    model = json.loads((run.root / "provenance.json").read_text())["models"][0]
    assert model["attempts"][0]["checkpoint_sha256"] == "f00"
    assert model["citation"].startswith("https://")


def test_job_without_record_is_a_failed_row_with_its_last_words(run) -> None:
    wanted = json.loads(run.wanted.read_text())
    wanted["models"].append({**wanted["models"][0], "name": "lj", "slug": "lj"})
    write_json(run.wanted, wanted)
    (run.logs / "lj").mkdir(parents=True)
    (run.logs / "lj" / "0.log").write_text("noise\nout of luck\n\n")
    collect(run)
    assert {row["status"] for row in rows_of(run) if row["model"] == "lj"} == {"not_computed", "invalid_input"}
    write_json(run.plan, {"models": [{"slug": "lj", "jobs": ["0"]}]})
    collect(run)
    lj = [row for row in rows_of(run) if row["model"] == "lj"]
    assert [row["status"] for row in lj] == ["failed"] * 3 + ["invalid_input"]
    assert lj[0]["error"] == "job failed: out of luck"


@pytest.mark.parametrize(
    ("code", "words", "status"),
    [
        (None, "", "failed"),
        (1, "", "failed"),
        (130, "", "not_computed"),
        (130, "a warning of a package", "not_computed"),
        (130, "worker: error: no such weights", "failed"),
        (130, "torch.OutOfMemoryError: 80 GB", "failed"),
    ],
)
def test_jobs_of_a_run_that_was_ended_have_not_failed_by_that(run, code, words, status) -> None:
    wanted = json.loads(run.wanted.read_text())
    wanted["models"].append({**wanted["models"][0], "name": "lj", "slug": "lj"})
    write_json(run.wanted, wanted)
    write_json(run.plan, {"models": [{"slug": "lj", "jobs": ["0"]}]})
    (run.logs / "lj").mkdir(parents=True)
    (run.logs / "lj" / "0.log").write_text(f"{words}\n")
    write_json(run.driver, {"kind": "process", "exit_code": code})
    collect(run)
    assert [row["status"] for row in rows_of(run) if row["model"] == "lj"] == [status] * 3 + ["invalid_input"]


@pytest.mark.parametrize("durable", [True, False])
def test_file_being_replaced_keeps_its_old_content_on_failure(tmp_path, durable) -> None:
    (tmp_path / "x").write_text("old")
    with suppress(ZeroDivisionError), replacing(tmp_path / "x", durable=durable) as stream:
        stream.write("half")
        stream.flush()
        assert (tmp_path / "x").read_text() == "old"
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_tables_are_not_made_from_other_structures_than_the_plans(run) -> None:
    sources = json.loads((run.structures / "sources.json").read_text())
    write_json(run.structures / "sources.json", {**sources, "sources": []})
    with pytest.raises(UsageError, match="not those of its plan"):
        collect(run)


def test_models_that_share_data_share_a_zero() -> None:
    sets = {"a": {"MPtrj"}, "b": {"OMat24"}, "c": {"MPtrj", "sAlex"}, "d": {"sAlex"}}
    groups = _groups({model: frozenset(values) for model, values in sets.items()})
    assert sorted(sorted(names) for _, names in groups) == [["a", "c", "d"], ["b"]]


def printed(n_structures: int, n_models: int, width: int, monkeypatch, name: str = "structure") -> list[list[str]]:
    """Lines of each table of energies; every energy is another number, and one model has failed everywhere."""
    monkeypatch.setattr(console.stdout(), "width", width)
    models = [f"a-model-with-a-name-{i}" for i in range(n_models)]
    rows = [
        {
            "structure_id": f"{name}#{i}",
            "model": model,
            "status": "ok" if model != models[-1] else "failed",
            "energy_per_atom_ev": -(100 * i + j) / 10 if model != models[-1] else None,
        }
        for i in range(n_structures)
        for j, model in enumerate(models)
    ]
    tables = []
    for table in _headline(rows[: 20 * n_models], models, n_structures, ENERGY):
        with console.stdout().capture() as capture:
            console.stdout().print(table)
        lines = [line for line in capture.get().splitlines() if line.strip()]
        assert max(map(len, lines)) <= width
        tables.append(lines)
    cells = [word for lines in tables for line in lines for word in line.split()]
    assert cells.count("failed") == min(n_structures, 20)
    wanted = {f"{-(100 * i + j) / 10:.4f}" for i in range(min(n_structures, 20)) for j in range(n_models - 1)}
    assert wanted <= set(cells)
    return tables


def test_few_models_are_columns(monkeypatch) -> None:
    (table,) = printed(30, 3, 100, monkeypatch)
    assert table[1].split()[:2] == ["structure", "a-model-with-a-name-0"]
    assert "the first 20 of 30 structures" in table[-1]


def test_many_models_are_rows_where_the_structures_fit(monkeypatch) -> None:
    (table,) = printed(3, 14, 80, monkeypatch)
    assert table[1].split() == ["model", "structure#0", "structure#1", "structure#2"]
    assert table[-1].split()[0] == "a-model-with-a-name-13"


def test_a_table_that_fits_in_no_way_is_cut(monkeypatch) -> None:
    tables = printed(20, 14, 80, monkeypatch)
    heads = [lines[1 if i == 0 else 0].split() for i, lines in enumerate(tables)]
    assert {head[0] for head in heads} == {"structure"}
    assert [name for head in heads for name in head[1:]] == [f"a-model-with-a-name-{i}" for i in range(14)]


def test_long_names_of_structures_are_folded_not_cut(monkeypatch) -> None:
    tables = printed(20, 4, 60, monkeypatch, name="folder/" * 12)
    assert sum(line.count("/") for line in tables[0]) == 12 * 20
