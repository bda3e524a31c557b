"""The plan packs exactly what is missing."""

import dataclasses
import pkgutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_cli import tasks
from mira_cli.catalogue.lookup import built_in, find_models
from mira_cli.config import RunConfig, build_config
from mira_cli.engine.argv import build_argv, limits
from mira_cli.engine.profile import find_profile
from mira_cli.errors import UsageError
from mira_cli.planning.changes import what_changed
from mira_cli.planning.chunks import cut_chunks, grown_chunk_atoms, without
from mira_cli.planning.resolve import _slugs, resolve_models
from mira_cli.planning.snakemake_entry import scaled
from mira_cli.resources import Resources, layered, with_defaults
from mira_cli.run.directory import RunDirectory
from mira_cli.tasks import singlepoint
from worker import tasks as worker_tasks

VERSIONS = {"host": {"ase": "3.29.0"}, "fairchem-sevennet": {"sevenn": "0.13.0"}, "matgl": {"chgnet": "0.4.2"}}


def resolve(*names: str, versions=VERSIONS, **settings):
    config = build_config({"structures": ["x"], "models": list(names), **settings}, [])
    return resolve_models(find_models(names, built_in()), built_in(), config, versions)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=200),
    st.integers(1, 3000),
    st.integers(1, 6),
)
def test_chunks_hold_every_row_once_in_order(n_atoms, chunk_atoms, at_least) -> None:
    rows = np.arange(len(n_atoms))
    chunks = cut_chunks(rows, np.array(n_atoms), chunk_atoms, at_least=at_least)
    assert np.concatenate(chunks).tolist() == rows.tolist()
    count = min(len(n_atoms), max(-(-sum(n_atoms) // chunk_atoms), at_least))
    limit = sum(n_atoms) / count
    assert all(sum(np.array(n_atoms)[c]) <= limit + max(n_atoms) for c in chunks)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=200),
    st.integers(1, 3000),
    st.integers(1, 6),
    st.integers(1, 1500),
)
def test_the_last_chunks_are_shorter_but_worth_a_job(n_atoms, chunk_atoms, workers, shortest) -> None:
    rows, n_atoms = np.arange(len(n_atoms)), np.array(n_atoms)
    chunks = cut_chunks(rows, n_atoms, chunk_atoms, at_least=workers, shortest_atoms=shortest)
    plain = cut_chunks(rows, n_atoms, chunk_atoms, at_least=workers)
    assert np.concatenate(chunks).tolist() == rows.tolist()
    assert all(len(c) for c in chunks)
    assert len(chunks) <= len(plain) + 2 * workers
    if len(chunks) != len(plain):
        limit = n_atoms.max()
        assert all(n_atoms[c].sum() <= chunk_atoms + limit for c in chunks)
        assert all(n_atoms[c].sum() >= shortest - limit for c in chunks)


def test_long_jobs_come_first_and_every_worker_has_short_ones_at_the_end() -> None:
    atoms = [len(c) for c in cut_chunks(np.arange(750), np.ones(750, int), 100, at_least=2, shortest_atoms=20)]
    assert atoms == [*[100] * 6, 50, 50, 25, 25]
    assert [len(c) for c in cut_chunks(np.arange(700), np.ones(700, int), 100, at_least=2, shortest_atoms=40)] == [
        *[100] * 6, 50, 50,
    ]  # fmt: skip


def test_nothing_missing_is_no_chunk() -> None:
    assert cut_chunks(np.array([], dtype=int), np.array([3]), 10, at_least=4) == []


def test_what_is_known_is_not_computed() -> None:
    hashes = np.array([b"a", b"", b"b", b"a", b"c", b""], dtype="S32")
    distinct = np.array([0, 2, 4])
    for known, left in ((), [0, 2, 4]), ((b"b",), [0, 4]), ((b"zzz", b"c", b"a", b"b", b"a"), []):
        assert without(distinct, hashes, np.array(known, dtype="S32")).tolist() == left


def test_key_follows_what_changes_numbers_and_nothing_else() -> None:
    (base,) = resolve("lj")
    assert resolve("lj", device="cpu", threads=3, chunk_atoms=5, mem_mb=500)[0].key == base.key
    assert resolve("lj", options={"lj": {"sigma": 2.0}})[0].key != base.key
    assert resolve("lj", versions={**VERSIONS, "host": {"ase": "3.30.0"}})[0].key != base.key
    keys = [model.key for model in resolve("sevennet-0", "sevennet-l3i5", "sevennet-mf-0-pbe", "sevennet-mf-0-r2scan")]
    assert len(set(keys)) == 4


def test_tasks_have_the_versions_that_their_own_files_say() -> None:
    names = {module.name for module in pkgutil.iter_modules(worker_tasks.__path__)}
    assert names == set(tasks.names())
    for name in names:
        inside, outside = worker_tasks.find_task(name), tasks.find_task(name)
        assert outside.version == inside.VERSION
        assert tuple(outside.values) == inside.VALUES
        layouts = {array: (layout.width, layout.rows) for array, layout in inside.ARRAYS.items()}
        assert layouts == {array: (layout.width, layout.rows) for array, layout in outside.arrays.items()}


def test_key_follows_the_task_and_keeps_that_of_the_first_one(monkeypatch) -> None:
    (base,) = resolve("lj")
    assert base.identity["task"] == "singlepoint"
    settings = {"name": "singlepoint", "settings": {"steps": 3}, "version": 1}
    assert tasks.identity(settings) == settings
    monkeypatch.setattr(singlepoint, "TASK", dataclasses.replace(singlepoint.TASK, version=2))
    assert resolve("lj")[0].key != base.key


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (["sevennet-0"], {"dtype": "float64"}, "does not run in float64"),
        (["lj"], {"options": {"lj": {"modal": "x"}}}, "no option `modal`"),
        (["sevennet-mf-0-pbe"], {"options": {"sevennet-mf-0-pbe": {"modal": "R2SCAN"}}}, "no option `modal`"),
        (["lj"], {"options": {"emt": {"x": 1}}}, "not among the run's models"),
        (["lj"], {"options": {"lj": {"sigma": "abc"}}}, "`lj`: `sigma` cannot be `abc`"),
        (["lj"], {"options": {"lj": {"sigma": True}}}, "`lj`: `sigma` cannot be `True`"),
        (["lj"], {"options": {"lj": {"smooth": 3}}}, "`lj`: `smooth` cannot be `3`"),
    ],
)
def test_settings_that_do_not_fit_are_refused(names, settings, message) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(*names, **settings)


