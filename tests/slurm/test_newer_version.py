"""What SLURM's words decide, once more on a newer SLURM than this machine's: its daemons, its commands, its answers.

`SLURM_TEST_VERSION=forky pytest tests/slurm` runs all of this folder on another one.
"""

import os

import pytest

from tests.slurm import test_faults, test_preflight, test_runs

from .conftest import programs_of, switch
from .test_faults import fault
from .test_preflight import make

__all__ = ["fault", "make"]  # fixtures

for _module in (test_faults, test_preflight, test_runs):
    for _name, _test in vars(_module).items():
        if any(mark.name == "versions" for mark in getattr(_test, "pytestmark", ())):
            globals()[_name] = _test


@pytest.fixture(scope="module", autouse=True)
def newer(running_cluster):
    """The cluster is of Debian 13's version meanwhile."""
    programs = programs_of("trixie")  # before anything is stopped
    switch("stop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", programs, prepend=os.pathsep)
        yield switch("start")
        switch("stop")
    switch("start")


def test_it_is_newer(newer, cluster) -> None:
    assert newer.returncode == 0, newer.stderr
    assert cluster.ask("squeue", "--version").split()[-1].startswith("24.11.")
