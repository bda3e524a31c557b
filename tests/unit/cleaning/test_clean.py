"""What `mira clean` takes for waste in runs and in the cache, and what it leaves alone."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mira_cli.cleaning import cache, runs
from mira_cli.cleaning.waste import count_files, freed_bytes, is_partial, remove_paths, without_links
from mira_cli.errors import RunLockedError, UsageError
from mira_cli.files import write_json
from mira_cli.images import apptainer, recipe, venv
from mira_cli.run.directory import open_run
from mira_cli.run.registry import remember_run


def file(path: Path, n_bytes: int = 10_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(n_bytes))
    return path


def all_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


# --- sizes and removal


def test_a_file_that_has_another_name_elsewhere_frees_nothing(tmp_path) -> None:
    (tmp_path / "env").mkdir()
    alone, shared, twin = (file(tmp_path / "env" / name) for name in ("alone", "shared", "twin"))
    folder = 512 * (tmp_path / "env").stat().st_blocks
    size = {path: 512 * path.stat().st_blocks for path in (alone, shared, twin)}
    os.link(shared, tmp_path / "in-a-cache")
    os.link(twin, tmp_path / "env" / "twin2")
    assert freed_bytes([tmp_path / "env"]) == folder + size[alone] + size[twin]
    assert freed_bytes([shared, tmp_path / "in-a-cache"]) == size[shared]
    assert freed_bytes([alone, alone]) == size[alone]
    assert count_files([tmp_path / "env"]) == 4


def test_links_are_not_followed(tmp_path) -> None:
    precious = file(tmp_path / "elsewhere" / "precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "work").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "run" / "logs").mkdir()
    (tmp_path / "run" / "logs" / "inside").symlink_to(precious)
    root = tmp_path / "run"
    candidates = [root / "work", root / "work" / "precious", root / "logs", root / "logs" / "inside", root / "none"]
    assert without_links(root, candidates) == (root / "logs",)
    assert remove_paths([root / "logs"]) == []
    assert precious.is_file()


def test_what_cannot_be_removed_is_told(tmp_path) -> None:
    (tmp_path / "file").touch()
    assert remove_paths([tmp_path / "none", tmp_path / "file" / "below"]) == [f"{tmp_path}/file/below: not a directory"]


@pytest.mark.parametrize(
    ("name", "partial"),
    [
        (".a.csv.123.partial", True),
        (".a.json.7.part", True),
        ("a.partial", False),
        (".a.partial", False),
        (".b", False),
    ],
)
def test_unfinished_files_are_told_by_their_names(name, partial) -> None:
    assert is_partial(Path(name)) == partial


# --- runs


@pytest.fixture
def run(tmp_path):
    """A run of two models: `a` has one job that is over and one with a failure, `b` one that died."""
    run = open_run(tmp_path / "run")
    models = [{"slug": "a", "jobs": ["1", "2"]}, {"slug": "b", "jobs": ["3"]}]
    write_json(run.plan, {"executor": "local", "models": models})
    write_json(run.wanted, {"models": [{"slug": "a", "key": "new"}, {"slug": "b", "key": "new"}]})
    write_json(run.done("a", "1"), {"counts": {"ok": 3}})
    write_json(run.done("a", "2"), {"counts": {"ok": 3, "failed": 1}})
    write_json(run.done("a", "0"), {"counts": {"ok": 3}})
    for log in ("a/0.log", "a/1.log", "a/1.benchmark.tsv", "a/2.log", "b/3.log", "snakemake.log"):
        file(run.logs / log)
    for records in ("a/new/1", "a/new/2", "a/old/0", "b/new/3", "gone/old/9"):
        file(run.work / "records" / records / "records.jsonl")
    for name in (".snakemake/metadata/x", "work/jobs/a/1.json", "comparison.csv", ".energies.csv.12.partial"):
        file(run.root / name)
    run.config.write_text("# Settings of the last call; `mira run run.yaml` in this folder repeats it.\n")
    file(run.work / "records/a/new/1/.x.json.12.part")
    return run


def found(run, **options) -> dict[str, set[str]]:
    wastes = runs.find_run_waste(run, **options)
    return {waste.what: {path.relative_to(run.root).as_posix() for path in waste.paths} for waste in wastes}


def test_what_is_waste_in_a_run_that_is_not_finished(run) -> None:
    assert found(run) == {
        "Snakemake's own files": {".snakemake"},
        "logs of finished jobs": {"logs/a/0.log", "logs/a/1.log", "logs/a/1.benchmark.tsv"},
        "leftovers of killed writers": {".energies.csv.12.partial", "work/records/a/new/1/.x.json.12.part"},
    }


def test_files_of_jobs_are_waste_once_all_jobs_are_over(run) -> None:
    for records in ("a/new", "a/old"):  # of what may be wanted again, it is kept
        file(run.work / "records" / records / "under_way" / "0a1b")
    assert "answers of structures that were under way" not in found(run)
    write_json(run.done("b", "3"), {"counts": {"ok": 3}})
    waste = found(run)
    assert waste["files of finished jobs"] == {"work/jobs"}
    assert waste["answers of structures that were under way"] == {"work/records/a/new/under_way/0a1b"}
    assert waste["logs of finished jobs"] == {
        "logs/a/0.log", "logs/a/1.log", "logs/a/1.benchmark.tsv", "logs/b/3.log", "logs/snakemake.log",
    }  # fmt: skip


def test_records_of_other_keys_are_waste_only_on_demand(run) -> None:
    assert found(run, old_records=True)["records of earlier settings"] == {
        "work/records/a/old", "work/done/a/0.json", "work/records/gone/old",
    }  # fmt: skip
    run.wanted.write_text("{ damaged")
    assert "records of earlier settings" not in found(run, old_records=True)


def test_a_linked_folder_of_a_run_is_left_alone(run, tmp_path) -> None:
    run.logs.rename(tmp_path / "logs")
    run.logs.symlink_to(tmp_path / "logs")
    assert "logs of finished jobs" not in found(run)


def test_a_run_that_is_in_use_is_refused(run) -> None:
    assert runs.open_finished(run.root).root == run.root
    with (run.work / "lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(RunLockedError, match="is in use"):
            runs.open_finished(run.root)


SQUEUE = "#!/bin/sh\necho '7|{state}|None|n1|0:01|mira-r-1-b|rule_evaluate_b_wildcards_3'\n"


@pytest.mark.parametrize(
    ("plan", "driver", "refused"),
    [
        ({"executor": "mira-slurm", "job_prefix": "mira-r-1"}, None, True),
        ({"executor": "mira-slurm", "job_prefix": "mira-r-1", "over": True}, None, True),
        ({"executor": "mira-slurm", "job_prefix": "mira-r-2"}, None, False),
        ({"executor": "local", "job_prefix": "mira-r-1"}, None, False),
        ({"executor": "local", "job_prefix": "mira-r-1"}, {"kind": "slurm", "ended": None}, True),
        ({"executor": "local", "job_prefix": "mira-r-1"}, {"kind": "slurm", "ended": "then"}, False),
    ],
)
def test_a_run_with_jobs_in_the_queue_is_refused(run, tmp_path, monkeypatch, plan, driver, refused) -> None:
    squeue = file(tmp_path / "bin" / "squeue")
    squeue.write_text(SQUEUE.format(state="RUNNING"))
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:{os.environ['PATH']}")
    sbatch = file(squeue.with_name("sbatch"))
    sbatch.chmod(0o755)
    write_json(run.plan, {**plan, "models": [{"slug": "b", "jobs": ["3"]}]})
    if plan.get("over"):  # an adopted job is not in the plan
        write_json(run.done("b", "3"), {"counts": {"ok": 3}})
    if driver:
        write_json(run.work / "driver.json", driver)
    if not refused:
        runs.refuse_queued(run)
        return
    with pytest.raises(RunLockedError, match="1 job in SLURM's queue"):
        runs.refuse_queued(run)
    squeue.write_text(SQUEUE.format(state="COMPLETED"))
    runs.refuse_queued(run)


def test_what_is_no_run_is_refused(tmp_path) -> None:
    file(tmp_path / "data" / "x")
    with pytest.raises(UsageError, match="not a run directory"):
        runs.open_finished(tmp_path / "data")


def test_files_of_the_users_own_are_strangers(run) -> None:
    assert runs.strangers(run) == []
    file(run.root / "figure.png")
    run.config.write_text("models: [emt]\n")
    assert runs.strangers(run) == ["figure.png", "run.yaml"]


# --- the cache


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A cache with what this MIRA builds, what an older one has built, weights, and builds that died."""
    place = tmp_path / "cache"
    monkeypatch.setenv("MIRA_CACHE", str(place))
    monkeypatch.setenv("APPTAINER_TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "scratch").mkdir()
    image = recipe.find_images(["matgl"])[0]
    for built in (venv.venv_folder(image) / "bin/python", apptainer.sif_path(image), apptainer.base_path()):
        file(built)
    file(apptainer.sidecar(apptainer.sif_path(image)))
    for name in (
        "envs/matgl-000000000000/bin/python", "images/mira-matgl-000000000000.sif", "envs/my own/x",
        "images/mira-matgl-000000000000.json", "images/other.sif", "building/weights-mace-m/new/part",
        "building/weights-mace-m.lock", "logs/matgl-000000000000-venv.log", "locks/matgl-000000000000.lock",
        "logs/weights-mace-m.log", "probes/k.json", "weights/mace/m/files/m.model", "licences.json",
    ):  # fmt: skip
        file(place / name)
    file(place / "logs" / f"matgl-{recipe.recipe_hash(image)}-venv.log")
    return place


def cached(place: Path) -> set[str]:
    return {path.relative_to(place).as_posix() for waste in cache.find_cache_waste() for path in waste.paths}


OLD = {
    "envs/matgl-000000000000", "images/mira-matgl-000000000000.sif", "images/mira-matgl-000000000000.json",
    "building/weights-mace-m", "logs/matgl-000000000000-venv.log", "locks/matgl-000000000000.lock", "probes/k.json",
}  # fmt: skip


def test_what_is_waste_in_the_cache(place) -> None:
    assert cached(place) == OLD


def test_cleaning_the_cache_leaves_the_rest_as_it_is(place) -> None:
    kept = {name for name in all_files(place) if not any(name == old or name.startswith(f"{old}/") for old in OLD)}
    assert [problem for waste in cache.find_cache_waste() for problem in cache.remove_waste(waste)] == []
    assert {name for name in all_files(place) if not (name.startswith("building/") and name.endswith(".lock"))} == {
        name for name in kept if name != "building/weights-mace-m.lock"
    }
    assert cache.find_cache_waste() == []


def test_what_is_being_built_is_left_alone(place) -> None:
    with (place / "building/weights-mace-m.lock").open() as stream:
        wastes = cache.find_cache_waste()
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert cached(place) == OLD - {"building/weights-mace-m"}
        late = next(waste for waste in wastes if "weights-mace-m" in waste.what)
        assert cache.remove_waste(late) == ["unfinished: weights-mace-m: in use"]
    assert (place / "building/weights-mace-m/new/part").is_file()


def test_an_environment_that_runs_is_left_alone(place) -> None:
    word = str(place / "envs/matgl-000000000000/bin/python")
    process = subprocess.Popen([sys.executable, "-c", "input()", word], stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while word.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            assert time.monotonic() < deadline
        assert "envs/matgl-000000000000" not in cached(place)
    finally:
        process.communicate(b"\n")
    assert "envs/matgl-000000000000" in cached(place)


@pytest.mark.parametrize("old", ["envs/matgl-000000000000", "images/mira-matgl-000000000000.sif"])
def test_what_a_run_uses_elsewhere_is_left_alone(place, run, old) -> None:
    used = {"python": str(place / old / "bin/python"), "sif": None} if "envs" in old else {"python": "/opt/python"}
    model = {"slug": "b", "jobs": ["3"], "sif": str(place / old), **used}
    write_json(run.plan, {"executor": "local", "models": [model]})
    remember_run(run.root)
    assert cached(place) == OLD
    with (run.work / "lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert old not in cached(place)


def test_leftovers_of_apptainer_are_those_of_builds_that_died(place, tmp_path) -> None:
    mine = tmp_path / "scratch" / f"mira-{os.getuid()}-matgl-000000000000-apptainer"
    file(mine / "rootfs" / "x")
    file(tmp_path / "scratch" / "other" / "x")
    waste = next(waste for waste in cache.find_cache_waste() if mine in waste.paths)
    with (place / "building/matgl-000000000000-apptainer.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert cache.remove_waste(waste) == ["unfinished: matgl-000000000000-apptainer: in use"]
    assert cache.remove_waste(waste) == []
    assert all_files(tmp_path / "scratch") == {"other/x"}


def test_a_recent_unfinished_file_may_still_be_written(place) -> None:
    torn = file(place / "weights/mace/m/.manifest.json.12.partial")
    assert cached(place) == OLD
    os.utime(torn, (0, 0))
    assert cached(place) == OLD | {"weights/mace/m/.manifest.json.12.partial"}


def test_an_empty_cache_is_clean(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIRA_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("APPTAINER_TMPDIR", str(tmp_path))
    assert cache.find_cache_waste() == []
    assert not (tmp_path / "none").exists()


# --- the command


def test_nothing_is_removed_unasked(mira, run) -> None:
    before = all_files(run.root)
    shown = mira("clean", run.root, "-n")
    assert "Snakemake's own files" in shown.stdout
    assert "--yes" in mira("clean", run.root, code=2).stderr
    assert "--yes" in mira("clean", run.root, "--all", code=2).stderr
    assert all_files(run.root) == before


def test_yes_removes_and_a_second_time_there_is_nothing(mira, run) -> None:
    precious = {name for name in all_files(run.root) if name.startswith("work/records") and ".part" not in name}
    assert "freed about" in mira("clean", run.root, "--yes").stderr
    left = all_files(run.root)
    assert precious | {"comparison.csv", "run.yaml", "work/wanted.json", "work/plan.json", "logs/b/3.log"} <= left
    assert not any(".snakemake" in name or ".part" in name for name in left)
    assert "nothing to remove" in mira("clean", run.root, "--yes").stderr


def test_one_that_is_no_run_keeps_all_from_being_cleaned(mira, run, tmp_path) -> None:
    mira("clean", run.root, tmp_path, "--yes", code=2)
    assert (run.root / ".snakemake").is_dir()


def test_nothing_named_is_an_error(mira) -> None:
    assert "mira clean --cache" in mira("clean", code=2).stderr


def test_all_removes_a_run_and_nothing_beside_it(mira, run, tmp_path) -> None:
    file(run.root / "figure.png")
    assert "figure.png" in mira("clean", run.root, "--all", "--yes", code=2).stderr
    (run.root / "figure.png").unlink()
    (tmp_path / "link").symlink_to(run.root)
    assert "is a link" in mira("clean", tmp_path / "link", "--all", "--yes", code=2).stderr
    kept = file(tmp_path / "elsewhere" / "kept")
    (run.work / "scratch").symlink_to(kept.parent)
    done = mira("clean", ".", "--all", "--yes", cwd=run.root)
    assert str(kept.parent) in done.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["elsewhere", "link"]
    assert kept.is_file()


def test_cleaning_the_cache_by_command(mira, place, tmp_path) -> None:
    said = mira("clean", "--cache", "--yes", MIRA_CACHE=str(place), APPTAINER_TMPDIR=str(tmp_path))
    assert "environment matgl-000000000000, of another recipe" in said.stdout
    assert not (place / "envs/matgl-000000000000").exists()
    assert (place / "weights/mace/m/files/m.model").is_file()
