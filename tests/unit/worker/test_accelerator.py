"""A faster network is used where it answers as the plain one does, and what was used is in each attempt."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mira_cli.config import build_config
from mira_cli.errors import UsageError
from tests.unit.worker.jobs import read_lines, read_records, write_job
from worker import accelerator, session
from worker.accelerator import Offer, accelerate
from worker.errors import WorkerError
from worker.families import ase_builtin
from worker.families.base import Result
from worker.job import Checkpoint, Model, read_job
from worker.stopping import Stop

MODEL = Model("lj", "ase_builtin", Checkpoint("lj", None), {}, "float64", None, stress=True)


class Changed:
    """A potential whose answers are changed."""

    def __init__(self, plain, change):
        self.plain, self.change = plain, change

    def __getattr__(self, name):
        return getattr(self.plain, name)

    def evaluate(self, batch):
        return [self.change(result) for result in self.plain.evaluate(batch)]


def energy(by):
    return lambda r: replace(r, energy_ev=r.energy_ev + by)


def forces(by):
    return lambda r: replace(r, forces_ev_per_ang=r.forces_ev_per_ang + by)


def stress(by):
    return lambda r: replace(r, stress_ev_per_ang3=r.stress_ev_per_ang3 + by)


def raising(error):
    def change(result):
        raise error

    return change


@pytest.fixture
def plain():
    return ase_builtin.load(MODEL, "cpu", "float64")


def choose(plain, *offers, **how):
    return accelerate(SimpleNamespace(accelerators=lambda *_: list(offers)), MODEL, plain, "cuda:0", **how)


def offer(plain, change=lambda result: result, name="fast", **more):
    return Offer(name, lambda: Changed(plain, change), **more)


@pytest.mark.parametrize("change", [energy(1e-9), forces(1e-8), stress(1e-10)])
def test_rounding_is_no_difference(plain, change):
    choice = choose(plain, offer(plain, change))
    assert (choice.name, choice.refused) == ("fast", {})
    assert isinstance(choice.potential, Changed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (energy(1e-3), "energy off by 0.00013 eV/atom in Cl4Na4, where "),
        (forces(1e-3), "forces off by 0.001 eV/Å in Cl4Na4, where "),
        (stress(1e-3), "stress off by 0.001 eV/Å³ in Cl4Na4, where "),
        (energy(np.nan), "energy off by nan eV/atom in Cl4Na4, where "),
        (forces(np.nan), "forces off by nan eV/Å in Cl4Na4, where "),
        (lambda r: replace(r, forces_ev_per_ang=r.forces_ev_per_ang[:-1]), "forces of shape (7, 3) instead of (8, 3)"),
        (lambda r: Result(r.energy_ev, r.forces_ev_per_ang, None), "stress of shape () instead of (6,)"),
        (raising(MemoryError("no room")), "MemoryError: no room"),
        (raising(ImportError("libcuda.so.1")), "ImportError: libcuda.so.1"),
    ],
)
def test_any_difference_is_refused(plain, change, words, capsys):
    choice = choose(plain, offer(plain, change))
    assert choice.potential is plain
    assert choice.name is None
    assert words in choice.refused["fast"]
    assert capsys.readouterr().err.startswith("worker: fast is not used: ")


def test_the_next_is_tried(plain):
    wrong, good = offer(plain, energy(1), name="wrong"), offer(plain, name="good")
    choice = choose(plain, wrong, good, offer(plain, raising(AssertionError), name="later"))
    assert choice.name == "good"
    assert list(choice.refused) == ["wrong"]


def test_a_package_that_is_not_there_is_refused(plain):
    choice = choose(plain, offer(plain, module="no_such_kernels"))
    assert choice.refused == {"fast": "ModuleNotFoundError: No module named 'no_such_kernels'"}


def test_what_is_not_repaid_is_not_made(plain):
    slow = Offer("slow", lambda: pytest.fail("it was made"), repaid_atoms=1000)
    assert choose(plain, slow, atoms=999).potential is plain
    assert choose(plain, slow, setting="off").potential is plain
    quick = offer(plain, repaid_atoms=1000)
    assert choose(plain, quick, atoms=1000).name == "fast"
    assert choose(plain, quick, atoms=1, setting="on").name == "fast"


def test_what_takes_minutes_is_prepared_for_long_jobs_and_who_says_on(plain, tmp_path):
    prepared = []
    slow = offer(plain, repaid_atoms=1000, prepare=lambda: prepared.append(list(tmp_path.iterdir())))
    assert choose(plain, slow, atoms=None).potential is plain
    assert choose(plain, slow, atoms=999).potential is plain
    assert prepared == []
    assert choose(plain, slow, atoms=1000, folder=tmp_path).name == "fast"
    assert choose(plain, slow, setting="on", folder=tmp_path).name == "fast"
    assert prepared == [[], []]  # no trial is written down by then: a job that is stopped does not do without


def test_what_cannot_be_prepared_is_refused(plain):
    def prepare():
        raise WorkerError("there is no compiler")

    choice = choose(plain, offer(plain, prepare=prepare), offer(plain, name="other"), setting="on")
    assert (choice.name, choice.refused) == ("other", {"fast": "there is no compiler"})


class WrongBySize(Changed):
    """A potential that is wrong where it is asked about some number of structures and atoms."""

    def evaluate(self, batch):
        results = self.plain.evaluate(batch)
        return [self.change(result) for result in results] if self.sizes(batch) else results


@pytest.mark.parametrize(
    "sizes",
    [
        lambda batch: len(batch) == len(batch[0]) == 1,
        lambda batch: len(batch) == 1 and len(batch[0]) == 2,
        lambda batch: len(batch) == 2,
        lambda batch: len(batch) > 3,
        lambda batch: len(batch) == 1 and len(batch[0]) > 50,
    ],
)
def test_what_is_wrong_for_some_sizes_is_refused(plain, sizes):
    wrong = WrongBySize(plain, energy(1.0))
    wrong.sizes = sizes
    assert choose(plain, Offer("fast", lambda: wrong)).name == "fast"  # which the usual trial does not see
    choice = choose(plain, Offer("fast", lambda: wrong, by_size=True))
    assert choice.potential is plain
    assert "energy off by" in choice.refused["fast"]


def test_a_gpu_that_is_lost_costs_one_attempt(plain, tmp_path):
    fatal = offer(plain, raising(RuntimeError("CUDA error: an illegal memory access was encountered")))
    with pytest.raises(WorkerError, match="the GPU failed while fast was tried, a restart goes on without it"):
        choose(plain, fatal, folder=tmp_path)
    again = Offer("fast", lambda: pytest.fail("it was tried again"))
    for _ in range(2):
        choice = choose(plain, again, offer(plain, name="other"), folder=tmp_path)
        assert choice.refused == {"fast": "an earlier attempt ended while it was tried"}
        assert choice.name == "other"
    assert json.loads((tmp_path / accelerator.NOTE).read_text()) == {"tried": ["fast"]}


def test_a_trial_that_is_survived_leaves_nothing(plain, tmp_path):
    choose(plain, offer(plain, energy(1), name="wrong"), offer(plain), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def offering(monkeypatch):
    """The family of `lj` offers a faster network."""

    def offer_it(change):
        monkeypatch.setattr(ase_builtin, "accelerators", lambda plain, device: [offer(plain, change)], raising=False)

    return offer_it


def worked(folder, monkeypatch, **changes):
    monkeypatch.chdir(folder)
    plain = ase_builtin.load(MODEL, "cpu", "float64")
    given = [prepared.atoms for prepared in accelerator.structures_asked(MODEL, plain)]
    write_job(folder, given, model={"name": "lj", "checkpoint": {"bundled": "lj"}}, **changes)
    job = read_job(folder / "job.json")
    session.run_session(job, folder / "records", folder / "done.json", threads=1, network="open", stop=Stop())
    (attempt,) = read_lines(folder, "attempt")
    return attempt, read_records(folder)


def test_an_attempt_says_what_was_used(tmp_path, monkeypatch, offering):
    offering(energy(1e-9))
    attempt, _ = worked(tmp_path, monkeypatch)
    assert (attempt["accelerator"], attempt["accelerators_refused"]) == ("fast", {})


def test_an_attempt_says_why_not_and_its_numbers_are_the_plain_ones(tmp_path, monkeypatch, offering):
    (tmp_path / "plain").mkdir()
    attempt, expected = worked(tmp_path / "plain", monkeypatch, accelerators="off")
    assert (attempt["accelerator"], attempt["accelerators_refused"]) == (None, {})
    offering(energy(1.0))
    attempt, records = worked(tmp_path, monkeypatch)
    assert attempt["accelerator"] is None
    assert "energy" in attempt["accelerators_refused"]["fast"]
    assert {h: r["energy_ev"] for h, r in records.items()} == {h: r["energy_ev"] for h, r in expected.items()}


def test_off_is_off(tmp_path, monkeypatch, offering):
    offering(lambda _: pytest.fail("it was asked"))
    attempt, _ = worked(tmp_path, monkeypatch, accelerators="off")
    assert (attempt["accelerator"], attempt["accelerators_refused"]) == (None, {})


def test_a_job_with_another_word_is_refused(tmp_path):
    write_job(tmp_path, [], accelerators="yes")
    with pytest.raises(WorkerError, match="accelerators 'yes' is none of auto, on, off"):
        read_job(tmp_path / "job.json")


@pytest.mark.parametrize(("word", "meant"), [("on", "on"), ("off", "off"), ("auto", "auto"), ("'off'", "off")])
def test_the_setting_survives_yaml(word, meant):
    config = build_config({"structures": ["a"], "models": ["emt"]}, [f"accelerators={word}"])
    assert config.accelerators == meant


def test_another_word_is_no_setting():
    with pytest.raises(UsageError, match="accelerators"):
        build_config({"structures": ["a"], "models": ["emt"]}, ["accelerators=sometimes"])
