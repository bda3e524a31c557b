"""Who is blamed for a worker's death, and who is not."""

import errno
import json

import pytest

from worker import journal as journal_module
from worker.journal import Journal, after_death


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def die(folder, hashes, recorded=()):
    """A worker takes off with some structures and is gone."""
    journal = Journal(folder, recorded)
    journal.take_off(hashes)
    return journal


def test_a_batch_at_a_death_is_evaluated_alone(tmp_path):
    die(tmp_path, ["a", "b", "c"])
    journal = Journal(tmp_path, {"b"})
    assert journal.suspects == {"a", "c"}
    assert not journal.condemned()


def test_a_death_in_company_and_one_alone_condemn(tmp_path):
    die(tmp_path, ["a", "b"])
    assert not die(tmp_path, ["a"]).condemned()
    journal = Journal(tmp_path, ())
    assert journal.condemned() == {"a"}
    assert journal.suspects == {"a", "b"}


def test_deaths_in_company_do_not_condemn(tmp_path):
    for _ in range(5):
        die(tmp_path, ["a", "b"])
    assert not Journal(tmp_path, ()).condemned()


def test_a_death_is_counted_once(tmp_path):
    die(tmp_path, ["a"])
    for _ in range(3):  # workers that die before they evaluate anything, while loading for instance
        Journal(tmp_path, ())
    assert not Journal(tmp_path, ()).condemned()


def test_nobody_is_blamed_for_an_orderly_end(tmp_path):
    die(tmp_path, ["a", "b"]).close()
    assert not (tmp_path / "inflight.json").exists()
    assert Journal(tmp_path, ()).suspects == set()


def test_suspects_outlive_an_orderly_end(tmp_path):
    die(tmp_path, ["a", "b"])
    Journal(tmp_path, ()).close()
    assert Journal(tmp_path, ()).suspects == {"a", "b"}


def test_who_is_recorded_is_forgotten(tmp_path):
    die(tmp_path, ["a"])
    journal = Journal(tmp_path, ())
    journal.take_off(["a"])
    journal.land(["a"])
    journal.close()
    assert not (tmp_path / "inflight.json").exists()


@pytest.mark.parametrize("left", ["", "{", "[]", '{"in_flight": 3}'])
def test_a_damaged_journal_blames_nobody(tmp_path, left):
    (tmp_path / "inflight.json").write_text(left)
    assert Journal(tmp_path, ()).suspects == set()


def test_a_full_disk_blames_nobody(tmp_path, monkeypatch):
    die(tmp_path, ["a", "b"])
    journal = Journal(tmp_path, ())
    journal.take_off(["a"])

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_module, "write_json", full)
    journal.close()
    assert not (tmp_path / "inflight.json").exists()


def test_nobody_is_blamed_where_slurm_starts_a_job_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    for _ in range(3):  # nodes that are lost one after the other
        assert die(tmp_path, ["a"]).suspects == set()
    assert not Journal(tmp_path, ()).condemned()


def test_a_job_that_failed_comes_back_under_a_new_id(tmp_path, monkeypatch):
    for job in ("12", "13"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        assert not die(tmp_path, ["a"]).condemned()
    monkeypatch.setenv("SLURM_JOB_ID", "14")
    assert Journal(tmp_path, ()).condemned() == {"a"}


def test_a_requeue_neither_adds_to_old_suspicion_nor_takes_from_it(tmp_path, monkeypatch):
    die(tmp_path, ["a", "b"])
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    die(tmp_path, ["a"])
    journal = die(tmp_path, ["a"])  # the node was lost while `a` was evaluated alone
    assert (journal.suspects, journal.condemned()) == ({"a", "b"}, set())
    monkeypatch.setenv("SLURM_JOB_ID", "13")  # this time, it was the worker
    assert Journal(tmp_path, ()).condemned() == {"a"}


def test_on_no_cluster_there_is_no_requeue(tmp_path):
    die(tmp_path, ["a"])
    assert Journal(tmp_path, ()).suspects == {"a"}


def test_the_file_says_who_is_in_flight(tmp_path):
    die(tmp_path, ["a", "b"])
    assert json.loads((tmp_path / "inflight.json").read_text())["in_flight"] == ["a", "b"]


def test_conclusions_are_pure():
    left = {"in_flight": ["a"], "suspects": ["b"], "deaths": {"a": 1, "gone": 1}}
    assert after_death(left, {"b"}) == ({"a"}, {"a": 2})
    assert left["deaths"] == {"a": 1, "gone": 1}
