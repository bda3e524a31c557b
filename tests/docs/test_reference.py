"""The reference is what the code says, and everything in it has a meaning."""

import csv
from inspect import signature
from pathlib import Path
from typing import get_args

import pytest

from docs.generate.columns import FILES, UNITS, unit
from docs.generate.commands import commands, parameters
from docs.generate.pages import REFERENCE, pages
from docs.generate.settings import settings_of
from docs.generate.tables import table
from mira_cli import errors, statuses, tasks
from mira_cli.commands.table import SHOWN
from mira_cli.commands.table import table as table_command
from mira_cli.compare.columns import TABLES
from mira_cli.config import RunConfig
from mira_cli.resources import Resources
from mira_cli.results.curves import COLUMNS
from mira_cli.results.table import FIRST, LAST, WIDE, comparison_schema

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"
TASKS = [tasks.find_task(name) for name in tasks.names()]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


@pytest.mark.parametrize(
    "name", ["commands.md", "settings.md", "columns.md", "statuses.md", "exit-codes.md", "catalogue.md"]
)
def test_a_written_page_is_what_the_code_gives(made, name) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == made[name], "`make reference` writes it again"


def test_every_page_that_is_made_is_compared(made) -> None:
    marked = {file.name for file in REFERENCE.glob("*.md") if "make reference" in file.read_text(encoding="utf-8")}
    assert marked == made.keys()


def test_every_command_and_option_has_a_meaning() -> None:
    found = [*commands()]
    assert len(found) > 40
    assert [words for _, words, command in found if not command.help] == []
    told = [(words, *one) for _, words, command in found for one in parameters(command)]
    assert len(told) > 100
    assert [one for one in told if not one[2]] == []


@pytest.mark.parametrize(
    "model", [RunConfig, Resources, *(task.settings for task in TASKS if task.name != "singlepoint")]
)
def test_every_setting_has_a_meaning(model) -> None:
    found = [*settings_of(model)]
    assert found
    assert [name for name, values, _, meaning in found if not meaning or not values] == []


def test_every_column_has_a_meaning() -> None:
    described = {**TABLES, "first": FIRST, "last": LAST, "energies.csv": WIDE, "curves.csv": COLUMNS}
    told = [(file, name, one.meaning) for file, columns in described.items() for name, one in columns.items()]
    told += [(task.name, column.name, column.meaning) for task in TASKS for column in task.columns]
    assert len(told) > 300
    assert [one for one in told if not one[2]] == []
    assert FILES.keys() == TABLES.keys()


def test_every_status_and_exit_code_has_a_meaning() -> None:
    assert set(errors.MEANINGS) == set(errors.ExitCode)
    assert {*statuses.ANSWERED, *statuses.LASTING} <= set(statuses.STATUSES)
    assert all([*errors.MEANINGS.values(), *statuses.MEANINGS.values()])


@pytest.mark.parametrize("file", sorted(EXAMPLE.glob("*.csv")), ids=lambda file: file.name)
def test_tables_have_the_columns_that_are_declared(file) -> None:
    with file.open(newline="", encoding="utf-8") as stream:
        written = next(csv.reader(stream))
    declared = (
        comparison_schema(tasks.find_task("singlepoint")).names if file.stem == "comparison" else TABLES[file.name]
    )
    assert written == [*declared]


def test_every_table_can_be_shown_with_columns_that_it_has() -> None:
    asked = {name for kinds in get_args(signature(table_command, eval_str=True).parameters["of"].annotation)
             for one in get_args(kinds) for name in get_args(one)}  # fmt: skip
    assert asked == {"summary", "comparison", *(file.removesuffix(".csv") for file in TABLES)}
    lacking = {name: {*shown} - {*TABLES.get(f"{name}.csv", shown)} for name, shown in SHOWN.items()}
    assert SHOWN.keys() == asked - {"summary"}
    assert {column for columns in lacking.values() for column in columns if not column.startswith("spread_")} == set()


def test_units_are_the_longest_ends_of_names() -> None:
    for i, end in enumerate(UNITS):
        assert not any(end.endswith(earlier) for earlier in list(UNITS)[:i]), end
    said = {"energy_ev": "eV", "fmax_ev_per_ang": "eV/Å", "n_modes": "", "space_group": "", "survived_ps": "ps"}
    assert {name: unit(name) for name in said} == said


def test_what_looks_like_a_tag_or_ends_a_cell_is_text() -> None:
    cell = table(["a"], [["runs/<x> |y| `<z>` `p|<q>`"]]).splitlines()[-1]
    assert cell == r"| runs/&lt;x> \|y\| `<z>` <code>p&#124;&lt;q></code> |"
