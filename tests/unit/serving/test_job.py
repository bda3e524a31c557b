"""A server as a SLURM job, without a cluster: what it asks for, where it listens, what a node may not see."""

import json
import os
import time
from contextlib import suppress

import pytest

from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.resources import Resources
from mira_cli.serving import submit
from mira_cli.serving.cluster_servers import cluster_servers, servers_home
from mira_cli.serving.submit import _together, address_left, node_address, wishes_of_job
from mira_cli.slurm.cluster import Partition
from mira_cli.warm.server_address import find_server


def test_models_of_one_job_share_its_memory_and_a_gpu_is_one_workers() -> None:
    cpu = {name: Resources(gpu=0, mem_mb=8_000, runtime_min=60, threads=4) for name in "ab"}
    keep, asks = _together(cpu, None, 1, [])
    assert (keep, asks.mem_mb, asks.runtime_min, asks.threads) == (2, 16_000, 60, 4)
    assert _together(cpu, 1, 2, [])[1].mem_mb == 16_000
    mixed = {**cpu, "c": Resources(gpu=1, mem_mb=4_000, runtime_min=90, partition="gpu", batch_atoms=500)}
    keep, asks = _together(mixed, None, 1, [])
    assert (keep, asks.gpu, asks.partition, asks.mem_mb, asks.runtime_min) == (1, 1, "gpu", 8_000, 90)
    assert asks.batch_atoms == 500
    small = [Partition("cpu", True, True, None, 8, 17_000, (), 2)]
    three = {name: Resources(gpu=0, mem_mb=8_000) for name in "abc"}
    keep, asks = _together(three, None, 1, small)
    assert (keep, asks.mem_mb) == (2, 16_000)
    assert _together(three, 3, 1, small)[1].mem_mb == 24_000  # which is refused with a hint, since somebody wants it


def test_a_node_listens_where_others_reach_it(monkeypatch) -> None:
    seen = {"login": ["127.0.0.1"], "controller": ["10.1.2.3"], "none": []}
    monkeypatch.setattr(submit, "_addresses_towards", lambda host: seen.get(host, ["127.0.1.1"]))
    monkeypatch.setenv("SLURM_SUBMIT_HOST", "login")
    monkeypatch.setenv("SLURM_WORKING_CLUSTER", "name:controller:6817:9728:109")
    assert node_address() == "10.1.2.3"
    monkeypatch.setenv("SLURM_WORKING_CLUSTER", "name:none:6817:9728:109")
    assert node_address() == "127.0.0.1"
    monkeypatch.delenv("SLURM_WORKING_CLUSTER")
    monkeypatch.setenv("SLURM_SUBMIT_HOST", "none")
    assert node_address() == "127.0.1.1"


def test_addresses_are_those_of_this_machine() -> None:
    assert submit._addresses_towards("127.0.0.1") == ["127.0.0.1"]
    assert submit._addresses_towards("no-such-host.invalid") == []
    assert submit._addresses_towards("a..b") == []


def test_a_node_that_does_not_see_the_folder_says_so(tmp_path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(EnvironmentNotReadyError, match="this node does not see"):
            wishes_of_job(folder)


def test_an_address_is_there_as_long_as_the_server_is(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    (tmp_path / "job.json").write_text(json.dumps({"models": ["emt"]}))
    token = tmp_path / "token"
    token.write_text("a-token-of-this-test-alone")
    token.chmod(0o600)
    with suppress(ZeroDivisionError), address_left(tmp_path, "http://127.0.0.1:1"):
        found = find_server(tmp_path / "address.json")
        assert (found.url, found.token, found.job) == ("http://127.0.0.1:1", "a-token-of-this-test-alone", "12")
        assert "a-token" not in repr(found)
        raise ZeroDivisionError
    assert sorted(file.name for file in tmp_path.iterdir()) == ["job.json"]


def test_what_was_submitted_long_ago_is_forgotten(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert cluster_servers() == []
    monkeypatch.setattr("mira_cli.serving.cluster_servers.live_jobs", lambda _: [])
    for name, age_d in (("new", 0), ("old", 2), ("older", 40)):
        folder = servers_home() / name
        folder.mkdir(parents=True)
        note = folder / "job.json"
        note.write_text(json.dumps({"job": "1", "name": name, "submitted": "", "models": ["emt"]}))
        os.utime(note, (time.time() - age_d * 86_400,) * 2)
    assert [one.folder.name for one in cluster_servers()] == ["new"]
    assert sorted(folder.name for folder in servers_home().iterdir()) == ["new", "old"]
