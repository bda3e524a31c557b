"""A family in one file, read and never run: its dependencies, its literal, the signature of its function."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from mira_cli.errors import InputError, UsageError
from mira_cli.own_files.declared import DOC, Declared, declared_of
from mira_cli.own_files.recipe_sources import python_version

FUNCTION = "calculator"
GIVEN = ("device", "dtype")  # what the function is always called with, then the options by name
MAX_BYTES = 2_000_000
# as PEP 723 has it
_BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


@dataclass(frozen=True)
class OwnFile:
    """What a file says.

    Attributes
    ----------
    path
        Where it is, absolute.
    dependencies
        What it asks for, as pip understands it.
    """

    path: Path
    dependencies: tuple[str, ...]
    declared: Declared

    @property
    def name(self) -> str:
        """How it is called in messages."""
        return self.path.name

    @property
    def package(self) -> str:
        """Distribution whose version is told with each number."""
        return self.declared.package or _distribution(self.dependencies[0])

    def weights(self) -> dict[str, Path]:
        """The files and folders that its code opens, by their paths from its own folder.

        Raises
        ------
        InputError
            One is not there.
        """
        found = {name: self.path.parent / name for name in self.declared.files}
        for name, place in found.items():
            if not place.exists():
                hint = f"`files` in it names paths that start at {self.path.parent}"
                raise InputError(f"`{self.name}` opens `{name}`, which is not there", hint=hint)
            if not (place.is_file() or place.is_dir()):
                raise InputError(f"`{self.name}` opens `{name}`, which is no regular file", hint=DOC)
        return found


def read_own_file(path: Path) -> OwnFile:
    """Read a family in a file; nothing in it runs.

    Raises
    ------
    InputError
        There is no such file, or it cannot be read.
    UsageError
        It is no Python, or lacks its dependencies, its literal or its function, or one of them is wrong.
    """
    text = _text(path)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UsageError(f"`{path.name}`{where} is no Python: {said}", hint=DOC) from error
    dependencies = _dependencies(path.name, text)
    declared = declared_of(path.name, _literal(path.name, tree))
    _check_function(path.name, tree, declared)
    _check_files(path.name, declared)
    return OwnFile(path, dependencies, declared)


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise InputError(f"`{path}` is a folder, and a family in a file is one Python file", hint=DOC)
        if path.exists() and not path.is_file():
            raise InputError(f"`{path}` is no regular file", hint=DOC)
        if path.suffix != ".py" and path.exists():
            raise UsageError(f"`{path.name}` is not named as a Python file", hint="for example `file:gfn1.py`")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"`{path.name}` is too large for a program", hint="weights are named in its `files`")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"there is no file `{path}`", hint="`file:PATH` names a family in a Python file") from error
    except (OSError, UnicodeDecodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "it is not text in UTF-8"
        raise InputError(f"cannot read `{path}`: {why}", hint=DOC) from error


def _dependencies(name: str, text: str) -> tuple[str, ...]:
    blocks = list(_BLOCK.finditer(text))
    example = '`# /// script`, `# dependencies = ["ase"]`, `# ///`, a line each'
    if len(blocks) != 1:
        what = "has no block of dependencies" if not blocks else f"has {len(blocks)} blocks of dependencies"
        raise UsageError(f"`{name}` {what} (PEP 723)", hint=f"it begins with {example}")
    lines = blocks[0]["content"].splitlines()
    try:
        content = tomllib.loads("".join(line[2:] + "\n" if line.startswith("# ") else "\n" for line in lines))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the dependencies in `{name}` are no TOML: {error}", hint=example) from error
    if unknown := sorted(set(content) - {"dependencies", "requires-python"}):
        raise UsageError(
            f"the block of dependencies in `{name}` has `{unknown[0]}`, which MIRA does not read",
            hint="it reads `dependencies` and `requires-python`; indexes are told to uv by its variables",
        )
    asked = content.get("dependencies")
    listed = asked if isinstance(asked, list) else []
    if not listed or not all(isinstance(each, str) and _distribution(each) for each in listed):
        raise UsageError(f"`dependencies` in `{name}` is not a list of packages, or is empty", hint=example)
    for each in listed:
        if "://" in each or each.lstrip().startswith(("-", ".", "/")) or "\n" in each:
            raise UsageError(
                f"`{name}` depends on `{each}`, which is no package of an index",
                hint="name a package, whose wheels have hashes; where uv finds it, it is told by UV_FIND_LINKS",
            )
    _check_python(name, content.get("requires-python"))
    return tuple(each.strip() for each in listed)


def _distribution(requirement: str) -> str:
    found = re.match(r"\s*([A-Za-z0-9][\w.-]*)", requirement)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""


def _check_python(name: str, wanted: object) -> None:
    """Refuse a version that images do not have; which they have, `containers/images.yaml` says."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if wanted is None:
        return
    try:
        fits = isinstance(wanted, str) and SpecifierSet(wanted).contains(f"{python_version()}.5")
    except InvalidSpecifier:
        fits = False
    if not fits:
        hint = f'`requires-python = "=={python_version()}.*"`'
        raise UsageError(f"`{name}` wants Python {wanted}, and images have {python_version()}", hint=hint)


def _literal(name: str, tree: ast.Module) -> object:
    """The value of `MIRA` at the top level of a file."""
    values = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id == "MIRA"
    ]
    if len(values) != 1:
        what = "says nothing of itself: there is no `MIRA = {…}`" if not values else "has several `MIRA = …`"
        raise UsageError(f"`{name}` {what} at its top level", hint=DOC)
    said = values[0].keys if isinstance(values[0], ast.Dict) else []
    keys = [key.value for key in said if isinstance(key, ast.Constant)]
    if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
        raise UsageError(f"`MIRA` in `{name}` has `{twice[0]}` more than once", hint=DOC)
    try:
        return ast.literal_eval(values[0])
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise UsageError(
            f"`MIRA` in `{name}`, line {values[0].lineno}, is no literal: it is read, never run",
            hint="write texts, numbers, lists, True and False, without names or calls",
        ) from error


def _check_function(name: str, tree: ast.Module, declared: Declared) -> None:
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == FUNCTION]
    signature = f"`def {FUNCTION}({', '.join([*GIVEN, *declared.options])})`"
    if not found:
        raise UsageError(f"`{name}` has no function `{FUNCTION}` at its top level", hint=f"write {signature}: it "
                         "returns an ASE calculator")  # fmt: skip
    arguments = found[-1].args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    by_name = {*positional[2:], *(argument.arg for argument in arguments.kwonlyargs)}
    missing = [] if arguments.kwarg else [option for option in declared.options if option not in by_name]
    without = len(arguments.defaults)
    needed = {*positional[2 : len(positional) - without]} | {
        argument.arg
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    }
    if len(positional) < 2 or missing or needed - set(declared.options):
        raise UsageError(
            f"`{FUNCTION}` in `{name}` cannot be called with device, dtype and the options in `MIRA`",
            hint=f"write {signature}",
        )


def _check_files(name: str, declared: Declared) -> None:
    for each in declared.files:
        path = Path(each)
        if path.is_absolute() or ".." in path.parts or not path.parts or each == name:
            raise UsageError(
                f"`files` in `{name}` names `{each}`, which is not below the file's own folder",
                hint="put it there, or a link to it: its code finds it as `Path(__file__).parent / NAME`",
            )
