"""How many workers a machine runs at once, and with how many threads each."""

import pytest

from mira_cli.planning.machine import Machine, this_machine


@pytest.mark.parametrize(
    ("cores", "memory_mb", "slots"),
    [(2, 24_000, 2), (64, 16_000, 5), (64, 400_000, 64), (4, 2_000, 1), (8, None, 8)],
)
def test_memory_limits_workers_on_cpus(cores, memory_mb, slots):
    assert Machine(cores, memory_mb=memory_mb).slots == slots


def test_memory_does_not_limit_workers_that_have_a_gpu_each():
    assert Machine(64, ["0", "1"], memory_mb=2_000).slots == 2


def test_only_this_machines_memory_counts():
    assert this_machine(device="cpu", cluster=False).memory_mb > 0
    assert this_machine(device="cpu", cluster=True).memory_mb is None
