"""A run is finished once: what is added is computed, what is there is kept, and a dry run says which and why."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

from tests.runs import METALS, REPOSITORY, faulty, records, rows, statuses


@pytest.fixture(scope="module")
def made(mira, tmp_path_factory):
    """A folder with structures and a finished run of two models, made once; and a copy of what is in it."""
    top = tmp_path_factory.mktemp("incremental")
    for metal in METALS:
        (top / "now" / "the structures").mkdir(parents=True, exist_ok=True)
        write(top / "now" / "the structures" / f"{metal}.cif", bulk(metal, cubic=True))
    mira("run", top / "now" / "the structures", "--models", "emt,lj", "-o", top / "now" / "a run")
    shutil.copytree(top / "now", top / "copy")
    return top


@pytest.fixture
def structures(made):
    """The structures as they were, in the place where they were."""
    shutil.rmtree(made / "now")
    shutil.copytree(made / "copy", made / "now")
    return made / "now" / "the structures"


@pytest.fixture
def finished(structures):
    """The run as it was, in the place where it was."""
    return structures.parent / "a run"


def test_run_computes_every_pair_and_agrees_with_ase(finished) -> None:
    assert statuses(finished) == {"emt": ["ok"] * 7, "lj": ["ok"] * 7}
    for row in rows(finished):
        if row["model"] == "emt":
            atoms = bulk(row["structure_id"].partition(".")[0], cubic=True)
            atoms.calc = EMT()
            assert float(row["energy_ev"]) == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
            assert float(row["stress_xx_ev_per_ang3"]) == pytest.approx(atoms.get_stress()[0], abs=1e-9)


def test_a_run_collects_in_its_own_process_and_leaves_snakemake_the_jobs(finished) -> None:
    events = [json.loads(line) for line in (finished / "work" / "events.jsonl").read_text().splitlines()]
    assert {event["rule_name"] for event in events if "rule_name" in event} == {"evaluate_emt", "evaluate_lj", "all"}
    assert json.loads((finished / "work" / "call.json").read_text())["timings"]["collecting_s"] > 0


def test_second_call_computes_nothing_and_starts_no_snakemake(mira, finished, structures) -> None:
    table, before = (finished / "comparison.csv").stat().st_mtime_ns, (finished / "logs" / "snakemake.log").read_text()
    done = mira("run", structures, "--models", "emt,lj", "-o", finished)
    assert "emt: nothing to compute, 7 kept" in done.stderr
    assert len(records(finished)) == 14
    assert (finished / "comparison.csv").stat().st_mtime_ns == table
    assert (finished / "logs" / "snakemake.log").read_text() == before


def test_added_structure_is_all_that_is_computed(mira, finished, structures) -> None:
    write(structures / "Cu2.cif", bulk("Cu", a=3.7, cubic=True))
    told = mira("run", structures, "--models", "emt,lj", "-o", finished, "-n").stderr
    assert "emt: 1 structure to compute in 1 job, 7 kept (structures are new)" in told
    assert len(records(finished)) == 14
    mira("run", structures, "--models", "emt,lj", "-o", finished)
    assert len(records(finished)) == 16
    assert statuses(finished) == {"emt": ["ok"] * 8, "lj": ["ok"] * 8}


def test_added_model_is_all_that_is_computed(mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    mira("run", structures, "--models", "emt", "-o", run)
    told = mira("run", structures, "--models", "emt,lj", "-o", run, "-n").stderr
    assert "emt: nothing to compute, 7 kept" in told
    assert "lj: 7 structures to compute in 2 jobs (model is new)" in told or "in 1 job (model is new)" in told
    mira("run", structures, "--models", "emt,lj", "-o", run)
    assert len(records(run)) == 14


def test_changed_setting_recomputes_what_it_touches(mira, finished, structures) -> None:
    before = {row["structure_id"]: row["energy_ev"] for row in rows(finished) if row["model"] == "lj"}
    call = ("run", structures, "--models", "emt,lj", "-o", finished, "--set", "options.lj.sigma=2.0")
    told = mira(*call, "-n").stderr
    assert "emt: nothing to compute" in told
    assert "(its options changed)" in told
    mira(*call)
    assert len(records(finished)) == 21
    after = {row["structure_id"]: row["energy_ev"] for row in rows(finished) if row["model"] == "lj"}
    assert all(after[name] != energy for name, energy in before.items())
    mira("run", structures, "--models", "emt,lj", "-o", finished)  # the old setting's records are still there
    assert len(records(finished)) == 21
    assert {row["structure_id"]: row["energy_ev"] for row in rows(finished) if row["model"] == "lj"} == before


def test_removed_model_and_structure_leave_the_table(mira, finished, structures) -> None:
    (structures / "Au.cif").unlink()
    mira("run", structures, "--models", "lj", "-o", finished)
    assert statuses(finished) == {"lj": ["ok"] * 6}
    assert len(records(finished)) == 14


def test_duplicates_are_computed_once_and_reported_for_each(mira, structures, tmp_path) -> None:
    (structures / "copy.cif").write_bytes((structures / "Cu.cif").read_bytes())
    done = mira("run", structures, "--models", "emt", "-o", tmp_path / "run")
    assert "8 structures, 1 of them duplicates" in done.stderr
    assert len(records(tmp_path / "run")) == 7
    energies = {row["structure_id"]: row["energy_ev"] for row in rows(tmp_path / "run")}
    assert energies["copy.cif#0"] == energies["Cu.cif#0"]


def test_run_yaml_repeats_the_run(mira, finished) -> None:
    done = mira("run", finished / "run.yaml")
    assert "emt: nothing to compute, 7 kept" in done.stderr


def test_moved_run_goes_on_where_it_is(mira, finished, tmp_path) -> None:
    finished.rename(tmp_path / "elsewhere")
    done = mira("run", "run.yaml", cwd=tmp_path / "elsewhere")
    assert "emt: nothing to compute, 7 kept" in done.stderr
    assert not finished.exists()


def test_dry_run_changes_nothing(mira, finished, structures) -> None:
    def content() -> dict:
        return {path: path.stat().st_mtime_ns for path in finished.rglob("*")}

    before = content()
    write(structures / "more.cif", bulk("Cu", a=3.9))
    mira("run", structures, "--models", "lj", "-o", finished, "-n")
    assert content() == before


@pytest.mark.parametrize("name", ["comparison.csv", "comparison.parquet", "results.extxyz", "work/collected.json"])
def test_deleted_result_comes_back(mira, finished, structures, name) -> None:
    (finished / name).unlink()
    mira("run", structures, "--models", "emt,lj", "-o", finished)
    assert (finished / name).is_file()
    assert len(records(finished)) == 14


def test_models_that_a_call_does_not_name_are_told(mira, finished, structures) -> None:
    told = mira("run", structures, "--models", "lj", "-o", finished, "-n").stderr
    assert "left out of tables and report: emt" in told
    assert "`--models emt,lj`" in told
    assert "left out" not in mira("run", structures, "--models", "lj,emt", "-o", finished, "-n").stderr


def test_tables_follow_what_is_wanted_whatever_clocks_say(mira, finished, structures) -> None:
    ahead = time.time() + 10_000  # the host that collected is ahead of this one
    os.utime(finished / "work" / "collected.json", (ahead, ahead))
    mira("run", structures, "--models", "emt", "-o", finished)
    assert statuses(finished) == {"emt": ["ok"] * 7}
    written = (finished / "comparison.csv").stat().st_mtime_ns
    os.utime(finished / "work" / "wanted.json", (ahead, ahead))
    mira("run", structures, "--models", "emt", "-o", finished)
    assert (finished / "comparison.csv").stat().st_mtime_ns == written


def test_default_directory_of_other_inputs_is_left_alone(mira, structures, tmp_path) -> None:
    mira("run", structures, "--models", "emt", cwd=tmp_path)
    other = tmp_path / "other" / structures.name
    other.mkdir(parents=True)
    write(other / "x.cif", bulk("Cu"))
    assert "is a run of other structures" in mira("run", other, "--models", "emt", code=2, cwd=tmp_path).stderr
    assert len(rows(tmp_path / "runs" / structures.name)) == 7


def test_users_own_run_yaml_in_the_run_directory_is_not_overwritten(mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    text = f"# mine\nstructures: {structures}\nmodels: emt\noutput: .\n"
    (run / "run.yaml").write_text(text)
    mira("run", run / "run.yaml")
    assert (run / "run.yaml").read_text() == text
    assert len(rows(run)) == 7


def test_plain_snakemake_does_the_same_work(finished, structures, tmp_path, mira) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    time_limit = "resources: {all: {runtime_min: 12:00:00}}"  # which YAML 1.1 takes for the number 43200
    (structures.parent / "run.yaml").write_text(f"structures: the structures\nmodels: [emt, lj]\n{time_limit}\n")
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        REPOSITORY / "Snakefile",
        "--directory",
        plain,
        "--configfile",
        structures.parent / "run.yaml",
        "--workflow-profile",
        REPOSITORY / "profiles" / "local",
    ]
    for _ in range(2):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=REPOSITORY, check=False)
        assert done.returncode == 0, done.stderr
        numbers = [{k: v for k, v in row.items() if k != "wall_s"} for row in rows(plain)]
        assert numbers == [{k: v for k, v in row.items() if k != "wall_s"} for row in rows(finished)]
        assert len(records(plain)) == 14
    assert "Nothing to be done" in done.stderr
    assert {model["runtime_min"] for model in json.loads((plain / "work/plan.json").read_text())["models"]} == {720}
    mira("run", structures, "--models", "emt,lj", "-o", plain)
    assert len(records(plain)) == 14


def test_plain_snakemake_says_what_is_wrong_with_its_settings(tmp_path) -> None:
    (tmp_path / "run.yaml").write_text("structures: nowhere\nmodels: [emt]\n")
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        REPOSITORY / "Snakefile",
        "--directory",
        tmp_path / "r",
        "--configfile",
        tmp_path / "run.yaml",
        "-c1",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 1
    assert "no file, folder or pattern" in done.stderr
    assert "Traceback" not in done.stderr


def test_failing_model_leaves_the_others_alone(mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    done = mira("run", structures, "--models", "emt,fail", "-o", run, code=1)
    assert statuses(run) == {"emt": ["ok"] * 7, "fail": ["failed"] * 7}
    assert "fails on purpose" in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"mode": "evaluate", "only_element": "Cu"}, "failed", "on purpose"),
        ({"mode": "nan", "only_element": "Cu"}, "nonfinite", ""),
        ({"mode": "oom", "only_element": "Cu"}, "oom", ""),
        ({"mode": "crash", "only_element": "Cu"}, "failed", "died"),
    ],
)
def test_failing_structure_leaves_the_others_alone(mira, structures, tmp_path, options, status, words) -> None:
    models_file = faulty(tmp_path / "m.yaml", **options)
    run = tmp_path / "run"
    call = ("run", structures, "--models", "faulty", "--models-file", models_file, "-o", run)
    mira(*call, code=1)
    by_id = {row["structure_id"]: row for row in rows(run)}
    assert by_id["Cu.cif#0"]["status"] == status
    assert words in by_id["Cu.cif#0"]["error"]
    assert all(row["status"] == "ok" for name, row in by_id.items() if name != "Cu.cif#0")
    assert len(records(run)) == 7


def test_model_that_does_not_load_is_told_and_tried_again_next_time(mira, structures, tmp_path) -> None:
    counter = tmp_path / "count"
    models_file = faulty(tmp_path / "m.yaml", mode="load", times=3, counter=str(counter))
    call = ("run", structures, "--models", "emt,faulty", "--models-file", models_file, "-o", tmp_path / "run")
    done = mira(*call, code=1)
    assert "fails to load on purpose" in done.stderr
    assert statuses(tmp_path / "run")["faulty"] == ["failed"] * 7
    mira(*call)
    assert statuses(tmp_path / "run") == {"emt": ["ok"] * 7, "faulty": ["ok"] * 7}
    assert len(records(tmp_path / "run")) == 14


def test_failed_structures_are_kept_until_asked_for(mira, structures, tmp_path) -> None:
    counter = tmp_path / "count"
    models_file = faulty(tmp_path / "m.yaml", mode="nan", only_element="Cu", times=2, counter=str(counter))
    call = ("run", structures, "--models", "faulty", "--models-file", models_file, "-o", tmp_path / "run")
    mira(*call, code=1)
    mira(*call, code=1)
    assert len(records(tmp_path / "run")) == 7
    mira(*call, "--retry-failed")
    assert statuses(tmp_path / "run") == {"faulty": ["ok"] * 7}
    assert len(records(tmp_path / "run")) == 8


def test_lost_record_is_computed_again_although_its_job_is_over(mira, finished, structures) -> None:
    (file,) = finished.glob("work/records/emt/*/*/records.jsonl")
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-2]) + "garbage\n" + lines[-1][:20])
    mira("run", structures, "--models", "emt,lj", "-o", finished)
    assert statuses(finished) == {"emt": ["ok"] * 7, "lj": ["ok"] * 7}


def test_metals_are_all_there(finished) -> None:
    assert [row["structure_id"] for row in rows(finished) if row["model"] == "emt"] == sorted(
        f"{m}.cif#0" for m in METALS
    )


def test_provenance_tells_who_computed(finished) -> None:
    data = json.loads((finished / "provenance.json").read_text())
    assert data["config"]["models"] == ["emt", "lj"]
    assert [model["package"].split("==")[0] for model in data["models"]] == ["ase", "ase"]
    assert all(model["attempts"][0]["host"] and model["jobs"] for model in data["models"])


def test_the_job_with_most_atoms_comes_first(mira, tmp_path) -> None:
    """Though it has the fewest structures, and so the smallest file."""
    write(tmp_path / "many.extxyz", [bulk("Cu", a=3.6 + i / 100) for i in range(30)])
    write(tmp_path / "one.cif", bulk("Cu", cubic=True).repeat(3))
    split = ["--set", "resources.emt.chunk_atoms=108", "--max-jobs", "1"]
    mira("run", tmp_path / "many.extxyz", tmp_path / "one.cif", "--models", "emt", "-o", tmp_path / "run", *split)
    plan = json.loads((tmp_path / "run/work/plan.json").read_text())
    events = [json.loads(line) for line in (tmp_path / "run/work/events.jsonl").read_text().splitlines()]
    order = [e["wildcards"]["job"] for e in events if e["event"] == "job_info" and e["rule_name"] == "evaluate_emt"]
    assert [plan["jobs"][job]["atoms"] for job in order] == [108, 30]
