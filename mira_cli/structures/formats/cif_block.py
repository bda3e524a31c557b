"""The text of a CIF as blocks of tags and their values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gemmi

from mira_cli.structures.frame import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# the tags that are looked at; a dot in a tag, as in newer dictionaries, is an underscore here
WANTED = ("_cell_", "_atom_site_", "_space_group_", "_symmetry_", "_chemical_formula_sum", "_exptl_crystal_density_",
          "_atom_sites_", "_atom_type_", "_parent_space_group", "_magnetic_space_group_")  # fmt: skip
OLD_NAMES = {"_magnetic_space_group_symop_operation_xyz": "_space_group_symop_magn_operation_xyz"}
SITES = ("_atom_site_label", "_atom_site_type_symbol", "_atom_site_fract_x", "_atom_site_cartn_x")
NOTHING = {"?", "."}


@dataclass(frozen=True)
class CifBlock:
    """Tags (lower case, dots as underscores) and their values, quotes removed; quoted `?` and `.` are as unquoted."""

    name: str
    columns: dict[str, list[str]]
    twice: set[str] = field(default_factory=set)  # tags that were given two different values

    def column(self, tag: str) -> list[str] | None:
        """Return the values under a tag, None where it is not there or says nothing.

        Raises
        ------
        UnreadableError
            The block gives it twice, with different values.
        """
        if tag in self.twice:
            raise UnreadableError(f"`{tag}` is given twice, with different values")
        values = self.columns.get(tag)
        return values if values and not NOTHING.issuperset(values) else None

    def first(self, *tags: str) -> str | None:
        """Return the first value that is there under one of the tags."""
        return next((values[0].strip() for tag in tags if (values := self.column(tag))), None)


def blocks_of(text: str) -> list[tuple[CifBlock, int]]:
    """Return the blocks of a file that have atom sites, each with the line (from 0) in which its sites begin.

    Raises
    ------
    UnreadableError
        The text is no CIF.
    """
    document = None
    for lines in (text, _quoted(text)):
        try:
            document = gemmi.cif.read_string(lines, check_level=0)
            break
        except (ValueError, RuntimeError) as error:
            why = _told(str(error))
    if document is None:
        raise UnreadableError(why)
    blocks = [_block(block) for block in document]
    return [(block, line) for block, line in blocks if any(map(block.column, SITES) if line >= 0 else ())]


def text_of(content: bytes) -> str:
    """Return bytes as text: UTF-8 or what a byte-order mark says, else Latin-1."""
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _quoted(text: str) -> str:
    """The text with quotes and underscores where people leave them out: `_tag P 1`, `data_my name`."""
    lines, in_text_field = text.split("\n"), False
    for i, line in enumerate(lines):
        if line.startswith(";"):
            in_text_field = not in_text_field
        elif not in_text_field and line.lower().startswith("data_"):
            lines[i] = "_".join(line.split())
        elif not in_text_field and (match := re.match(r"\s*(_\S+)\s+([^\s'\"#_].*?)\s*(?:\s#.*)?$", line)):
            quote = '"' if "'" in match[2] else "'"
            lines[i] = f"{match[1]} {quote}{match[2]}{quote}"
    return "\n".join(lines)


def _block(block: gemmi.cif.Block) -> tuple[CifBlock, int]:
    columns: dict[str, list[str]] = {}
    twice: set[str] = set()
    line = -1
    for item in block:
        found: list[tuple[str, list[str]]]
        pair: Any = item.pair
        if pair is not None:
            found = [(pair[0], [pair[1]])]
        elif item.loop is not None and any(_is_wanted(tag) for tag in item.loop.tags):
            width, values = item.loop.width(), item.loop.values
            found = [(tag, values[i::width]) for i, tag in enumerate(item.loop.tags)]
        else:
            continue
        for tag, raw in found:
            if _is_wanted(tag):
                key = tag.lower().replace(".", "_")
                key = OLD_NAMES.get(key, key)
                unquoted = [value if value[:1] not in "'\";" else gemmi.cif.as_string(value) or "?" for value in raw]
                if columns.setdefault(key, unquoted) != unquoted:
                    twice.add(key)
                if key in {"_atom_site_fract_x", "_atom_site_cartn_x"} and line < 0:
                    line = item.line_number
    return CifBlock(block.name, columns, twice), line


def _is_wanted(tag: str) -> bool:
    return tag.lower().replace(".", "_").startswith(WANTED)


def _told(error: str) -> str:
    """The parser's message in our words: `line 12: …`."""
    where = re.match(r"\S*?:(\d+):\d+\(\d+\): (.*)", error)
    if where is None:
        return f"the text is no CIF: {error}"
    what = {"parse error": "this is no CIF: a tag, a value or `loop_` is out of place"}.get(where[2], where[2])
    return f"line {where[1]}: {_our_words(what)}"


def _our_words(what: str) -> str:
    if what.startswith("Wrong number of values in loop"):
        return "the loop has too few or too many values for its columns"
    if what.startswith("expected block header"):
        return "a CIF begins with `data_` and a name"
    if what.startswith("unterminated"):
        return "a quoted text or text field does not end"
    return what if what.startswith("this is no CIF") else f"this is no CIF ({what})"


def rows_with(text: str, word: str, after: int) -> Iterator[int]:
    """Yield the lines (from 1) that begin with a word, from some line on."""
    for number, line in enumerate(text.splitlines()[after:], after + 1):
        if line.strip().startswith((word, f"'{word}'", f'"{word}"')):
            yield number
