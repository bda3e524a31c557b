"""Profiles: found, checked, laid over each other, and taken by Snakemake."""

import json

import pytest
import yaml

from mira_cli.doctor import profile as checks
from mira_cli.engine.dry_run import profile_refusal
from mira_cli.engine.profile import find_profile, origins, profile_folders, shipped_profiles
from mira_cli.errors import UsageError
from mira_cli.queues.table import SCHEDULERS
from mira_cli.resources import Resources, layered
from mira_cli.slurm import preflight
from mira_cli.slurm.cluster import Partition


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Write a profile of the user's own; its config folder is the test's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "machine"))

    def write(name, resources=None, config=None, root="config"):
        folder = tmp_path / root / "mira" / "profiles" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in (("resources.yaml", resources), ("config.yaml", config)):
            if content is not None:
                (folder / file).write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return folder

    return write


# --- files


def test_snakemake_does_not_wait_for_a_second_to_be_over_once_local_jobs_are_done() -> None:
    from snakemake.settings.types import MaxJobsPerTimespan

    limit = MaxJobsPerTimespan.parse_choice(find_profile("local").settings["max-jobs-per-timespan"])
    assert limit.timespan == 0  # else its timer of the last job keeps it for as long


def test_every_shipped_profile_can_be_read_and_says_what_it_is_for(mira, make) -> None:
    rows = {row["profile"]: row for row in json.loads(mira("profiles", "list", "--json").stdout)}
    assert {"local", "slurm"} < set(rows)
    assert sum(name.startswith("sites/") for name in rows) >= 5
    for row in rows.values():
        assert row["error"] is None
        assert row["shipped"]
        assert len(row["for"]) > 20
        others = dict.fromkeys(SCHEDULERS, "mira-queue") | {"local": "local"}
        assert row["executor"] == others.get(row["profile"], "mira-slurm")


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_profile_of_another_scheduler_says_which(name) -> None:
    profile = find_profile(name)
    assert (profile.scheduler, profile.cluster) == (name, True)
    assert find_profile("slurm").scheduler == "slurm"
    assert find_profile("local").scheduler is None


@pytest.mark.parametrize(("said", "message"), [("pbss", "but `pbss`"), (None, "is not said")])
def test_an_unknown_scheduler_is_a_usage_error(make, said, message) -> None:
    folder = make("own", None, {"executor": "mira-queue", **({"mira-queue-scheduler": said} if said else {})})
    with pytest.raises(UsageError, match=message) as caught:
        find_profile(str(folder))
    assert "it is one of pbs, lsf, sge, htcondor, flux" in caught.value.hint


def test_each_site_differs_from_the_others_in_what_it_asks() -> None:
    asked = {
        name: tuple(preflight.sbatch_options(layered([find_profile(name).resources], "x", gpu=True), 4))
        for name in profile_folders()
        if name.startswith("sites/")
    }
    assert len(set(asked.values())) == len(asked)
    assert "--gres=gpu:a100:1" in asked["sites/gres-and-account"]
    assert "--account=my-project" in asked["sites/gres-and-account"]
    assert "--gpus=1" in asked["sites/gpus-option"]
    assert "--constraint=a100|h100" in asked["sites/gpu-by-constraint"]
    assert not any("--g" in option for option in asked["sites/cpu-only"])


def test_a_site_extends_slurm_and_is_written_out_whole(tmp_path) -> None:
    profile = find_profile("cpu-only")
    assert profile == find_profile("sites/cpu-only") or profile.folder == find_profile("sites/cpu-only").folder
    assert profile.cluster
    assert profile.extends == "slurm"
    folder = profile.materialise(tmp_path / "work" / "profile")
    written = yaml.safe_load((folder / "config.yaml").read_text())
    assert written == find_profile("slurm").settings
    assert profile.resources["driver"].mem_mb == 2000  # of slurm
    assert profile.resources["driver"].runtime_min == 5 * 24 * 60  # of its own


def test_the_stronger_word_counts_and_a_null_takes_an_option_away(make) -> None:
    make("base", {"all": {"threads": 4, "account": "a"}}, {"executor": "local", "jobs": 5, "set-threads": {"x": 1}})
    make(
        "mine",
        {"extends": "base", "all": {"threads": 8}, "lj": {"mem_mb": "2G"}},
        {"jobs": None, "set-threads": {"y": 2}, "retries": 1},
    )
    profile = find_profile("mine")
    assert profile.settings == {"executor": "local", "set-threads": {"x": 1, "y": 2}, "retries": 1}
    assert profile.resources["all"] == Resources(threads=8, account="a")
    assert profile.resources["lj"].mem_mb == 2000
    come_from = {key: folder.name for key, folder in origins(profile).items()}
    assert come_from["all.account"] == "base"
    assert come_from["all.threads"] == "mine"
    assert come_from["executor"] == "base"


