"""Queues and places of a server, with workers that are only pretended."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from ase import Atoms

from mira_cli.serving import pool as pools
from mira_cli.serving import replicas
from mira_cli.serving.pool import Pool, by_model
from mira_cli.structures.geometry import geometry_from_ase
from mira_cli.warm.line import Asked
from mira_cli.warm.lost import WorkerLostError
from mira_cli.warm.worker import Outcome


class PretendedWorker:
    """Answers with a structure's charge; dies of gold."""

    alive: ClassVar[set] = set()
    most = 0
    batches: ClassVar[list] = []

    def __init__(self, plan, **_):
        self.name, self.lost, self.pid = plan.name, None, 1
        self.alive.add(self)
        PretendedWorker.most = max(PretendedWorker.most, len(self.alive))

    def wait(self):
        time.sleep(0.01)
        return {"ready": {"device": "cpu"}}

    def ask(self, geometry, *, heard, task=None):
        asked = Asked(len(geometry))
        self.batches.append(len(geometry))
        time.sleep(0.005)
        if 79 in geometry.numbers:
            self.lost = WorkerLostError(f"the worker of `{self.name}` was killed")
            asked.set_exception(self.lost)
            return asked
        asked.outcomes[:] = [Outcome("ok", None, {"energy_ev": float(charge)}) for charge in geometry.charge]
        for row, outcome in enumerate(asked.outcomes):
            heard(row, outcome)
        asked.set_result(asked.outcomes)
        return asked

    def close(self):
        self.alive.discard(self)


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(replicas, "WarmWorker", PretendedWorker)
    monkeypatch.setattr(pools, "plan_workers", lambda settings, **_: [SimpleNamespace(name=settings["models"][0])])
    monkeypatch.setattr(pools, "free_memory", lambda: 1e12)
    PretendedWorker.alive, PretendedWorker.most, PretendedWorker.batches = set(), 0, []
    pools_made = []

    def make(**more):
        given = {"replicas": {}, "gpus": {}, "keep": None, "timeout_s": 10, "say": lambda _: None, **more}
        pools_made.append(Pool(SimpleNamespace(rows={}, words={}), {}, **given))
        return pools_made[-1]

    yield make
    for one in pools_made:
        one.close()


def structure(symbol: str = "Cu", charge: float = 0.0):
    return geometry_from_ase([Atoms(symbol, info={"charge": charge})])


def test_models_that_want_one_place_all_answer(made) -> None:
    pool = made(keep=1)
    for turn in range(10):
        asked = [pool.ask(name, structure(charge=turn)) for name in ("a", "b", "c", "a", "b")]
        assert not wait(asked, timeout=20).not_done
        assert [one.result().values["energy_ev"] for one in asked] == [turn] * 5
    assert PretendedWorker.most == 1


def test_everyone_gets_their_own_answer_of_replicas_in_batches(made) -> None:
    pool = made(replicas={"a": 3})
    with ThreadPoolExecutor(32) as clients:
        found = list(
            clients.map(lambda n: pool.ask("a", structure(charge=n)).result(20).values["energy_ev"], range(1000))
        )
    assert found == list(range(1000))
    assert PretendedWorker.most == 3
    assert max(PretendedWorker.batches) > 1


def test_a_death_costs_only_whom_it_is_about(made) -> None:
    pool = made()
    pool.ask("a", structure()).result(20)
    asked = [pool.ask("a", structure("Au" if n == 7 else "Cu", n)) for n in range(20)]
    assert not wait(asked, timeout=20).not_done
    assert [n for n, one in enumerate(asked) if one.exception()] == [7]
    assert pool.find("a").lost >= 1


def test_who_has_gone_away_is_not_asked_about(made) -> None:
    pool = made()
    asked = [pool.ask("a", structure()) for _ in range(5)]
    cancelled = sum(one.cancel() for one in asked[1:])
    wait(asked, timeout=20)
    pool.ask("a", structure()).result(20)
    assert sum(PretendedWorker.batches) == 6 - cancelled


def test_what_cannot_be_planned_is_told_to_all_and_tried_again_later(made, monkeypatch) -> None:
    monkeypatch.setattr(replicas, "RETRY_S", 0.2)
    tried = []

    def plan(settings, **_):
        tried.append(threading.current_thread().name)
        raise WorkerLostError("no weights")

    monkeypatch.setattr(pools, "plan_workers", plan)
    pool = made()
    assert "no weights" in str(pool.ask("a", structure()).exception(20))
    with pytest.raises(WorkerLostError):
        pool.ask("a", structure())
    assert len(tried) == 1
    time.sleep(0.25)
    assert "no weights" in str(pool.ask("a", structure()).exception(20))
    assert len(tried) == 2


def test_who_was_taken_from_the_queue_hears_that_the_next_worker_cannot_start(made, monkeypatch) -> None:
    pool = made()
    pool.ask("a", structure()).result(20)
    all_asked = threading.Event()

    def broken(_):
        all_asked.wait(20)  # who asks later is refused at once
        raise WorkerLostError("it cannot start")

    monkeypatch.setattr(PretendedWorker, "wait", broken)
    asked = [pool.ask("a", structure("Au" if n == 3 else "Cu")) for n in range(6)]
    all_asked.set()
    assert not wait(asked, timeout=20).not_done
    assert "it cannot start" in str(asked[5].exception())


def test_a_closed_pool_leaves_nobody_waiting(made) -> None:
    pool = made()
    asked = [pool.ask("a", structure()) for _ in range(50)]
    pool.close()
    assert not wait(asked, timeout=20).not_done
    assert not np.isnan([one.result().values["energy_ev"] for one in asked if not one.exception()]).any()


def test_values_by_model() -> None:
    assert by_model("a=0,b=1,2", "gpus", "…") == {"a": "0", "b": "1,2"}
    assert by_model("0,1", "gpus", "…") == {"": "0,1"}
    assert by_model(None, "gpus", "…") == {}
