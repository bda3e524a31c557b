"""Waiting for Snakemake: no longer than asked, and no longer than it lives."""

import os
import subprocess
import time

import pytest

from mira_cli.engine.process import _wait


@pytest.mark.parametrize("can_wait_for_it", [True, False])
@pytest.mark.parametrize(("lives_s", "least_s", "most_s"), [(0.2, 0.1, 5.0), (30.0, 0.5, 10.0)])
def test_a_wait_ends_with_the_child_or_in_time(monkeypatch, can_wait_for_it, lives_s, least_s, most_s) -> None:
    if not can_wait_for_it:
        monkeypatch.delattr(os, "pidfd_open", raising=False)  # as on macOS
    child = subprocess.Popen(["sleep", str(lives_s)])
    began = time.monotonic()
    _wait(child, 20.0 if lives_s < 1 else 0.5)
    assert least_s <= time.monotonic() - began <= most_s
    child.kill()
    child.wait()
