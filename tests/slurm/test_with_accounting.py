"""The same cluster with an accounting database: accounts and QOS are known, and `sacct` answers."""

import pytest

from .conftest import switch, write_profile
from .sound import assert_sound, slow_call
from .test_faults import cancel_from_outside, fault

__all__ = ["fault"]  # the fixture


@pytest.fixture(scope="module", autouse=True)
def accounting(running_cluster):
    """Start the cluster anew with its database; without it again afterwards."""
    switch("stop")
    done = switch("install", "--dbd")
    if done.returncode == 0:
        done = switch("start", "--dbd")
    if done.returncode != 0:
        switch("stop")
        switch("start")
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"no accounting database: {why}")
    yield
    switch("stop")
    switch("start")


def test_accounts_are_known(cluster) -> None:
    assert "mira" in cluster.ask("sacctmgr", "-nP", "show", "assoc", "format=account")


@pytest.mark.parametrize("asked", ["account=nobodys", "qos=nobodys"])
def test_what_is_not_yours_is_refused_in_one_sentence(cluster, fault, mira, asked) -> None:
    done = mira(*fault.call, "--set", f"resources.all.{asked}", code=4)
    assert "nobodys" in done.stderr
    assert done.stderr.count("error:") == 1
    assert cluster.jobs_of(fault.run, ended=True) == []
    fault.tell(f"asks for {asked}", done.stderr.partition("error: ")[2].splitlines()[0], 4)


def test_account_and_qos_reach_slurm(cluster, mira, structures, tmp_path) -> None:
    profile = write_profile(
        tmp_path / "mine", resources={"cpu": {"partition": "cpu", "account": "mira", "qos": "normal"}}
    )
    mira("run", structures, "-m", "emt", "-o", tmp_path / "run", "--profile", profile)
    (job,) = cluster.jobs_of(tmp_path / "run", ended=True)
    about = cluster.job(job["id"])
    assert (about["Account"], about["QOS"]) == ("mira", "normal")


def test_job_cancelled_from_outside_is_noticed(cluster, fault) -> None:
    # `sacct` says `CANCELLED by 0`, at which the stock executor waits for ever
    cancel_from_outside(cluster, fault, "job cancelled from outside, with accounting")


def test_slow_call_without_a_fault(mira, structures, tmp_path, profile) -> None:
    mira(*slow_call(tmp_path, structures, profile, seconds=0.1))
    assert_sound(tmp_path / "run")
