"""Tables of Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOTICE = "<!-- Made by `make reference` from the code: what stands here is changed there. -->"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, whose cells may hold bars."""
    cells = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in cells)


def _cell(text: str) -> str:
    """Text without bars, which end cells, and outside code without what looks like a tag.

    A bar in code is written in HTML: the repository takes the backslash before it off, the site does not.
    """
    plain, *rest = text.split("`")
    parts = [_escaped(plain).replace("|", "\\|")]
    for code_part, plain in zip(rest[::2], rest[1::2], strict=True):
        bars = "|" in code_part
        parts.append(f"<code>{_escaped(code_part).replace('|', '&#124;')}</code>" if bars else f"`{code_part}`")
        parts.append(_escaped(plain).replace("|", "\\|"))
    return "".join(parts)


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


def page(title: str, *parts: str) -> str:
    """A page from its paragraphs."""
    return "\n\n".join([NOTICE, f"# {title}", *parts]) + "\n"


def code(text: object) -> str:
    """Text as code; nothing for nothing."""
    return f"`{text}`" if text not in {"", None} else ""
