"""Models that a user names by their weights, `mace:/path/x.model?head=a`, or by the file of a family of their own."""

from __future__ import annotations

import os
import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli.catalogue.options import read_options, with_options
from mira_cli.catalogue.own_file import file_row
from mira_cli.catalogue.rows import FILE, Checkpoint, Model
from mira_cli.catalogue.sniff import look
from mira_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.catalogue.rows import Catalogue

MOST_COMMAS = 4  # in one path
_SPEC = re.compile(r"(?P<family>[A-Za-z][A-Za-z0-9_]*):(?P<path>[^?]+)(?:\?(?P<query>.*))?")


def is_spec(name: str) -> bool:
    """True if a model's name is a path to weights."""
    return _SPEC.fullmatch(name) is not None


def absolute_spec(name: str, folder: Path) -> str:
    """The same with its path made absolute, starting from a folder; other names as they are."""
    if not (found := _SPEC.fullmatch(name)):
        return name
    query = f"?{found['query']}" if found["query"] else ""
    return f"{found['family']}:{os.path.normpath(folder.absolute() / Path(found['path']).expanduser())}{query}"


def read_spec(name: str, catalogue: Catalogue) -> tuple[str, Model]:
    """Short name and row of a model that is named by its weights.

    Raises
    ------
    UsageError
        No such family or option.
    MiraError
        A family in a file that cannot be used.
    """
    found = _SPEC.fullmatch(name)
    assert found is not None
    key, place = found["family"].lower(), Path(os.path.normpath(Path(found["path"]).expanduser().absolute()))
    if key == FILE:
        given, row = file_row(place, found["query"] or "")
        return with_options(f"{key}:{place.name}", given), row
    families = {name: f for name, f in catalogue.families.items() if f.image != "host"}
    if key not in families:
        raise UsageError(f"`{name}` names the unknown family `{key}`", hint=f"families: {', '.join(families)}")
    options = read_options(name, found["query"] or "", families[key].options, families[key].title)
    short = with_options(f"{key}:{place.name}", options)
    checkpoint = Checkpoint(path=str(place))
    user_options = families[key].options
    title = f"{families[key].title} checkpoint {place}"
    return short, Model(
        title=title, family=key, checkpoint=checkpoint, options=dict(options), user_options=user_options
    )


def explain_path(names: Sequence[str], place: int) -> UsageError | None:
    """Say what is wrong with an unknown name that looks like a path, or like the rest of one that held a comma.

    Parameters
    ----------
    names
        All names that were given; the one at `place` is no model's.
    """
    name = names[place]
    start = max((i for i in range(place) if is_spec(names[i])), default=None)
    if start is not None and (torn := _explain_comma(names, start)):
        return torn
    is_program = name.endswith(".py") and Path(name).is_file()
    if os.sep not in name and not is_program:
        return None
    if start is not None:
        hint = f"if it belongs to `{names[start]}` before it: a path with a comma is written into a list in a run.yaml"
    else:
        family = FILE if is_program else look(Path(name)).family if Path(name).exists() else None
        hint = f"weights are named by their family and path, for example `{family or 'mace'}:{name}`"
    return UsageError(f"`{name}` is no model's name", hint=hint)


def read_spec_among(names: Sequence[str], place: int, catalogue: Catalogue) -> tuple[str, Model]:
    """As `read_spec`, of one of several names: a path that a comma has torn is explained."""
    path = _SPEC.fullmatch(names[place])
    if path and not Path(path["path"]).expanduser().exists() and (torn := _explain_comma(names, place)):
        raise torn
    return read_spec(names[place], catalogue)


def _explain_comma(names: Sequence[str], start: int) -> UsageError | None:
    """Say that a path was taken apart at its comma, if what begins at `start` is there as a whole."""
    for end in range(start + 2, min(len(names), start + MOST_COMMAS + 1) + 1):
        for commas in product((",", ", "), repeat=end - start - 1):  # spaces after commas were dropped
            whole = names[start] + "".join(map("".join, zip(commas, names[start + 1 : end], strict=True)))
            found = _SPEC.fullmatch(whole)
            if found and "," in found["path"] and Path(found["path"]).expanduser().exists():
                what = f"`{whole}` was taken apart at its comma, which separates models on the command line"
                hint = f"write it into a run.yaml, as a list: `models: ['{whole}']`, or name a link without a comma"
                return UsageError(what, hint=hint)
    return None


def check_looks(place: Path, family: str, catalogue: Catalogue) -> None:
    """Refuse weights that are not there, or that do not look like a family's.

    Raises
    ------
    InputError
        There is nothing at that path.
    UsageError
        They look like something else.
    """
    title = catalogue.families[family].title
    try:
        if not place.exists():
            raise InputError(f"there is no checkpoint `{place}`", hint="name a file, or a folder for MatGL and GRACE")
        looks = look(place)
    except OSError as error:
        raise InputError(f"cannot read `{place}`: {error.strerror}", hint="check its permissions") from error
    if looks.family == family:
        return
    what = f"`{place}` is no checkpoint of {title}: it {'looks like' if looks.family else 'is'} {looks.why}"
    if looks.family in catalogue.families:
        raise UsageError(what, hint=f"did you mean `{looks.family}:{place}`?")
    raise UsageError(what, hint="name the file that the family's own calculator would be given")
