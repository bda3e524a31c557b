"""The wait between two polls: how often it looks at outputs, and what ends it, with a clock of the test's."""

import asyncio
from types import SimpleNamespace

import pytest

from mira_cli.engine.early_polls import EARLY_POLLS, EarlyPolls


class Interface:
    """In place of Snakemake's class."""

    next_seconds_between_status_checks = 60.0


class Executor(EarlyPolls, Interface):
    """With a clock that goes on as it waits, and while it looks."""

    def __init__(self, outputs, takes_s: float = 0.0) -> None:
        super().__init__()
        self.active_jobs = [
            SimpleNamespace(external_jobid=str(number), job=SimpleNamespace(output=[output]))
            for number, output in enumerate(outputs)
        ]
        self.now, self.takes_s, self.waits, self.over_at = 0.0, takes_s, [], 1e9
        self._over = SimpleNamespace(wait=self._wait)

    def _wait(self, seconds: float) -> bool:
        self.waits.append(round(seconds, 6))
        self.now = min(self.now + seconds, self.over_at)
        return self.now >= self.over_at

    def _result_is_there(self) -> bool:
        self.now += self.takes_s
        return super()._result_is_there()

    def waited(self, monkeypatch) -> list[float]:
        monkeypatch.setattr("mira_cli.engine.early_polls.time", SimpleNamespace(monotonic=lambda: self.now))
        self.waits.clear()
        asyncio.run(self.sleep())
        return self.waits


@pytest.mark.parametrize(
    ("takes_s", "waits"),
    [
        (0.0, [5.0] * 12),
        (0.02, [5.0, 20.0, 20.0, 14.94]),  # the looks of a thousand jobs take a thousandth of the time
        (0.2, [5.0, 54.8]),
    ],
)
def test_looks_rest_a_thousand_times_what_they_take(tmp_path, monkeypatch, takes_s, waits) -> None:
    assert Executor([tmp_path / "none"], takes_s).waited(monkeypatch) == waits


@pytest.mark.parametrize(("n_jobs", "first"), [(75, 5.0), (150, 10.0), (300, 20.0), (3000, 60.0)])
def test_many_jobs_are_looked_at_less_often(tmp_path, monkeypatch, n_jobs, first) -> None:
    executor = Executor([tmp_path / "none"] * n_jobs)
    assert executor.waited(monkeypatch) == [first] * round(60 / first)


def test_a_result_ends_the_wait_three_times_at_most(tmp_path, monkeypatch) -> None:
    (tmp_path / "done").touch()
    executor = Executor([tmp_path / "none", tmp_path / "done"])
    for _ in range(EARLY_POLLS):
        assert executor.waited(monkeypatch) == [5.0]
    assert executor.waited(monkeypatch) == [5.0] * 12  # its scheduler cleans up after it for long


def test_the_end_of_all_ends_it_at_once(tmp_path, monkeypatch) -> None:
    executor = Executor([tmp_path / "none"])
    executor.over_at = 7.0
    assert executor.waited(monkeypatch) == [5.0, 5.0]
    assert executor.now == 7.0
