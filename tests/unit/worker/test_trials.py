"""A trial that has gone well is not made again, as long as all that it depends on is the same."""

import json
from dataclasses import replace

import pytest

from tests.unit.worker.test_accelerator import MODEL, Changed, choose, energy, forces
from worker import isolation, trials
from worker.accelerator import Offer
from worker.device import Device
from worker.families import ase_builtin
from worker.job import Job

SURROUNDINGS = {
    "image": {"name": "one", "recipe": "abc"}, "packages": {"torch": "2.13.0"}, "device": ["cuda:0", "H200"],
    "worker": "code", "threads": 2, "machine": ["node1", []],
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "cache_folder", lambda: tmp_path)
    return tmp_path / trials.FOLDER


@pytest.fixture
def asked():
    """How often the faster network was asked."""
    return []


@pytest.fixture
def offer(asked):
    def counted(plain, change=lambda result: result, name="fast"):
        return Offer(name, lambda: Changed(plain, lambda result: asked.append(name) or change(result)))

    return counted


def loaded(**changes):
    plain = ase_builtin.load(MODEL, "cpu", "float64")
    plain.checkpoint_sha256 = "weights"
    for name, value in changes.items():
        setattr(plain, name, value)
    return plain


def tried(asked, plain, offer, surroundings=SURROUNDINGS):
    """Whether a trial was made; the faster network is used in any case."""
    asked.clear()
    assert choose(plain, offer, surroundings=surroundings).name == offer.name
    return bool(asked)


def test_the_same_trial_is_made_once(asked, offer) -> None:
    assert tried(asked, loaded(), offer(loaded()))
    assert not tried(asked, loaded(), offer(loaded()))


@pytest.mark.parametrize(
    "change",
    [
        {"image": {"name": "one", "recipe": "xyz"}},
        {"packages": {"torch": "2.13.1"}},
        {"device": ["cuda:0", "A100"]},
        {"device": ["cpu", "H200"]},
        {"worker": "other code"},
        {"threads": 1},
        {"machine": ["node2", []]},
        {"machine": ["node1", ["flags: avx512f"]]},
    ],
)
def test_what_is_around_it_makes_it_another(asked, offer, change) -> None:
    tried(asked, loaded(), offer(loaded()))
    assert tried(asked, loaded(), offer(loaded()), SURROUNDINGS | change)


@pytest.mark.parametrize("change", [{"checkpoint_sha256": "others"}, {"elements": frozenset({11, 17})}])
def test_another_model_is_another_trial(asked, offer, change) -> None:
    tried(asked, loaded(), offer(loaded()))
    assert tried(asked, loaded(**change), offer(loaded()))


def test_another_accelerator_is_another_trial(asked, offer) -> None:
    tried(asked, loaded(), offer(loaded()))
    assert tried(asked, loaded(), offer(loaded(), name="fast 2"))


def test_weights_of_no_known_content_are_tried_each_time(asked, offer) -> None:
    for _ in range(2):
        assert tried(asked, loaded(checkpoint_sha256=None), offer(loaded()))


def test_who_does_not_say_what_is_around_tries_each_time(asked, offer, cache) -> None:
    for _ in range(2):
        assert tried(asked, loaded(), offer(loaded()), None)
    assert not cache.exists()


def test_what_failed_is_tried_again(asked, offer) -> None:
    for change in (energy(1), forces(1)):
        assert choose(loaded(), offer(loaded(), change), surroundings=SURROUNDINGS).name is None
    assert tried(asked, loaded(), offer(loaded()))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"image": "any"}'])
def test_a_damaged_note_is_no_note(asked, offer, cache, content) -> None:
    tried(asked, loaded(), offer(loaded()))
    (note,) = cache.iterdir()
    note.write_text(content)
    assert tried(asked, loaded(), offer(loaded()))
    assert json.loads(note.read_text())["accelerator"] == "fast"


def test_surroundings_say_what_the_job_the_device_and_the_code_are(monkeypatch) -> None:
    job, device = Job("a", MODEL, image={"recipe": "r"}), Device("cpu", "Some CPU", None)
    found = trials.surroundings(job, device, 2, ["ase"])
    assert json.loads(json.dumps(found)) == found
    for other in (
        trials.surroundings(replace(job, image={"recipe": "s"}), device, 2, ["ase"]),
        trials.surroundings(job, Device("cpu", "Other CPU", None), 2, ["ase"]),
        trials.surroundings(job, device, 3, ["ase"]),
        trials.surroundings(job, device, 2, ["ase", "scipy"]),
    ):
        assert other != found
    monkeypatch.setattr(trials, "code_sha256", lambda: "other code")
    assert trials.surroundings(job, device, 2, ["ase"]) != found