def test_ones_own_profile_hides_a_shipped_one_and_may_extend_it(make) -> None:
    folder = make("slurm", {"extends": "slurm", "all": {"account": "abc"}})
    profile = find_profile("slurm")
    assert profile.folder == folder
    assert profile.sources == (shipped_profiles() / "slurm", folder)
    assert profile.executor == "mira-slurm"
    assert profile_folders()["slurm"] == folder


def test_a_machines_profile_is_found_after_the_users(make) -> None:
    make("here", {"extends": "slurm", "all": {"account": "machine"}}, root="machine")
    assert find_profile("here").resources["all"].account == "machine"
    make("here", {"extends": "slurm", "all": {"account": "user"}})
    assert find_profile("here").resources["all"].account == "user"


def test_a_path_in_extends_starts_at_the_profiles_folder(make, monkeypatch, tmp_path) -> None:
    make("base", None, {"executor": "local"})
    folder = make("mine", {"extends": "../base"})
    monkeypatch.chdir(tmp_path)
    assert find_profile(str(folder)).settings == {"executor": "local"}


def test_a_file_that_an_option_names_is_found_from_the_written_folder(make, tmp_path) -> None:
    folder = make("mine", {"extends": "slurm"}, {"mira-slurm-partition-config": "limits.yaml"})
    (folder / "limits.yaml").touch()
    written = find_profile("mine").materialise(tmp_path / "out") / "config.yaml"
    assert yaml.safe_load(written.read_text())["mira-slurm-partition-config"] == str(folder / "limits.yaml")


@pytest.mark.parametrize(
    ("resources", "message", "hint"),
    [
        ({"extends": "slurm", "gpu": {"partitionn": "x"}}, "unknown key `gpu.partitionn`", "`partition`"),
        ({"extends": "slurm", "gpus": {"partition": "x"}}, "unknown key `gpus`", "`gpu`"),
        ({"extends": "slurm", "mem_mb": 8000}, "`mem_mb` in .* belongs under", "all: {mem_mb: 8000}"),
        ({"extends": "slurm", "all": {"mem_mb": "much"}}, "`all.mem_mb` in .* cannot be 'much'", "`8G`"),
        ({"extends": "slurm", "all": 3}, "`all` in .* must hold settings, not 3", "`cpu: {partition: cpu"),
        ({"extend": "slurm"}, "unknown key `extend`", "did you mean `extends`?"),
        ("extends: slurm\nall: {qos: a}\nall: {account: b}", "`all` is there twice, in line 2 and in line 3", None),
        ({"extends": "slurmm"}, "no profile `slurmm`, which .* extends", "`slurm`"),
        ({"extends": "mine"}, "extends itself", "`extends`"),
        ({"all": {"threads": 1}}, "neither which profile it extends nor how jobs run", "extends: slurm"),
        ("- a list", "is not a mapping", "README"),
        ("a: [", "cannot read the profile's", None),
        ("x: \x00", "cannot read the profile's", None),
    ],
)
def test_a_mistake_is_named_with_its_file_and_what_was_meant(make, resources, message, hint) -> None:
    folder = make("mine", resources)
    with pytest.raises(UsageError, match=message) as caught:
        find_profile("mine")
    assert str(folder) in str(caught.value) + str(caught.value.hint)
    assert hint is None or hint in caught.value.hint


def test_profiles_that_extend_each_other_are_refused(make) -> None:
    make("a", {"extends": "b"})
    make("b", {"extends": "a"})
    with pytest.raises(UsageError, match="extends itself"):
        find_profile("a")


def test_an_unknown_name_gets_the_nearest_with_its_full_name() -> None:
    with pytest.raises(UsageError) as caught:
        find_profile("cpu-onli")
    assert "`sites/cpu-only`" in caught.value.hint


def test_a_broken_profile_does_not_hide_the_others(mira, make) -> None:
    make("broken", "a: [")
    rows = {row["profile"]: row for row in json.loads(mira("profiles", "list", "--json").stdout)}
    assert "cannot read" in rows["broken"]["error"]
    assert rows["slurm"]["error"] is None
    mira("profiles", "list")
    assert "cannot read" in mira("profiles", "show", "broken", code=2).stderr


def test_show_tells_where_each_word_stands(mira, make) -> None:
    folder = make("mine", {"extends": "slurm", "all": {"threads": 2}})
    shown = json.loads(mira("profiles", "show", "mine", "--json").stdout)
    assert shown["resources"]["all"]["threads"] == 2
    assert shown["from"]["all.threads"] == str(folder)
    assert shown["from"]["jobs"] == str(shipped_profiles() / "slurm")
    assert "all.threads" in mira("profiles", "show", "mine").stdout


# --- Snakemake's options


@pytest.mark.slow
def test_snakemake_takes_the_shipped_options() -> None:
    assert profile_refusal(find_profile("local")) is None
    if checks.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("the extra `slurm` is not installed")
    assert profile_refusal(find_profile("slurm")) is None