def test_argv_is_a_list_that_survives_odd_paths(tmp_path) -> None:
    run = RunDirectory(tmp_path / "a b'c")
    profile = find_profile("local")
    argv = build_argv(run, profile.folder, assets=tmp_path / "x y", runtime="apptainer", limits={"gpu": 2})
    assert argv[argv.index("--directory") + 1] == str(tmp_path / "a b'c")
    assert argv[argv.index("--resources") + 1] == "gpu=2"
    (apptainer,) = [a for a in argv if a.startswith("--apptainer-args=")]
    assert "--nv --env LD_PRELOAD= " in apptainer  # a library of the host's, for another C library
    assert f"""'type=bind,"source={tmp_path}/x y/workflow","destination=/mira/workflow",ro'""" in apptainer
    assert "--software-deployment-method" not in build_argv(run, profile.folder, assets=tmp_path, runtime="venv")


def test_limits_are_laid_over_those_of_the_profile() -> None:
    profile = find_profile("local")
    counts_gpus = dataclasses.replace(profile, settings={"resources": {"gpu": 8}})
    lists_disk = dataclasses.replace(profile, settings={"resources": ["disk=5"]})
    asks = {"a-1": ("a_1", Resources(max_jobs=3)), "b": ("b", Resources())}
    assert limits(config(), {}, profile, 0) == {}
    assert limits(config(), {}, profile, 2) == {"gpu": 2}
    assert limits(config(), {}, counts_gpus, 2) == {}
    assert limits(config(max_jobs=4), asks, counts_gpus, 2) == {"gpu": 8, "slot": 4, "slot_a_1": 3}
    assert limits(config(), asks, lists_disk, 2) == {"disk": "5", "gpu": 2, "slot_a_1": 3}


def config(**settings) -> RunConfig:
    return RunConfig(structures=["s"], models=["m"], **settings)


