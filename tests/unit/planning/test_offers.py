"""A run asks a loaded model only if its own job would load it just so."""

from dataclasses import replace

import pytest
from ase.build import bulk
from ase.io import write

from mira_cli.config import build_config
from mira_cli.planning import prepare
from mira_cli.planning.machine import Machine
from mira_cli.planning.offers import OF_JOB, WarmOffer, find_offer, worker_code
from mira_cli.planning.prepare import check_request, prepare_run
from mira_cli.resources import Resources
from mira_cli.run.directory import open_run
from mira_cli.warm.plan import plan_workers

READY = {
    "host": "here", "python": "3.13", "packages": {"ase": "1"}, "device": "cpu", "gpu": None, "dtype": "float64",
    "checkpoint_sha256": None, "image": {}, "threads": 2,
}  # fmt: skip
ON_GPU = {"ready": READY | {"device": "cuda:0", "gpu": "0"}}


@pytest.fixture(scope="module")
def planned():
    (plan,) = plan_workers({"models": ["emt"]})
    job = {name: plan.job[name] for name in OF_JOB}
    return plan, WarmOffer("emt", plan.model.key, job, READY, worker_code(), "/socket", "http://127.0.0.1:8000")


def found(planned, machine=None, asks=None, spec=None, **changed) -> bool:
    plan, offer = planned
    offers = [replace(offer, **changed)]
    machine = machine or Machine(cores=2)
    return find_offer(offers, plan.model, plan.job | (spec or {}), machine, asks or Resources()) is not None


def test_what_agrees_is_asked(planned) -> None:
    assert found(planned)
    assert found(planned, spec={"device": "auto"})
    assert found(planned, asks=Resources(threads=2))
    assert found(planned, Machine(2, ["0"]), Resources(gpu=1), {"device": "cuda"}, **ON_GPU)
    assert found(planned, Machine(2, ["0"]), Resources(gpu=1), {"device": "auto"}, **ON_GPU)


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {"model": "lj"}),
        ({}, {"key": "0123456789abcdef"}),
        ({}, {"code": "of yesterday"}),
        ({"spec": {"batch_atoms": 10}}, {}),
        ({"spec": {"accelerators": "off"}}, {}),
        ({"spec": {"image": {"name": "host", "recipe": "", "runtime": "apptainer"}}}, {}),
        ({"asks": Resources(threads=1)}, {}),
        ({"spec": {"device": "cuda"}}, {}),
        ({"spec": {"device": "cpu"}}, ON_GPU),
        ({"machine": Machine(2, ["0"]), "asks": Resources(gpu=1), "spec": {"device": "auto"}}, {}),
        ({"machine": Machine(2, ["1"]), "asks": Resources(gpu=1), "spec": {"device": "auto"}}, ON_GPU),
    ],
)
def test_what_differs_is_not_asked(planned, given, changed) -> None:
    assert not found(planned, **given, **changed)


@pytest.fixture
def warm_models(planned, tmp_path, monkeypatch):
    """The models of a plan that are asked of others."""
    monkeypatch.setattr(prepare, "this_machine", lambda **_: Machine(cores=4, memory_mb=64_000))
    write(tmp_path / "small.extxyz", bulk("Cu"))
    write(tmp_path / "much.extxyz", bulk("Cu") * (22, 22, 22))

    def plan(structures: str = "small.extxyz", again=(), **settings) -> set[str]:
        config = build_config({"structures": [str(tmp_path / structures)], "models": ["emt"], **settings}, [])
        run = open_run(tmp_path / "run")
        return {*prepare_run(check_request(config), run, images="skip", again=again, offers=[planned[1]]).plan.warm}

    return plan


def test_a_run_on_this_machine_asks(warm_models) -> None:
    assert warm_models() == {"emt"}


def test_a_run_on_a_cluster_does_not(warm_models, tmp_path) -> None:
    profile = tmp_path / "elsewhere"
    profile.mkdir()
    (profile / "config.yaml").write_text("executor: cluster-generic\n")
    assert warm_models(profile=str(profile)) == set()


def test_nor_one_that_refuses_nor_one_of_another_task(warm_models) -> None:
    assert warm_models(warm=False) == set()
    assert warm_models(task="relax") == set()


def test_nor_what_failed_before_nor_what_many_workers_do_sooner(warm_models) -> None:
    assert warm_models(again=["emt"]) == set()
    assert warm_models("much.extxyz") == set()
