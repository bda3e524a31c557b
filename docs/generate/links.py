"""A hook of MkDocs: links to files of the repository that are no pages, which only the repository can follow."""

from __future__ import annotations

import logging
import os.path
import re
import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")
logger = logging.getLogger("mkdocs.hooks.links")  # warnings below `mkdocs` end a strict build


def repository_url() -> str | None:
    """Where the repository can be read, if the project says so."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    urls = {name.lower(): str(url).rstrip("/") for name, url in project.get("urls", {}).items()}
    return urls.get("repository") or urls.get("source")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """The page, with links out of `docs/` made links to the repository, or names of files if its URL is not known."""
    docs = Path(config.docs_dir)
    url = repository_url()

    def followed(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        file = Path(os.path.normpath((docs / page.file.src_uri).parent / target))
        if file.is_relative_to(docs):
            return link[0]
        if not file.exists():
            logger.warning("%s links to %s, which is not there", page.file.src_uri, target)
        name = os.path.relpath(file, docs.parent)
        if url:
            return f"[{text}]({url}/blob/main/{name}{anchor})"
        return f"`{name}`" if text.strip("`") == name else f"{text} (`{name}`)"

    return LINK.sub(followed, markdown)
