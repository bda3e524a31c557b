"""An image under a licence that must be accepted: nothing is built before, and it is asked for once."""

import getpass
import json
from pathlib import Path

import pytest
import typer

from mira_cli import paths
from mira_cli.commands import images as command
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.images import licences, prepare, recipe
from tests import tiny_image


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a tiny image, and one under a licence."""
    assets = tiny_image.make(tmp_path)
    tiny_image.add(tmp_path, "strict", licence=tiny_image.LICENCE)
    monkeypatch.setattr(paths, "assets", lambda: assets)
    monkeypatch.delenv(licences.VARIABLE, raising=False)
    for name, value in tiny_image.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def is_built(name: str) -> bool:
    return prepare.is_built(recipe.find_images([name])[0], "venv")


def answer(monkeypatch: pytest.MonkeyPatch, said: bool | type[Exception]) -> list[str]:
    """Let there be a terminal, and somebody who answers; returns what they are asked."""
    asked: list[str] = []

    def confirm(text: str, *, err: bool) -> bool:
        assert err
        asked.append(text)
        if isinstance(said, bool):
            return said
        raise said

    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", confirm)
    return asked


def test_nobody_to_ask(project: Path) -> None:
    for build in (
        lambda: command.build(["strict"], runtime="venv"),
        lambda: prepare.prepare_images(["strict", "tiny"], "venv"),
    ):
        with pytest.raises(
            EnvironmentNotReadyError, match="Strict Licence, which has not been accepted: for friends"
        ) as e:
            build()
        assert e.value.code == 4
        assert "`mira images build strict --accept-licence`" in (e.value.hint or "")
        assert "https://licence.example" in (e.value.hint or "")
    assert not (project / "cache").exists()  # not even what needs no licence: a run cannot begin


def test_all_builds_the_others(project: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="image strict is under the Strict Licence"):
        command.build(["all"], runtime="venv")
    assert is_built("tiny")
    assert not is_built("strict")


def test_acceptance_is_remembered_with_who_and_when(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.build(["strict"], runtime="venv", accept=True)
    assert "accepted by" in capsys.readouterr().err
    known = json.loads((project / "cache/licences.json").read_text())["strict"]
    assert known["licence"] == "Strict Licence"
    assert known["by"] == getpass.getuser()
    assert known["at"].endswith("Z")
    command.build(["strict"], runtime="venv", force=True)
    assert "accepted" not in capsys.readouterr().err


def test_another_licence_is_asked_for_again(project: Path) -> None:
    command.build(["strict"], runtime="venv", accept=True)
    (image,) = recipe.find_images(["strict"])
    other = recipe.Licence(**{**tiny_image.LICENCE, "name": "Stricter Licence"})
    assert licences.without_licence([image]) == []
    assert licences.without_licence([image.model_copy(update={"licence": other})]) != []


@pytest.mark.parametrize("named", ["strict", "other, strict"])
def test_the_environment_accepts(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv(licences.VARIABLE, named)
    prepare.prepare_images(["strict"], "venv")
    assert is_built("strict")


def test_the_environment_accepts_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(licences.VARIABLE, "strictly")
    with pytest.raises(EnvironmentNotReadyError):
        prepare.prepare_images(["strict"], "venv")


def test_a_user_is_asked_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    asked = answer(monkeypatch, said=True)
    prepare.prepare_images(["strict"], "venv")
    command.build(["strict"], runtime="venv", force=True)
    assert asked == ["do you accept it?"]


@pytest.mark.parametrize("said", [False, typer.Abort])
def test_a_user_may_say_no(monkeypatch: pytest.MonkeyPatch, said: bool | type[Exception]) -> None:
    answer(monkeypatch, said)
    with pytest.raises(EnvironmentNotReadyError, match="has not been accepted"):
        prepare.prepare_images(["strict"], "venv")
    assert not is_built("strict")


def test_grace_is_academic(mira, tmp_path: Path) -> None:
    done = mira(
        "images",
        "build",
        "grace",
        "--runtime",
        "venv",
        code=4,
        MIRA_CACHE=str(tmp_path / "cache"),
        MIRA_ACCEPT_LICENCES="",
    )
    assert "Academic Software Licence" in done.stderr
    assert "non-commercial" in done.stderr
    assert "mira images build grace --accept-licence" in done.stderr
    assert not (tmp_path / "cache").exists()