@pytest.mark.parametrize(
    ("options", "reason", "near"),
    [
        ({"latency-wayt": 3}, "no option `latency-wayt`", "latency-wait"),
        ({"retries": "often"}, "invalid int value: 'often'", None),
        ({"executor": "slurmm"}, "invalid choice: 'slurmm'", None),
    ],
)
@pytest.mark.slow
def test_snakemakes_refusal_is_passed_on(make, options, reason, near) -> None:
    make("mine", None, {"executor": "local", "cores": 1} | options)
    said, meant = profile_refusal(find_profile("mine"))
    assert reason in said
    assert "usage" not in said
    assert meant == near


def test_check_counts_problems_and_exits_with_4(mira, make) -> None:
    assert "can run" in mira("profiles", "check", "local").stderr
    make("mine", None, {"executor": "no-such", "resources": {"gpu": 1}, "jobs": {"a": 1}})
    done = mira("profiles", "check", "mine", "--json", code=4)
    found = {row["name"]: row for row in json.loads(done.stdout)["checks"]}
    assert found["executor"]["status"] == "fail"
    assert found["options"]["status"] == "fail"
    assert found["jobs"]["status"] == "warn"
    assert "2 problems" in done.stderr


def test_stocks_slurm_executor_is_refused(mira, make) -> None:
    folder = make("base", None, {"executor": "slurm"})
    make("mine", {"extends": "base", "all": {"threads": 1}})
    with pytest.raises(UsageError) as caught:
        find_profile("mine")
    assert str(folder / "config.yaml") in caught.value.message
    assert caught.value.hint == "did you mean `mira-slurm`?"
    assert "did you mean `mira-slurm`" in mira("profiles", "check", "mine", code=2).stderr


@pytest.mark.parametrize("file", ["config", "resources"])
@pytest.mark.parametrize("beside", [None, {"extends": "slurm"}])
def test_a_file_with_the_wrong_ending_is_named(make, file, beside) -> None:
    folder = make("mine", beside)
    (folder / f"{file}.yml").write_text("extends: slurm\n")
    assert "mine" in profile_folders()
    with pytest.raises(UsageError, match=f"{file}.yml` would not be read") as caught:
        find_profile("mine")
    assert caught.value.hint == f"rename it to `{file}.yaml`"


def test_a_time_in_a_profile_is_a_time_for_mira_and_for_snakemake(make, tmp_path) -> None:
    make("mine", "extends: slurm\ncpu: {runtime_min: 12:00:00}\n", "set-resources: {x: {runtime: 1:00:00}}\n")
    profile = find_profile("mine")
    assert profile.resources["cpu"].runtime_min == 720
    written = yaml.safe_load((profile.materialise(tmp_path / "out") / "config.yaml").read_text())
    assert written["set-resources"] == {"x": {"runtime": "1:00:00"}}


def test_check_warns_of_models_that_nobody_knows(mira, make) -> None:
    models = {key: {"threads": 1} for key in ("emtt", "LJ", "emt", "mace:/x.model")}
    make("mine", models, {"executor": "local", "cores": 1})
    found = {row["name"]: row for row in json.loads(mira("profiles", "check", "mine", "--json").stdout)["checks"]}
    assert found["emtt"]["status"] == "warn"
    assert "`emt`" in found["emtt"]["hint"]
    assert found["LJ"]["hint"] == "write `lj`"
    assert not {"emt", "mace:/x.model"} & set(found)


# --- what is asked


def test_check_asks_for_what_jobs_of_a_run_ask_for(make) -> None:
    make("mine", {"cpu": {"runtime_min": 30}, "gpu": {"partition": "g"}}, {"executor": "mira-slurm"})
    small = Partition("c", default=True, up=True, time_limit_min=60, cpus=8, mem_mb=4000, gres=(), nodes=2)
    large = Partition("g", False, True, None, 64, 500_000, ("gpu:4",), 1)
    asked = checks.requests(find_profile("mine"), {}, [small, large])
    assert {name: (r.mem_mb, r.runtime_min, threads) for name, (r, threads) in asked.items()} == {
        "gpu": (8150, 240, 4),
        "cpu": (4000, 30, 4),  # with what is around the worker no more than a node has
        "driver": (2000, 60, 1),
    }
    assert set(checks.requests(find_profile("mine"), {"lj": False}, [small])) == {"lj"}


@pytest.mark.parametrize("executor", ["kubernetes", "googlebatch"])
def test_an_executor_whose_jobs_share_no_files_is_refused(mira, make, executor) -> None:
    folder = make("mine", None, {"executor": executor})
    said = mira("profiles", "check", "mine", code=2).stderr
    assert f"jobs of the executor `{executor}` of `{folder / 'config.yaml'}` see no common file system" in said
    assert "hint: a cluster with one" in said
