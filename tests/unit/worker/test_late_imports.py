"""Imports that are made late: when something of them is used, and for the importers that were named alone."""

from __future__ import annotations

import builtins
import importlib
import sys

import pytest

from worker.late_imports import late_imports

LIBRARY = {
    "late_lib/__init__.py": "FOUR = 4\ndef twice(n):\n    return 2 * n\n",
    "late_lib/plots.py": "def draw():\n    return 'drawn'\n",
    "late_user/__init__.py": "from .down import deep\n",
    "late_user/names.py": (
        "from late_lib import FOUR, plots, twice\ndef used():\n    return twice(3) + 2 * FOUR, plots.draw()\n"
    ),
    "late_user/long.py": "import late_lib.plots\ndef used():\n    return late_lib.plots.draw(), late_lib.twice(1)\n",
    "late_user/short.py": "import late_lib.plots as p\ndef used():\n    return p.draw()\n",
    "late_user/down.py": "def deep():\n    return 'deep'\n",
    "late_user/missing.py": "try:\n    import late_lib_that_nobody_has\nexcept ImportError:\n    MISSING = True\n",
    "late_user/at_once.py": "from late_lib import twice\nSIX = twice(3)\n",
}


@pytest.fixture
def library(tmp_path, monkeypatch):
    for name, text in LIBRARY.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith(("late_lib", "late_user"))]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("importer", "late", "answer"),
    [
        ("late_user.names", "late_lib", (14, "drawn")),
        ("late_user.long", "late_lib.plots", ("drawn", 2)),
        ("late_user.short", "late_lib.plots", "drawn"),
    ],
)
def test_a_late_import_is_made_by_the_first_use_and_is_the_real_thing(library, importer, late, answer) -> None:
    with late_imports({importer: (late,)}):
        module = importlib.import_module(importer)
    assert "late_lib" not in sys.modules
    assert module.used() == answer
    assert late in sys.modules


def test_a_relative_import_is_late_by_its_relative_name(library) -> None:
    with late_imports({"late_user": (".down",)}):
        module = importlib.import_module("late_user")
    assert "late_user.down" not in sys.modules
    assert module.deep() == "deep"


def test_who_is_not_named_imports_at_once_and_whoever_uses_it_at_once_has_it(library) -> None:
    with late_imports({"late_user.names": ("late_lib",), "late_user.at_once": ("late_lib",)}):
        assert importlib.import_module("late_user.at_once").SIX == 6
        module = importlib.import_module("late_user.long")
    assert module.late_lib is sys.modules["late_lib"]


def test_what_is_not_installed_is_missed_at_once(library) -> None:
    with late_imports({"late_user.missing": ("late_lib_that_nobody_has",)}):
        assert importlib.import_module("late_user.missing").MISSING


def test_imports_are_as_ever_afterwards(library) -> None:
    before = builtins.__import__
    with pytest.raises(ZeroDivisionError), late_imports({"late_user.names": ("late_lib",)}):
        raise ZeroDivisionError
    assert builtins.__import__ is before
    assert importlib.import_module("late_user.names").twice is sys.modules["late_lib"].twice
