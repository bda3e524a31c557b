"""The help of `mira`: it lists what it does not import, and says what the commands themselves say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mira_cli import commands, console
from mira_cli.app import app
from mira_cli.commands.help import load
from mira_cli.commands.listed import PANELS

LISTED = {name: listed for panel in PANELS.values() for name, listed in panel.items()}


def mira(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call `mira` as a script on a terminal of 80 columns would."""
    known = os.environ | {"COLUMNS": "80"} | environment
    return subprocess.run(
        [sys.executable, "-m", "mira_cli", *arguments], capture_output=True, text=True, env=known, check=False
    )


@pytest.mark.parametrize("name", LISTED)
def test_the_list_says_what_the_command_says(name: str) -> None:
    command = load(name)
    assert command.name == name
    assert " ".join(command.help.partition("\n\n")[0].split()) == LISTED[name].summary


def test_every_module_of_commands_is_listed() -> None:
    modules = {file.stem for file in Path(commands.__path__[0]).glob("*.py")}
    within_another = {"__init__", "listed", "help", "check", "lock", "versions", "complete", "typed_models"}
    assert {listed.where.partition(":")[0] for listed in LISTED.values()} == modules - within_another


def test_help_lists_all_and_imports_none() -> None:
    code = (
        "import sys, atexit\nsys.argv = ['mira', '--help']\nfrom mira_cli.__main__ import main\n"
        "atexit.register(lambda: print(*(m for m in sys.modules if m.split('.')[0] in ('rich', 'pydantic', 'yaml') "
        "or m.startswith('mira_cli.commands.')), file=sys.stderr))\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["mira_cli.commands.listed", "mira_cli.commands.help"]
    shown = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert [name for name in shown if name in LISTED] == list(LISTED)


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("name", LISTED)
def test_help_of_each_command_fits_its_terminal_and_names_no_types_of_python(name, columns) -> None:
    done = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0
    assert [line for line in done.stdout.splitlines() if len(line) > columns] == []
    assert re.search(r"<\w+(\[\w+\]| range)?>", done.stdout) is None
    assert "--help" in done.stdout


def test_many_choices_are_broken_between_two() -> None:
    told = CliRunner().invoke(app, ["table", "--help"], env={"COLUMNS": "40"}).stdout
    _, _, choices = told.partition("--table ")
    assert "".join(choices.split())[: len("summary|comparison|pairs|")] == "summary|comparison|pairs|"
    assert "  -m, --model TEXT     Only rows about" in told


@pytest.mark.parametrize("words", [[], ["run"], ["models"], ["models", "check"]])
def test_help_fits_a_narrow_terminal(words: list[str]) -> None:
    done = mira(*words, "--help")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    assert "…" not in done.stdout
    assert "..." not in done.stdout.partition("Options")[2]


def test_a_mistyped_command_is_corrected() -> None:
    done = mira("stats")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'stats'. Did you mean 'status'" in done.stderr


@pytest.mark.parametrize(
    ("line", "expected"),
    [("mira stat", ["status"]), ("mira models s", ["show"]), ("mira run --ref-e", ["--ref-energy-key"])],
)
def test_completion_knows_commands_groups_and_options(line: str, expected: list[str]) -> None:
    words = str(len(line.split()) - 1)
    done = subprocess.run(
        [sys.executable, "-c", "from mira_cli.app import app; app(prog_name='mira')"],
        capture_output=True, text=True, check=False,
        env=os.environ | {"_MIRA_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": words},
    )  # fmt: skip
    assert done.stdout.split() == expected


def _on_a_terminal(monkeypatch: pytest.MonkeyPatch, *, width: int) -> StringIO:
    shown = StringIO()
    monkeypatch.setattr(console, "_unstyled", lambda: False)
    printer = console._console(file=shown, width=width)
    monkeypatch.setattr(console, "stdout", lambda: printer)
    return shown


def test_a_table_that_fits_looks_like_one_that_is_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, rows = ("model", "theory", "–"), [("emt", "empirical", "[x]"), ("a-long-name", ":x:", "é")]
    console.print_table(columns, rows)  # to a pipe: without rich
    printed = [capsys.readouterr().out]
    for print_table in (console.print_table, console._fold):
        shown = _on_a_terminal(monkeypatch, width=60)
        print_table(columns, rows)
        printed.append(shown.getvalue())
    assert printed[0] == printed[1]
    plain, folded = ([line.rstrip() for line in text.splitlines()] for text in printed[1:])
    assert plain == folded


def test_a_table_that_does_not_fit_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _on_a_terminal(monkeypatch, width=24)
    console.print_table(("model", "theory"), [("emt", "a word or two that need three lines")])
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 24
    assert len(lines) > 5
