"""What is said of jobs under way: speeds of what models have answered, and nothing where they have answered nothing."""

import json
import time
from types import SimpleNamespace

import pytest

from mira_cli.driver import queue_watch
from mira_cli.driver.progress import ModelProgress, Progress, rest_s
from mira_cli.run.tail import Tail
from mira_cli.tasks import find_task


def test_structures_that_no_model_was_asked_about_say_nothing_of_its_speed(tmp_path) -> None:
    file = tmp_path / "records.jsonl"
    refused = {"kind": "record", "status": "failed", "error": "why", "n_atoms": 1, "batch_size": 0, "wall_s": 0.0}
    task = find_task("singlepoint")
    nothing = dict.fromkeys([*task.values, *(f"{name}_row" for name in task.arrays)])
    lines = [{"kind": "attempt"}, *({**nothing, **refused, "structure": f"{i:032x}"} for i in range(2))]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines[:1]))
    model = ModelProgress("a", "a", 9, [Tail(file, task)])
    model.read(0.0)
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    model.read(30.0)
    assert (model.done, model.rate(60.0), model.eta_s(60.0)) == (2, None, None)
    asked = {**lines[1], "structure": "f" * 32, "batch_size": 1, "wall_s": 50.0}
    with file.open("a") as stream:
        stream.write(f"{json.dumps(asked)}\n")
    model.read(60.0)
    assert model.rate(60.0) == 1 / 60
    assert model.eta_s(60.0) == 6 * 60


@pytest.mark.parametrize(
    ("look_s", "n_jobs", "rest"),
    [
        (0.0, 1, 0.5),
        (0.0005, 8, 0.5),
        (0.0, 30, 0.5),
        (0.003, 30, 1.5),
        (0.004, 300, 5.0),  # that wait
        (0.03, 300, 15.0),  # that run
        (0.06, 600, 30.0),
        (0.01, 3000, 50.0),
        (0.1, 3000, 50.0),
        (0.1, 30000, 60.0),
        (1.0, 300, 60.0),
    ],
)
def test_a_look_takes_a_five_hundredth_of_the_time(look_s, n_jobs, rest) -> None:
    assert rest_s(look_s, n_jobs) == pytest.approx(rest)


@pytest.mark.parametrize(("n_jobs", "rest"), [(0, 30.0), (150, 30.0), (300, 60.0), (3000, 120.0)])
def test_a_queue_of_many_is_asked_for_less_often(n_jobs, rest) -> None:
    assert queue_watch.pause_s(n_jobs) == pytest.approx(rest)


def test_ticks_come_no_later_than_a_look_and_soon_enough_to_obey(monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr("mira_cli.driver.progress.time", SimpleNamespace(monotonic=lambda: now))
    progress = Progress(SimpleNamespace(models=[], jobs=[]), SimpleNamespace())
    assert progress.tick() == 0.5
    progress.next_look = now + 15.0
    assert progress.tick() == 5.0
    now += 14.0
    assert progress.tick() == 1.0
    now += 1.0
    assert progress.tick() == 0.5  # after a look


def test_looks_take_little_of_the_time_however_long_one_takes() -> None:
    class Model:
        looks = done = told = 0
        total, long, tails = 9, None, ()

        def read(self, now: float) -> None:
            self.looks += 1
            time.sleep(0.005)  # as it takes to open the files of hundreds of jobs

    progress = Progress(SimpleNamespace(models=[], jobs=[]), SimpleNamespace())
    progress.models.append(model := Model())
    for _ in range(50):
        progress.tick()
    assert model.looks == 1
    progress.look()  # at the end, whatever the time
    assert model.looks == 2
