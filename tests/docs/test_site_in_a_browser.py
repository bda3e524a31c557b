"""The site as a reader has it who opens it from a disk."""

from pathlib import Path

import pytest

from tests.docs.test_site import REPOSITORY, build

PHONE = {"width": 390, "height": 844}
SCROLLED = "() => [...document.querySelectorAll('.md-typeset__scrollwrap')].filter(e => e.scrollWidth > e.clientWidth)"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("docs") / "site"
    assert build(REPOSITORY, place).returncode == 0
    return place


@pytest.fixture
def opened(browser, site):
    """Open a page of the site; nothing may be said on the console, or asked of anybody else."""
    complaints, pages = [], []

    def open_page(name: str, **options):
        page = browser.new_page(**options)
        page.set_default_timeout(120_000)  # the search reads all pages, on a busy machine
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith("file:") else complaints.append(asked.url))
        page.goto((site / name).as_uri())
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


def test_it_is_searched_without_a_server(opened) -> None:
    page = opened("index.html")
    page.locator("input.md-search__input").fill("elastic constants")
    page.locator("input.md-search__input").press("End")  # it listens to keys
    page.locator(".md-search-result__meta", has_text="matching documents").wait_for()
    page.locator(".md-search-result__link", has_text="elastic: elastic constants").first.click()
    page.wait_for_url("**/reference/properties.html?h=*#elastic-elastic-constants")


@pytest.mark.parametrize("name", ["commands", "statuses", "exit-codes", "columns", "results", "structures"])
def test_a_phone_shows_tables_whole(opened, name) -> None:
    page = opened(f"reference/{name}.html", viewport=PHONE)
    page.locator(".md-typeset__scrollwrap").first.wait_for()
    assert page.evaluate(f"({SCROLLED})().length") == 0


def test_no_page_is_wider_than_a_phone(opened, site) -> None:
    pages = {file.relative_to(site) for file in site.rglob("*.html")}
    names = sorted(pages - {Path("404.html"), Path("example/report.html")})  # of a server; made by itself
    assert len(names) > 30
    page = opened("index.html", viewport=PHONE)
    wide = {}
    for name in names:
        page.goto((site / name).as_uri())
        wide[name] = page.evaluate("document.documentElement.scrollWidth")
    assert {name: width for name, width in wide.items() if width > PHONE["width"]} == {}
