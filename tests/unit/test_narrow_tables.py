"""Tables on narrow terminals: heads keep their words, names some letters, and what has no room is told."""

import re

import pytest
from ase.build import bulk
from ase.io import write
from rich.box import SIMPLE_HEAD
from rich.table import Table

from mira_cli.console import _console, fit

HEADS = ("structure_id", "pair", "same_minimum", "volume_difference_percent", "rms_displacement_ang", "rmsd_status")


def printed(width: int, least: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in HEADS:
        table.add_column(head, justify="right" if "percent" in head or "ang" in head else "left", overflow="fold")
    name, pair = "a/long/path/to/some/structures.extxyz#17", "sevennet-0\n- mace-mpa-0"
    table.add_row(name, pair, "True", "-0.123456", "1e-05", "no")
    dropped = fit(table, width, least=least)
    console = _console(width=width)
    with console.capture() as said:
        console.print(table)
    return dropped, said.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 300])
def test_words_of_heads_are_whole_and_lines_fit(width) -> None:
    dropped, lines = printed(width)
    assert max(map(len, lines)) <= width
    rule = next(number for number, line in enumerate(lines) if set(line.strip()) == {"─"})
    words = {word for line in lines[:rule] for part in line.split() for word in part.split("_")} - {""}
    assert words == {word for head in HEADS if head not in dropped for word in head.split("_")}
    assert len(lines[rule + 1].split()[0]) >= 24
    assert (width < 100) == bool(dropped)
    assert dropped == list(HEADS[::-1][: len(dropped)])


def test_what_is_least_goes_first() -> None:
    assert printed(80, ("pair",))[0][0] == "pair"


def test_a_pipe_has_as_many_columns_as_are_asked_for(tmp_path, mira, monkeypatch) -> None:
    write(tmp_path / "x.extxyz", [bulk("Cu"), bulk("Cu", a=3.7)])
    mira("run", tmp_path / "x.extxyz", "-m", "emt,lj", "-o", tmp_path / "run")
    monkeypatch.setenv("COLUMNS", "80")
    for more in ((), ("-t", "pairs"), ("-t", "comparison")):
        said = mira("table", tmp_path / "run", *more).stdout
        assert max(map(len, said.splitlines())) <= 80
    assert not re.search(r"energ$", said, re.MULTILINE)
