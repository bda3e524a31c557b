"""Models of families in files: `file:gfn1.py?method=GFN2-xTB` becomes a row like any other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli.catalogue.dispersion import base_of
from mira_cli.catalogue.elements import SYMBOLS, parse_elements
from mira_cli.catalogue.options import pairs_of, typed
from mira_cli.catalogue.rows import FILE, Checkpoint, FileFacts, Model
from mira_cli.errors import UsageError
from mira_cli.own_files.kept import keep
from mira_cli.own_files.read import read_own_file
from mira_cli.wording import did_you_mean

if TYPE_CHECKING:
    from mira_cli.own_files.declared import Declared, OptionValue

EXAMPLE = "for example `H C N O`, `H-Rn`, `1-86`"


def file_row(place: Path, query: str) -> tuple[dict[str, OptionValue], Model]:
    """The options that are not at their default, and the row of a model of a family in a file, which is kept as it is.

    Raises
    ------
    MiraError
        The file, its lock, or something that it opens is missing or wrong, or it has no such option.
    """
    if not place.exists() and (base := place.with_name(base_of(place.name))).exists():
        raise UsageError(
            f"no dispersion is added to `{base.name}`: MIRA knows no D3 parameters of a family in a file",
            hint="add it in the file's calculator, for example by ASE's `SumCalculator`",
        )
    own = read_own_file(place)
    declared = own.declared
    given = _options(own.name, declared, query)
    options = {name: given.get(name, declared.values(name)[0]) for name in declared.options}
    elements = _elements(own.name, declared.elements)
    kept = keep(own)
    told = {option: value for option, value in given.items() if value != declared.values(option)[0]}
    return told, Model(
        title=declared.title or f"Family in the file {own.name}",
        family=FILE,
        checkpoint=Checkpoint(path=str(kept.folder)),
        options=dict(options),
        dtype=declared.dtypes[0],
        training_data=declared.training_data,
        level_of_theory=declared.level_with(options),
        dispersion=declared.dispersion,
        elements=elements,
        forces="conservative" if declared.conservative else "direct",
        stress=declared.stress,
        code_licence=declared.licence,
        weights_licence=declared.weights_licence or (None if declared.files else "none"),
        citation=declared.citation,
        of_file=FileFacts(
            origin=str(place),
            image=kept.image,
            package=kept.package,
            dtypes=list(declared.dtypes),
            knows_gpus=declared.framework is not None,
            approximate=list(declared.approximate),
        ),
    )


def _elements(name: str, text: str) -> frozenset[int]:
    """Atomic numbers of symbols, numbers and ranges of either."""
    spelt = re.sub(r"\d+", lambda z: SYMBOLS[int(z[0])] if 0 < int(z[0]) < len(SYMBOLS) else z[0], text)
    try:
        found: frozenset[int] = parse_elements(spelt.replace(",", " "))
    except ValueError as error:
        raise UsageError(f"`MIRA` in `{name}` has bad `elements`: {error}", hint=EXAMPLE) from error
    if not found or 0 in found:
        raise UsageError(f"`MIRA` in `{name}` names no `elements`", hint=EXAMPLE)
    return found


def _options(name: str, declared: Declared, query: str) -> dict[str, OptionValue]:
    """What is said after the `?`, each value of the type of the option's default."""
    has = ", ".join(f"`?{option}={declared.values(option)[0]}`" for option in declared.options) or "none"
    try:
        pairs = pairs_of(query)
    except ValueError as error:
        raise UsageError(f"`{name}`: `{query}` is not of the form option=value", hint=f"its options: {has}") from error
    found: dict[str, OptionValue] = {}
    for option, text in pairs:
        if option not in declared.options:
            meant = did_you_mean(option, declared.options)
            raise UsageError(f"`{name}` has no option `{option}`", hint=f"{meant}its options: {has}")
        if option in found:
            raise UsageError(f"`{name}` is given the option `{option}` twice", hint="give it once")
        values = declared.values(option)
        value = typed(text, values[0])
        if value is None or (isinstance(declared.options[option], list) and value not in values):
            kind = type(values[0]).__name__
            known = ", ".join(map(str, values)) if isinstance(declared.options[option], list) else f"a {kind}"
            raise UsageError(f"`{name}`: `{option}` cannot be `{text}`", hint=f"it is {known}")
        found[option] = value
    return found
