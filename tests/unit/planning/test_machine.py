"""GPUs and drivers that were asked for where they cannot be had."""

import pytest

from mira_cli.commands.run import _gpus
from mira_cli.errors import UsageError
from mira_cli.planning import machine
from mira_cli.planning.machine import this_machine


@pytest.fixture(autouse=True)
def _two_gpus(monkeypatch) -> None:
    monkeypatch.setattr(machine, "local_gpus", lambda: ["0", "1"])


@pytest.mark.parametrize(("gpus", "chosen"), [(None, ["0", "1"]), (0, []), (1, ["0"]), (["1"], ["1"])])
def test_gpus_of_this_machine(gpus, chosen) -> None:
    assert this_machine(device="auto", cluster=False, gpus=gpus).gpus == chosen


@pytest.mark.parametrize(
    ("gpus", "said"),
    [
        (-1, "asks for -1 GPUs, but those here are 0, 1"),
        (3, "asks for 3 GPUs, but those here are 0, 1"),
        (["0", "5", "7"], "asks for GPU 5, 7, but those here are 0, 1"),
        (["1", "1"], "names GPU 1 more than once"),
    ],
)
def test_gpus_that_are_not_here_are_named_in_words(gpus, said) -> None:
    with pytest.raises(UsageError, match=said) as error:
        this_machine(device="auto", cluster=False, gpus=gpus)
    assert "[" not in error.value.message


def test_a_gpu_that_is_demanded_must_be_here(monkeypatch) -> None:
    assert this_machine(device="cuda", cluster=False).gpus == ["0", "1"]
    monkeypatch.setattr(machine, "local_gpus", list)
    assert this_machine(device="cuda", cluster=True).has_gpus
    with pytest.raises(UsageError, match="`device` is cuda, and there is no GPU here"):
        this_machine(device="cuda", cluster=False)


def test_gpus_change_nothing_on_a_cluster_and_that_is_said(capsys) -> None:
    assert this_machine(device="auto", cluster=True, gpus=2).gpus == []
    assert "SLURM hands out GPUs" in capsys.readouterr().err
    this_machine(device="auto", cluster=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "gpus"), [("2", 2), ("0", 0), ("0,1", ["0", "1"]), ("2,", ["2"]), ("GPU-1", ["GPU-1"])]
)
def test_option_for_gpus(text, gpus) -> None:
    assert _gpus(text) == gpus


@pytest.mark.parametrize("text", ["-1", "x", "", ",", "0,x", "1.5"])
def test_option_for_gpus_that_is_none_is_refused(text) -> None:
    with pytest.raises(UsageError, match="neither how many GPUs to use nor which") as error:
        _gpus(text)
    assert "[" not in error.value.message


def test_submit_needs_a_profile_whose_jobs_go_elsewhere(mira, tmp_path) -> None:
    done = mira("submit", tmp_path / "x.cif", "-m", "lj", "--profile", "local", code=2, cwd=tmp_path)
    assert "its jobs would not leave the driver's own job" in done.stderr
    assert "--profile slurm" in done.stderr
    assert list(tmp_path.iterdir()) == []