def test_later_words_about_resources_win() -> None:
    site = {"all": Resources(mem_mb=1000, partition="p"), "gpu": Resources(partition="g", gres="gpu:1")}
    call = {"all": Resources(threads=2), "m": Resources(mem_mb="4G", runtime_min="1h30m"), "n": Resources(gpu=0)}
    on_gpu = layered([site, call], "m", gpu=True)
    assert on_gpu == Resources(gpu=1, threads=2, mem_mb=4000, runtime_min=90, partition="g", gres="gpu:1")
    assert layered([site, call], "n", gpu=True) == Resources(gpu=0, threads=2, mem_mb=1000, partition="p")
    assert layered([site, call], "m", gpu=True, there=False).partition == "p"
    assert layered([{"m": Resources(gpu=1)}], "m", gpu=False).gpu == 1


def test_what_nobody_said_is_no_more_than_the_partition_gives() -> None:
    assert with_defaults(Resources(), 60, 4000) == Resources(mem_mb=4000, runtime_min=60)
    assert with_defaults(Resources(runtime_min=600), 60, None) == Resources(mem_mb=8000, runtime_min=600)


@pytest.mark.parametrize(
    ("total", "chunk"),
    [
        (0, 20_000),
        (200_000, 33_333),
        (1_000_000, 100_000),
        (60_000 * 300, 100_000),
        (10**8 // 3, 111_112),
        (10**10, 200_000),
    ],
)
def test_with_much_to_do_chunks_grow_before_there_are_thousands(total, chunk) -> None:
    assert grown_chunk_atoms(total, gpu=False, slots=2) == chunk
    assert grown_chunk_atoms(10 * total, gpu=True, slots=2) == pytest.approx(10 * chunk, abs=10)


@pytest.mark.parametrize(("attempt", "mb"), [(1, 800), (2, 1600), (3, 2000)])
def test_a_retry_asks_for_more_but_not_for_what_there_is_not(attempt, mb) -> None:
    model = {"mem_mb": 800, "max_mem_mb": 2000, "runtime_min": 60, "max_runtime_min": None}
    assert scaled(model, "mem_mb", attempt) == mb
    assert scaled(model, "runtime_min", attempt) == 60 * attempt
    assert scaled({**model, "mem_mb": 9000}, "mem_mb", attempt) == 9000


def test_unknown_profile_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        find_profile("locl")
    assert "`local`" in str(caught.value.hint)


def test_what_has_changed_is_told() -> None:
    eos = {"name": "eos", "version": 1, "settings": {"points": 7, "form": "vinet"}}
    before = {"package": "x==1", "options": {}, "weights": "ab" * 32, "dtype": "float32", "task": eos}
    assert what_changed(before, before | {"package": "x==2"}) == "its package is x==2, was x==1"
    assert what_changed(before, before | {"weights": "cd" * 32}) == "its weights changed"
    assert what_changed(before, before | {"options": {"head": "a"}, "dtype": "float64"}) == (
        "its options changed; its dtype is float64, was float32"
    )
    other = eos | {"settings": {"points": 9, "form": "vinet"}}
    assert what_changed(before, before | {"task": other}) == "`task.points` is 9, was 7"
    assert what_changed(before, before | {"task": "singlepoint"}) == "another task"


def test_names_that_differ_by_signs_in_options_have_columns_of_their_own() -> None:
    names = ("file:m.py?method=a-b", "file:m.py?method=a.b", "file:m.py")
    slugs = _slugs(names)
    assert slugs["file:m.py"] == "file_m_py"
    assert len(set(slugs.values())) == 3
    assert all(slug.startswith("file_m_py_method_a_b_") for name, slug in slugs.items() if "?" in name)
    assert _slugs(names[::-1]) == slugs
    assert _slugs(names[:1]) == {names[0]: "file_m_py_method_a_b"}
    with pytest.raises(UsageError, match="would share the column name `file_a_b_py`"):
        _slugs(["file:a-b.py", "file:a_b.py"])


def test_numbers_that_differ_in_their_last_digit_are_two_models() -> None:
    names = ("lj?sigma=0.3", "lj?sigma=0.30000000000000004")
    assert [model.name for model in resolve(*names)] == list(names)
