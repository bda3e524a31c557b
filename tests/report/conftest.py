"""The report is looked at in a real browser; without one these tests are skipped, and say so."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mira_cli.report.write import write_report
from mira_cli.results.read_tables import load_collected
from tests.report.runs import EVERY


@pytest.fixture(scope="session")
def reports(tmp_path_factory) -> Callable[[str], Path]:
    """The report of a run by name, written once."""
    written: dict[str, Path] = {}

    def report(name: str) -> Path:
        if name not in written:
            written[name] = write_report(load_collected(EVERY[name](tmp_path_factory.mktemp(name))))
        return written[name]

    return report


def _fetched(address: str) -> list[str]:
    return [] if address.startswith(("file:", "data:", "blob:")) else [f"asked for {address}"]


@pytest.fixture
def opened(browser, reports) -> Iterator[Callable]:
    """Open a report; at the end, nothing may have been said on the console, asked of anybody, or popped up."""
    contexts, complaints = [], []

    def open_report(name: str = "usual", *, width: int = 1280, dark: bool = False):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}") or dialog.dismiss())
        page.on("request", lambda request: complaints.extend(_fetched(request.url)))
        page.goto(reports(name).as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert complaints == []
