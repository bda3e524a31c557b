"""Which of Snakemake's plugins are imported: those for SLURM, and pandas with them, only for those who need them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mira_cli import python_path
from mira_cli.engine.process import plugin_folders
from mira_cli.engine.profile import Profile, find_profile

ASKED = """
import json, sys
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
print(json.dumps([sorted(ExecutorPluginRegistry().plugins), "pandas" in sys.modules]))
"""


def plugins(profile: Profile) -> tuple[list[str], bool]:
    """Names of the executors that Snakemake would have with a profile, and whether pandas was imported for them."""
    env = {**os.environ, **python_path.python_variables(*plugin_folders(profile))}
    done = subprocess.run([sys.executable, "-P", "-c", ASKED], env=env, capture_output=True, text=True, check=True)
    names, pandas = json.loads(done.stdout)
    return [name for name in names if "jobstep" not in name], pandas


@pytest.mark.parametrize("name", ["local", "pbs"])
def test_jobs_that_do_not_go_to_slurm_are_run_without_the_plugins_for_it(name) -> None:
    assert plugins(find_profile(name)) == (["dryrun", "local", "mira-queue", "touch"], False)


@pytest.mark.parametrize(
    "profile",
    [find_profile("slurm"), Profile("mine", Path(), {"executor": "local", "mira-slurm-requeue": True})],
    ids=["slurm", "local with an option for slurm"],
)
def test_whoever_names_slurm_has_them(profile) -> None:
    if find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("the extra `slurm` is not installed")
    assert {"mira-slurm", "slurm"} <= set(plugins(profile)[0])
