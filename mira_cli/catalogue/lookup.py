"""From the name that a user types to the one model it means."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from mira_cli import files, settings_yaml
from mira_cli.catalogue.dispersion import SUFFIX, base_of, with_dispersion
from mira_cli.catalogue.elements import parse_elements
from mira_cli.catalogue.mistakes import EXAMPLE_ROW, explain
from mira_cli.catalogue.rows import FILE, Catalogue, Checkpoint, Family, Model
from mira_cli.errors import InputError, UsageError
from mira_cli.wording import nearest, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

BUILT_IN = Path(__file__).parent


@cache
def built_in() -> Catalogue:
    """The catalogue that ships with MIRA, taken as it is: the tests validate it, as rows of users are here."""
    rows = built_in_rows()
    models = {
        name: Model.model_construct(
            **row
            | {
                "checkpoint": Checkpoint.model_construct(**row["checkpoint"]),
                "elements": parse_elements(row.get("elements")),
            }
        )
        for name, row in rows["models"].items()
    }
    families = {name: Family.model_construct(**row) for name, row in rows["families"].items()}
    return Catalogue.model_construct(**rows | {"families": families, "models": models})


def built_in_rows() -> dict[str, Any]:
    """Read the catalogue's own files: `families.yaml`, and one file of models for each family."""
    merged: dict[str, Any] = {"models": {}, "refused": {}}
    for file in (BUILT_IN / "families.yaml", *sorted((BUILT_IN / "models").glob("*.yaml"))):
        for part, rows in files.read_yaml(file).items():
            merged.setdefault(part, {}).update(rows)
    order = {family: place for place, family in enumerate(merged["families"])}
    merged["models"] = dict(sorted(merged["models"].items(), key=lambda row: order.get(row[1]["family"], 0)))
    return merged


def load_catalogue(models_files: Iterable[Path] = ()) -> Catalogue:
    """The built-in catalogue and the rows of the user's own files.

    Raises
    ------
    InputError
        A file cannot be read, has a wrong key or value, gives two models one name, or redefines a name.
    """
    catalogue = built_in()
    for file in models_files:
        rows = read_models_file(file)
        known = {*all_names(catalogue), *catalogue.refused}
        taken = [name for name in all_names(rows) if name in known]
        if taken:
            raise InputError(f"`{file}` redefines `{taken[0]}`", hint="give it another name")
        if any(m.family == FILE or m.of_file for m in rows.models.values()):
            raise InputError(
                f"`{file}` has a model of the family `{FILE}`, which is named by its file alone",
                hint="`--models file:PATH` needs no row: what is known of it is in the file",
            )
        lost = [m.family for m in rows.models.values() if m.family not in catalogue.families]
        if lost:
            meant = suggestion(nearest(lost[0], catalogue.families))
            raise InputError(
                f"`{file}` names the unknown family `{lost[0]}`",
                hint=f"{meant}families: {', '.join(catalogue.families)}",
            )
        catalogue = catalogue.model_copy(update={"models": {**catalogue.models, **rows.models}})
    return catalogue


