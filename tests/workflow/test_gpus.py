"""Several GPUs of one machine, shared by jobs that hold them for real; the driver and the computing are pretended."""

import itertools
import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from tests.runs import faulty, statuses

GPUS = ("90", "91")  # numbers that no real job on this machine holds


@pytest.fixture
def call(tmp_path, structures, monkeypatch):
    """Arguments of `mira` for a run of seven jobs, each of which holds one of the machine's two GPUs for 0.5 s."""
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text(f"#!/bin/sh\nprintf '%s\\n' {' '.join(GPUS)}\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{driver.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    model = faulty(tmp_path / "m.yaml", mode="sleep", seconds=0.5, gpu=True)
    settings = {"chunk_atoms": 4, "threads": 1, "resources.faulty.gpu": 1}
    said = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return lambda run, *more: ("run", structures, "--models", "faulty", "--models-file", model, "-o", run, *said, *more)


def held(run: Path) -> list[tuple[str, float, float]]:
    """GPU, begin and end of every job's evaluation, a part of the time in which it held the GPU."""
    found = []
    for done in run.glob("work/done/*/*.json"):
        job = json.loads(done.read_text())
        (records,) = run.glob(f"work/records/*/*/{job['job']}/records.jsonl")
        (attempt,) = [line for line in map(json.loads, records.open()) if line["kind"] == "attempt"]
        end = datetime.fromisoformat(job["finished"]).timestamp()
        found.append((attempt["gpu"], end - job["evaluate_s"], end))
    return found


def assert_never_shared(times: list[tuple[str, float, float]]) -> None:
    for gpu in GPUS:
        mine = sorted((begin, end) for used, begin, end in times if used == gpu)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(mine)), mine


def test_every_gpu_is_used_and_none_is_shared(mira, call, tmp_path) -> None:
    run = tmp_path / "run"
    mira(*call(run))
    assert statuses(run) == {"faulty": ["ok"] * 7}
    times = held(run)
    assert len(times) == 7
    assert {gpu for gpu, _, _ in times} == set(GPUS)
    assert_never_shared(times)
    (model,) = json.loads((run / "provenance.json").read_text())["models"]
    assert sorted(attempt["gpu"] for attempt in model["attempts"]) == sorted(gpu for gpu, _, _ in times)


def test_two_runs_at_once_share_no_gpu(started, call, tmp_path) -> None:
    runs = [tmp_path / "one", tmp_path / "two"]
    running = [started(*call(run)) for run in runs]
    for one in running:
        code, err = one.end()
        assert code == 0, err
    times = [time for run in runs for time in held(run)]
    assert len(times) == 14
    assert_never_shared(times)


@pytest.mark.parametrize("option", [("--gpus", "1"), ("--set", 'gpus=["90"]')])
def test_a_run_can_be_kept_to_some_gpus(mira, call, tmp_path, option) -> None:
    mira(*call(tmp_path / "run", *option))
    times = held(tmp_path / "run")
    assert {gpu for gpu, _, _ in times} == {"90"}
    assert_never_shared(times)


def test_what_the_surroundings_allow_is_respected(mira, call, tmp_path) -> None:
    mira(*call(tmp_path / "run"), CUDA_VISIBLE_DEVICES="91")
    assert {gpu for gpu, _, _ in held(tmp_path / "run")} == {"91"}


def test_no_gpu_on_the_cpu(mira, call, tmp_path) -> None:
    mira(*call(tmp_path / "run", "--set", "device=cpu"))
    assert {gpu for gpu, _, _ in held(tmp_path / "run")} == {None}
