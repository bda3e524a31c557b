"""The token for gated weights: found where Hugging Face's own tools keep it, and kept out of everything written."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from mira_cli.images.run_in_image import TOKENS

VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_SECRETS = (
    (re.compile(r"\bhf_[A-Za-z0-9]{20,}"), "***"),
    (re.compile(r"(?i)(bearer\s+)[\w.~+/=-]+"), r"\1***"),
    (re.compile(r"(\w://)[^/@\s]+@"), r"\1***@"),  # user and password of a proxy
    (re.compile(r"(\bhttps?://[^\s?'\"<>]+)\?[^\s'\"<>]+"), r"\1?***"),  # signatures of links that expire
)


@dataclass(frozen=True)
class Token:
    """A token, and where it was found."""

    value: str = field(repr=False)
    place: str


def find_token() -> Token | None:
    """Look for a token: in the environment, else in the file that `hf auth login` writes."""
    for name in VARIABLES:
        if value := os.environ.get(name, "").strip():
            return Token(value, name)
    place = token_file()
    try:
        value = place.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Token(value, str(place)) if value else None


def token_file() -> Path:
    """The file in which Hugging Face's own tools keep the token."""
    if chosen := os.environ.get("HF_TOKEN_PATH"):
        return Path(chosen).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{caches}/huggingface").expanduser() / "token"


def scrub(text: str, token: Token | None = None) -> str:
    """Text without tokens, passwords and signatures."""
    for known in (token.value if token else "", *(os.environ.get(name, "") for name in TOKENS if "PATH" not in name)):
        if known.strip():
            text = text.replace(known.strip(), "***")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
