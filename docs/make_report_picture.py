"""Take `docs/report.png`, the picture in the README, of the example's report: `python docs/make_report_picture.py`.

Needs a chromium (`tests/testbed/install-chromium.sh`).
"""

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

DOCS = Path(__file__).resolve().parent
FIRST, AFTER = "Pairwise comparison", "Two models"  # headings: from the one on, until the other
MARGIN = 26

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme="light")
    page.goto((DOCS / "example" / "report.html").as_uri())
    page.get_by_text("Parity", exact=True).wait_for()
    tops = [page.get_by_role("heading", name=name, exact=True).bounding_box() for name in (FIRST, AFTER)]
    begin, end = (box["y"] - MARGIN for box in tops if box)
    clip = {"x": 0, "y": begin, "width": 1180, "height": end - begin - MARGIN}
    page.screenshot(path=DOCS / "report.png", clip=clip, full_page=True)
    browser.close()
print(f"{(DOCS / 'report.png').stat().st_size / 1000:.0f} kB  docs/report.png")
