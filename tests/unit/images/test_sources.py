"""Where a build finds its Python and its Debian."""

import http.server
import os
import sys
import threading
from pathlib import Path

import pytest

from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.images import bootstrap, host_python

OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"


def executable(path: Path, text: str = "#!/bin/sh\nexit 127\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_our_own_python_comes_first() -> None:
    found = host_python.find_python(OURS, os.environ)
    assert found.exists()
    assert found.parent == Path(sys.base_prefix) / "bin"


def test_shims_are_not_asked(tmp_path: Path) -> None:
    executable(tmp_path / "shims/python9.9")
    real = executable(tmp_path / "bin/python9.9")
    versioned = executable(tmp_path / "pyenv/versions/9.9.1/bin/python9.9")
    (tmp_path / "not-executable").mkdir()
    (tmp_path / "not-executable/python9.9").touch()
    path = os.pathsep.join(str(tmp_path / name) for name in ("shims", "not-executable", "bin"))
    host = {"PATH": path, "PYENV_ROOT": str(tmp_path / "pyenv")}
    assert list(host_python.candidates("9.9", host)) == [versioned, real]


def test_a_python_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "broken/python9.9")
    lying = executable(tmp_path / "lying/python9.9", "#!/bin/sh\necho '[\"9.8\", true]'\n")
    bare = executable(tmp_path / "bare/python9.9", "#!/bin/sh\necho '[\"9.9\", false]'\n")
    whole = executable(tmp_path / "whole/python9.9", "#!/bin/sh\necho '[\"9.9\", true]'\n")
    folders = [tmp_path / "broken", lying.parent, bare.parent, whole.parent]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert host_python.find_python("9.9", {}) == bare
    assert host_python.find_python("9.9", {}, headers=True) == whole


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user, who meets what is closed")
def test_another_users_pyenv_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    host = {"PYENV_ROOT": str(tmp_path / "closed" / "pyenv")}
    os.seteuid(65534)
    try:
        assert list(host_python.candidates("9.9", host)) == []
    finally:
        os.seteuid(0)


def test_no_python_is_one_sentence_with_a_way_out(tmp_path: Path) -> None:
    offline = {"UV_OFFLINE": "1", "UV_PYTHON_INSTALL_DIR": str(tmp_path), "HOME": str(tmp_path)}
    with pytest.raises(EnvironmentNotReadyError, match=r"no Python 3\.99 with its headers on this machine") as error:
        host_python.find_python("3.99", offline, headers=True)
    assert "--runtime apptainer" in (error.value.hint or "")


@pytest.mark.parametrize(("status", "answers"), [(200, True), (401, True), (403, False), (502, False)])
def test_only_a_registry_counts_as_one(status: int, answers: bool) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert bootstrap.registry_answers(f"http://127.0.0.1:{server.server_port}/v2/") is answers
        server.shutdown()
    assert not bootstrap.registry_answers(f"http://127.0.0.1:{server.server_port}/v2/")


def test_the_mirror_is_the_one_of_the_machine() -> None:
    targets = "Debian-Security main http://security.example/debian-security/\nDebian contrib http://c.example/\n"
    assert bootstrap.find_mirror(targets) is None
    assert bootstrap.find_mirror(targets + "Ubuntu main http://u.example/ubuntu/\n") is None
    assert bootstrap.find_mirror(targets + "Debian main file:/media/cdrom\n") is None
    assert bootstrap.find_mirror(targets + "Debian main http://m.example/debian/\n") == "http://m.example/debian"


def test_a_base_comes_from_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bootstrap.build_arguments("docker", "") == {"bootstrap": "docker"}
    program = executable(tmp_path / "debootstrap")
    found = bootstrap.build_arguments("debootstrap", str(program.parent))
    assert found["bootstrap"] == "debootstrap"
    assert found["mirror"].startswith("http")
    with pytest.raises(EnvironmentNotReadyError, match="debootstrap is not installed"):
        bootstrap.build_arguments("debootstrap", str(tmp_path / "empty"))
    monkeypatch.setattr(bootstrap, "registry_answers", lambda: False)
    assert bootstrap.build_arguments("auto", str(program.parent))["bootstrap"] == "debootstrap"
    with pytest.raises(EnvironmentNotReadyError, match="no container registry answers"):
        bootstrap.build_arguments("auto", str(tmp_path / "empty"))
    monkeypatch.setattr(bootstrap, "registry_answers", lambda: True)
    assert bootstrap.build_arguments("auto", str(program.parent)) == {"bootstrap": "docker"}
