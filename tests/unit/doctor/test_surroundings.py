"""What a site's modules, start files and limits bring with them."""

import os
import resource
import subprocess
import sys

from mira_cli.doctor import surroundings
from tests.unit.doctor.faults import look


def test_what_jobs_do_without_is_told_and_what_they_get_is_a_warning(monkeypatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PYTHON", "APPTAINER", "SINGULARITY"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("APPTAINER_BIND", "/scratch")
    monkeypatch.setenv("PYTHONHOME", "/opt/python")
    found = look(surroundings.variables)["variables"]
    assert (found.status, found.message) == ("ok", "jobs do without APPTAINER_BIND, PYTHONHOME")
    monkeypatch.setenv("LD_PRELOAD", "/opt/xalt/libxalt_init.so")
    found = look(surroundings.variables)["variables"]
    assert found.status == "warn"
    assert "/opt/xalt/libxalt_init.so" in found.message


def test_limits_of_a_login_node_are_warnings(monkeypatch) -> None:
    limits = {resource.RLIMIT_CPU: (600, 600), resource.RLIMIT_AS: (4 << 30, 4 << 30)}
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    found = look(surroundings.shell_limits)
    assert "after 600 s of CPU time" in found["CPU time"].message
    assert "only 4.3 GB" in found["memory"].message
    assert {each.status for each in found.values()} == {"warn"}
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: unlimited)
    assert [each.status for each in look(surroundings.shell_limits).values()] == ["ok"]


def test_the_command_sees_the_limits_of_its_shell(tmp_path) -> None:
    code = "from mira_cli.doctor.surroundings import shell_limits; print([f.message for f in shell_limits()])"
    words = ["sh", "-c", f"ulimit -t 600; exec {sys.executable} -c '{code}'"]
    assert "600 s of CPU time" in subprocess.run(words, capture_output=True, text=True).stdout
