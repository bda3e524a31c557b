"""What one run of a project has computed serves the next."""

import json
import shutil

import pytest

from tests.runs import faulty, records, rows, statuses


def attempts(run) -> list[dict]:
    lines = [line for file in run.glob("work/records/*/*/*/records.jsonl") for line in file.read_text().splitlines()]
    return [line for line in map(json.loads, lines) if line["kind"] == "attempt"]


def numbers(run) -> dict[tuple[str, str], tuple[str, ...]]:
    columns = ("energy_ev", "fmax_ev_per_ang", "pressure_gpa", "stress_xy_ev_per_ang3")
    return {(row["structure_id"], row["model"]): tuple(row[c] for c in columns) for row in rows(run)}


@pytest.fixture
def first(mira, structures, tmp_path):
    run = tmp_path / "runs" / "first"
    mira("run", structures, "-m", "emt,lj", "-o", run)
    return run


def test_same_work_is_taken_over_not_done_again(mira, structures, first) -> None:
    second = first.parent / "second"
    looked = mira("run", structures, "-m", "emt,lj", "-o", second, "-n").stderr
    assert looked.count("nothing to compute, 7 kept (7 from other runs)") == 2
    told = mira("run", structures, "-m", "emt,lj", "-o", second).stderr
    assert told.count("7 structures taken over from") == 2
    assert told.count("nothing to compute, 7 kept") == 2
    assert {attempt["reused_from"] for attempt in attempts(second)} == {str(first)}
    assert numbers(second) == numbers(first)
    assert (second / "results.extxyz").read_bytes() == (first / "results.extxyz").read_bytes()
    shutil.rmtree(first)  # the second is whole by itself
    mira("collect", second)
    assert statuses(second) == {"emt": ["ok"] * 7, "lj": ["ok"] * 7}


def test_only_what_is_missing_is_computed(mira, structures, first, tmp_path) -> None:
    more = tmp_path / "more"
    shutil.copytree(structures, more)
    shutil.copy(structures / "Cu.cif", more / "Twin.cif")
    (more / "Ag.cif").write_text((more / "Ag.cif").read_text().replace("4.09", "4.19"))
    second = first.parent / "second"
    looked = mira("run", more, "-m", "emt", "-o", second, "-n").stderr
    assert "6 structures will be taken over from" in looked
    assert "1 structure to compute in 1 job, 6 kept (6 from other runs)" in looked
    assert not second.exists()
    told = mira("run", more, "-m", "emt", "-o", second).stderr
    assert "1 structure to compute in 1 job, 6 kept" in told
    assert len({record["structure"] for record in records(second)}) == len(records(second)) == 7


def test_other_settings_are_other_work(mira, structures, first) -> None:
    other = first.parent / "other"
    told = mira("run", structures, "-m", "lj", "-o", other, "--set", "options.lj.sigma=2.5").stderr
    assert "taken over" not in told


def test_reuse_can_be_refused(mira, structures, first) -> None:
    alone = first.parent / "alone"
    assert "taken over" not in mira("run", structures, "-m", "emt", "-o", alone, "--no-reuse").stderr
    assert len(records(alone)) == 7


def test_failures_are_not_taken_over_and_tables_learn_of_what_is(mira, structures, tmp_path) -> None:
    broken = faulty(tmp_path / "models.yaml", mode="evaluate", only_element="Cu", times=1, counter=str(tmp_path / "n"))
    call = ("run", structures, "-m", "faulty", "--models-file", broken, "--set", "resources.faulty.batch_atoms=1")
    failed, good = tmp_path / "runs" / "failed", tmp_path / "runs" / "good"
    mira(*call, "-o", failed, code=1)
    told = mira(*call, "-o", good).stderr
    assert "6 structures taken over" in told
    told = mira("retry", failed).stderr  # the neighbour has what failed here
    assert "1 structure taken over" in told
    assert statuses(failed) == {"faulty": ["ok"] * 7}


def test_a_damaged_neighbour_costs_nothing_but_its_damage(mira, structures, first) -> None:
    for file in first.glob("work/records/emt/*/*/forces.f64"):
        file.write_bytes(file.read_bytes()[:-96])  # the last structure's
    second = first.parent / "second"
    told = mira("run", structures, "-m", "emt", "-o", second).stderr
    assert "6 structures taken over" in told
    assert statuses(second) == {"emt": ["ok"] * 7}
