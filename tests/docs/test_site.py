"""The pages can be read in the repository and as a site that asks nobody else."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from docs.generate import links

REPOSITORY = Path(__file__).resolve().parents[2]
FENCE, LINK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL), re.compile(r"\]\(([^)\s]+)\)")
PAGES = sorted(
    file
    for file in REPOSITORY.rglob("*.md")
    if not {".venv", ".tools", "site", "runs", "node_modules"} & {*file.relative_to(REPOSITORY).parts}
)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as the repository and the site make them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = link.partition("#")
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        file = page.parent / target if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    assert broken == []


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """As `make lint` does it; with `--quiet`, MkDocs would not count its warnings."""
    call = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site]
    return subprocess.run(
        call, cwd=folder, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )


def test_the_site_is_built_from_whole_pages_and_asks_nobody_else(tmp_path) -> None:
    done = build(REPOSITORY, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    built = sorted((tmp_path / "site").rglob("*.html"))
    assert len(built) > 20
    for file in built:
        page = file.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?(?:https?:)?//[^\" >]*", page)
        assert fetched == [], file


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("reference/settings.md#nowhere", "does not contain an anchor '#nowhere'"),
        ("nowhere.md", "the target is not found among documentation files"),
        ("../nowhere.md", "index.md links to ../nowhere.md, which is not there"),
    ],
)
def test_a_broken_link_ends_the_build(tmp_path, link, told) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    (tmp_path / "docs" / "generate").symlink_to(REPOSITORY / "docs" / "generate")
    settings = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[0]
    (tmp_path / "mkdocs.yml").write_text(settings + "\nnav: [index.md, reference/settings.md]\n")
    (tmp_path / "docs" / "reference" / "settings.md").write_text("# Settings\n")
    (tmp_path / "docs" / "index.md").write_text("# A page\n")
    assert build(tmp_path, tmp_path / "site").returncode == 0
    (tmp_path / "docs" / "index.md").write_text(f"# A page\n\n[a link]({link})\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    assert told in done.stderr


@pytest.mark.parametrize(
    ("url", "link", "made"),
    [
        (None, "[profiles/README.md](../../profiles/README.md)", "`profiles/README.md`"),
        (None, "[the architecture](../../ARCHITECTURE.md#decisions)", "the architecture (`ARCHITECTURE.md`)"),
        (
            "https://example.org/mira",
            "[x](../../STYLE.md#code)",
            "[x](https://example.org/mira/blob/main/STYLE.md#code)",
        ),
        (None, "[a page](../index.md#x), [itself](#y), [far](https://example.org)", None),
    ],
)
def test_links_out_of_the_pages_are_for_the_repository(url, link, made, monkeypatch) -> None:
    monkeypatch.setattr(links, "repository_url", lambda: url)
    place = {"page": SimpleNamespace(file=SimpleNamespace(src_uri="reference/x.md"))}
    config = SimpleNamespace(docs_dir=str(REPOSITORY / "docs"))
    assert links.on_page_markdown(link, **place, config=config) == (made or link)


def test_a_link_to_a_file_that_is_not_there_is_told(caplog) -> None:
    place = {"page": SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))}
    links.on_page_markdown("[x](../nowhere.md)", **place, config=SimpleNamespace(docs_dir=str(REPOSITORY / "docs")))
    assert "index.md links to ../nowhere.md, which is not there" in caplog.text