def read_models_file(file: Path) -> Catalogue:
    """Rows of a user's `--models-file`: a YAML mapping with `models:` alone."""
    try:
        data: object = settings_yaml.load(file.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or set(data) != {"models"}:
            raise InputError(f"`{file}` must hold one mapping, `models:`", hint=EXAMPLE_ROW)
        rows = Catalogue.model_validate(data)
        _refuse_twins(file, rows)
        return _with_absolute_paths(rows, file.absolute().parent)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or settings_yaml.reason(error)
        raise InputError(f"cannot read the models file `{file}`: {reason}", hint=EXAMPLE_ROW) from error
    except ValidationError as error:
        raise explain(file, error) from error


def _with_absolute_paths(rows: Catalogue, folder: Path) -> Catalogue:
    """Paths of weights start at the folder of their file."""
    models = {
        name: row.model_copy(
            update={"checkpoint": Checkpoint(path=str(folder / Path(row.checkpoint.path).expanduser()))}
        )
        if row.checkpoint.path
        else row
        for name, row in rows.models.items()
    }
    return rows.model_copy(update={"models": models})


def all_names(catalogue: Catalogue) -> dict[str, str]:
    """Every name a user may type, aliases included, in lower case, with the name of the model it means."""
    return dict(_called(catalogue))


def _called(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    for name, model in catalogue.models.items():
        yield from ((word.lower(), name) for word in (name, *model.aliases))


def _refuse_twins(file: Path, rows: Catalogue) -> None:
    """A name in upper and lower case is one name, as it is when it is typed."""
    owner: dict[str, str] = {}
    for word, name in _called(rows):
        if (other := owner.setdefault(word, name)) != name:
            raise InputError(
                f"`{file}` calls two models `{word}`: `{other}` and `{name}`",
                hint="a name or an alias is that of one row alone: give one of them another",
            )


def find_models(names: Sequence[str], catalogue: Catalogue) -> dict[str, Model]:
    """The models that a user asked for, in that order, once each.

    Raises
    ------
    UsageError
        A name is unknown (with the nearest ones), or names no single model (with the reason).
    InputError
        Weights of a user's are not where they are said to be.
    """
    from mira_cli.catalogue.own_weights import explain_path, is_spec, read_spec_among

    if not names:
        raise UsageError(
            "no model was named", hint="`mira models` lists them; for example `--models sevennet-0,chgnet-0.3.0`"
        )
    known = all_names(catalogue)
    found: dict[str, Model] = {}
    for place, name in enumerate(names):
        if is_spec(name):
            short, row = read_spec_among(names, place, catalogue)
            _refuse_dispersion(name, row, catalogue)
            if found.setdefault(short, row) != row:
                raise _two_called(short, row)
            continue
        if name.lower() in catalogue.refused:
            raise UsageError(f"`{name}` {catalogue.refused[name.lower()]}", hint="`mira models` lists all names")
        if (one := named_row(name, known, catalogue)) is None:
            if as_path := explain_path(names, place):
                raise as_path
            hint = f"{suggestion(nearest(name, known))}`mira models` lists all names"
            if (bare := name.lower().removesuffix(":")) in catalogue.families:
                hint = f"`{bare}:PATH` names {'one in a Python file' if bare == FILE else 'weights of this family'}"
            raise UsageError(f"unknown model `{name}`", hint=hint)
        found[one[0]] = one[1]
    _check_weights(found, catalogue)
    return found


def _check_weights(found: Mapping[str, Model], catalogue: Catalogue) -> None:
    """Refuse weights of a user's that are not what they are said to be, and tell of those that nobody knows."""
    from mira_cli.catalogue.own_weights import check_looks

    for name, row in found.items():
        if row.checkpoint.path is None:
            _warn_of_new_weights(name, row)
        elif row.family != FILE:  # which was read
            check_looks(Path(row.checkpoint.path), row.family, catalogue)


def _two_called(short: str, row: Model) -> UsageError:
    if row.family == FILE:
        return UsageError(f"two files are called `{short}`", hint="rename one: a model is called by its file's name")
    return UsageError(f"two checkpoints are called `{short}`", hint="give one a name of its own with `--models-file`")


def _refuse_dispersion(name: str, row: Model, catalogue: Catalogue) -> None:
    """Say how weights that are named by their path alone get dispersion; one of that very name is no such wish."""
    from mira_cli.catalogue.own_weights import read_spec

    if base_of(name) == name or Path(str(row.checkpoint.path)).exists():
        return
    short, row = read_spec(base_of(name), catalogue)
    options = f", options: {row.options}" if row.options else ""
    made = (
        f"{{models: {{mine: {{title: mine, family: {row.family}, checkpoint: {{path: {row.checkpoint.path}}}{options}, "
        "level_of_theory: PBE, dispersion: none}}}"
    )
    raise UsageError(
        f"`{short}{SUFFIX}` has no functional whose D3 parameters could be taken: a path does not say what the weights "
        "were trained on",
        hint=f"say it in a models file, `{made}`, and call it so: `--models-file FILE --models mine{SUFFIX}`",
    )


def named_row(name: str, known: Mapping[str, str], catalogue: Catalogue) -> tuple[str, Model] | None:
    """A model's own name and its row, with options and dispersion where the name has them; None if there is none.

    Raises
    ------
    UsageError
        The model has no such option, or it cannot have such a value.
    """
    from mira_cli.catalogue.options import read_options, value_of, with_options

    plain, _, query = name.partition("?")
    if query and name.lower() not in known:
        if (one := named_row(plain, known, catalogue)) is None:
            return None
        full, row = one
        given = read_options(name, query, row.user_options, f"`{full}`")
        options = {option: value_of(name, option, text, row.options.get(option)) for option, text in given.items()}
        told = {option: value for option, value in options.items() if value != row.options.get(option)}
        return with_options(full, told), row.model_copy(update={"options": {**row.options, **options}})
    base = name if name.lower() in known else base_of(name)
    if base.lower() not in known:
        return None
    full = known[base.lower()]
    row = catalogue.models[full]
    return (full, row) if base == name else (full + SUFFIX, with_dispersion(full, row))


def _warn_of_new_weights(name: str, row: Model) -> None:
    """Tell of weights in a models file that the built-in catalogue does not know.

    A family's package may have more than the catalogue, and only the package knows: so this is no error.
    """
    from mira_cli import console

    rows = [known.checkpoint for known in built_in().models.values() if known.family == row.family]
    if row.checkpoint in rows:
        return
    ((kind, word),) = row.checkpoint.model_dump(exclude_none=True).items()
    meant = [f"{k}: {w}" for known in rows for k, w in known.model_dump(exclude_none=True).items() if w == word]
    near = meant or nearest(word, (str(getattr(known, kind)) for known in rows if getattr(known, kind)))
    console.warn(
        f"`{name}`: no model of the catalogue has the weights `{kind}: {word}`: they may not exist",
        hint=suggestion(near[:3]).strip()
        or f"only the package of {row.family} knows; it is asked when they are loaded",
    )
