"""`docs/reference/columns.md`: every column of every table, from where it is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs.generate.tables import code, page, table
from mira_cli import tasks
from mira_cli.compare.columns import TABLES
from mira_cli.results.curves import COLUMNS
from mira_cli.results.table import FIRST, LAST, WIDE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.compare.columns import Described

# ends of names, the longer ones first
UNITS = {
    "_ev_per_atom_per_ps": "eV/atom/ps",
    "_mev_per_atom": "meV/atom",
    "_ev_per_atom": "eV/atom",
    "_per_atom_ev": "eV/atom",
    "_per_atom_ang3": "Å³/atom",
    "_ev_per_ang3": "eV/Å³",
    "_ev_per_ang": "eV/Å",
    "_kj_per_mol": "kJ/mol",
    "_j_per_mol_k": "J/mol/K",
    "_ang3": "Å³",
    "_ang2": "Å²",
    "_ang": "Å",
    "_gpa": "GPa",
    "_thz": "THz",
    "_percent": "%",
    "_deg": "°",
    "_ev": "eV",
    "_ps": "ps",
    "_fs": "fs",
    "_k": "K",
    "_s": "s",
}
ABOUT = (
    "A cell is empty where there is no such number. Numbers are written so that reading them gives the same float64. "
    "Stresses have ASE's sign (tension positive) and order (xx yy zz yz xz xy). [results.md](results.md) says when a "
    "table is written, [comparison.md](comparison.md) what it rests on. "
    "In meanings, F is the force on an atom, e an energy per atom, N the number of atoms."
)
OF_TASK = (
    "Beside the columns that all tasks share. Models are compared by those that are marked: with one another, and with "
    "references where the input has a label, or a sheet a column, of their name or of those behind the mark."
)
COMPARISON = (
    "And `comparison.parquet`. One row for each structure and model: structures in input order, and for each the "
    "models in the order in which they were asked for."
)
ENERGIES = (
    "One row for each structure; behind these columns `energy_ev_MODEL` for each model, with everything in its name "
    "but letters and digits replaced by `_`. Energies are as they are: those of two models may have two zeros."
)
FILES = {
    "pairs.csv": "One row for each two models, in the order in which they were asked for.",
    "disagreement.csv": "One row for each committee and structure, the most disputed first.",
    "reference.csv": "For each model a row over all structures, then rows for each element, for each range of the "
    "reference's force, and for each label.",
    "reference_errors.csv": "One row for each structure and model that can be compared with a reference.",
    "energies_aligned.csv": "One row for each target, model and structure: energies with the zero of another.",
    "scalars.csv": "Of tasks with marked columns: for each of these a row for each two models, then one for each model "
    "against the reference.",
    "scalar_errors.csv": "One row for each structure, model and quantity that has a reference.",
    "spread.csv": "One row for each committee and structure, with the standard deviation over its members (k − 1) of "
    "each marked column as `spread_COLUMN`.",
    "minima.csv": "Of tasks that move atoms: one row for each structure and two models, or a model and the reference.",
    "relax.csv": "Of relaxations: one row for each model.",
}


def unit(name: str) -> str:
    """The unit of a column, which is the end of its name; nothing where it has none."""
    if name.startswith(("n_", "is_")):
        return ""
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def _table(columns: Mapping[str, Described]) -> str:
    rows = ((code(name), unit(name), column.meaning) for name, column in columns.items())
    return table(["column", "unit", "meaning"], rows)


def _of_task(name: str) -> list[str]:
    task = tasks.find_task(name)
    rows = [
        (code(column.name), unit(column.name), column.meaning, _compared(column)) for column in task.columns
    ]  # fmt: skip
    parts = [f"### `{name}`", tasks.summary_of(name), table(["column", "unit", "meaning", "compared"], rows)]
    if task.distances:
        parts.append(table(["distance", "meaning"], ((code(one.name), one.meaning) for one in task.distances)))
    if task.curves:
        told = ((code(one.name), one.x_words, one.y_words) for one in task.curves)
        parts.append(table(["curve in `curves.csv`", "x", "y"], told))
    return parts


def _compared(column: tasks.Column) -> str:
    if column.compared == "no":
        return ""
    return ", ".join(["yes, aligned" if column.compared == "energy" else "yes", *map(code, column.given_as)])


def columns_page() -> str:
    """The whole page."""
    parts = [
        ABOUT,
        "## `comparison.csv`",
        COMPARISON,
        _table(FIRST),
        "Then the columns of the task, which are below, and",
        _table(LAST),
        "## `comparison.csv` by task",
        OF_TASK,
    ]
    for name in tasks.names():
        parts += _of_task(name)
    parts += [
        "## `energies.csv`",
        ENERGIES,
        _table(WIDE),
    ]
    for file, columns in TABLES.items():
        parts += [f"## `{file}`", FILES[file], _table(columns)]
    parts += ["## `curves.csv`", "Of tasks that give curves, which are above: one row for each point.", _table(COLUMNS)]
    return page("Columns", *parts)
