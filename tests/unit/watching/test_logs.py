"""Which logs tell most."""

import os

import pytest

from mira_cli.errors import UsageError
from mira_cli.watching.job_logs import failed_logs, job_logs, telling_logs
from mira_cli.watching.reader import read_state
from tests.unit.watching.watching_site import Site


def test_logs_that_tell_most(site, holder) -> None:
    site.plan(lj=["j1", "j2", "j3", "j4", "j5"])
    run, numbers = site.run, range(5)
    assert [log.title for log in telling_logs(read_state(run.root), run)] == ["Snakemake"]
    for number in numbers:
        site.started(number, f"j{number + 1}")
    running = telling_logs(read_state(run.root), run)
    assert len(running) == 3
    assert all("running" in log.title for log in running)
    for number in numbers:
        site.event("job_error", jobid=number)
    (run.logs / "lj").mkdir(parents=True)
    (run.logs / "lj" / "j5.log").write_text("why\n")
    state = read_state(run.root)
    assert [log.path.stem for log in telling_logs(state, run)] == ["j3", "j4", "j5"]
    assert len(failed_logs(state, run)) == 5
    (run.logs / "lj" / "j5.log").write_text("")
    assert telling_logs(state, run)[-1].title == "Snakemake"  # the jobs said nothing


def test_slurms_own_log_follows_that_of_a_failed_job(site) -> None:
    site.plan(lj=["j1"])
    site.started(1, "j1")
    site.event("job_error", jobid=1)
    folder = site.run.root / ".snakemake" / "slurm_logs" / "rule_evaluate_lj" / "j1"
    folder.mkdir(parents=True)
    for number, when in ((12, 100), (9, 200)):
        (folder / f"{number}.log").write_text("x")
        os.utime(folder / f"{number}.log", (when, when))
    logs = failed_logs(read_state(site.run.root), site.run)
    assert [log.path.name for log in logs] == ["j1.log", "9.log"]  # the last try


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--driver", "--model", "lj"), "`--driver` shows another"),
        (("--snakemake", "--model", "lj"), "`--snakemake` shows another"),
        (("--driver", "--failed"), "exclude one another"),
        (("--snakemake", "--failed"), "exclude one another"),
        (("--failed", "--job", "j1"), "exclude one another"),
    ],
)
def test_options_that_cannot_both_hold_are_refused(mira, site, options, said) -> None:
    done = mira("logs", site.run.root, *options, code=2)
    assert said in done.stderr
    assert done.stdout == ""


def test_printed_command_can_be_pasted(tmp_path) -> None:
    site = Site(tmp_path / "a run; of mine")
    with pytest.raises(UsageError) as error:
        job_logs(read_state(site.run.root), site.run, "zzz")
    assert f"mira status '{site.run.root}' --json" in error.value.hint


def test_log_of_one_job_and_of_unknown_ones(site) -> None:
    (site.run.logs / "lj").mkdir(parents=True)
    (site.run.logs / "lj" / "abc123.log").write_text("x")
    state = read_state(site.run.root)
    assert [log.path.stem for log in job_logs(state, site.run, "abc")] == ["abc123"]
    with pytest.raises(UsageError, match="no job `zzz`"):
        job_logs(state, site.run, "zzz")
    with pytest.raises(UsageError, match="not a model"):
        telling_logs(state, site.run, model="lk")
