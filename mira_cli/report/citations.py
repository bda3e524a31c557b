"""What to cite: BibTeX of the models that were used, from what is known of their publications."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mira_cli import __version__
from mira_cli.files import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PUBLICATIONS = Path(__file__).parent / "publications.yaml"
SPECIAL = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#"}


def citations(used: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """The publications of models (name -> address), each once, with a BibTeX entry; MIRA's own first.

    An address that is not among `publications.yaml` has an entry with what the address itself says.
    """
    known = read_yaml(PUBLICATIONS)
    models: dict[str, list[str]] = {}
    for name, address in used.items():
        if address:
            models.setdefault(address, []).append(name)
    own = {"title": f"MIRA, version {__version__}", "author": "{The MIRA developers}"}
    found: list[dict[str, Any]] = [
        {"models": [], "address": None, "title": own["title"], "bibtex": _entry("software", "mira", own)}
    ]
    taken: set[str] = set()
    for address, names in models.items():
        fields = {**known.get(address, {}), **_of_address(address)}
        key = _key(fields.pop("key", names[0]), taken)
        kind = "article" if "journal" in fields else "misc"
        fields.setdefault("note", f"Publication of {', '.join(names[:6])}" if "title" not in fields else "")
        found.append(
            {
                "models": names,
                "address": address if re.match(r"https?://", address) else None,
                "title": fields.get("title") or address,
                "bibtex": _entry(kind, key, fields),
            }
        )
    return found


def bibtex(entries: Iterable[Mapping[str, Any]]) -> str:
    """All entries as one file."""
    return "\n".join(str(entry["bibtex"]) for entry in entries)


def _of_address(address: str) -> dict[str, str]:
    """Fields that follow from an address alone."""
    if found := re.fullmatch(r"https?://arxiv\.org/abs/(.+)", address):
        return {"eprint": found[1], "archiveprefix": "arXiv", "url": address}
    if found := re.fullmatch(r"https?://(?:dx\.)?doi\.org/(.+)", address):
        return {"doi": found[1], "url": address}
    return {"url": address}


def _key(wanted: str, taken: set[str]) -> str:
    key = base = re.sub(r"[^A-Za-z0-9]+", "-", wanted).strip("-").lower() or "model"
    number = 2
    while key in taken:
        key, number = f"{base}-{number}", number + 1
    taken.add(key)
    return key


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    kind = "misc" if kind == "software" else kind
    verbatim = {"url", "doi", "eprint", "author"}
    lines = [
        f"  {name} = {{{value if name in verbatim else _escape(str(value))}}},\n"
        for name, value in fields.items()
        if value
    ]
    return f"@{kind}{{{key},\n{''.join(lines)}}}\n"


def _escape(text: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in text)
