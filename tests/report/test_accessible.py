"""The basics of accessibility, in every kind of report and in both colours."""

import pytest

from tests.report.runs import EVERY

UNNAMED = """() => [...document.querySelectorAll("button, select, input, a, [role=img], [role=region], [role=group]")]
  .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML)"""
DOUBLE_IDS = """() => { const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  return ids.filter((id, i) => ids.indexOf(id) !== i); }"""
LEVELS = """() => [...document.querySelectorAll("h1, h2, h3, h4")].map((e) => Number(e.tagName[1]))"""
TABLES = """() => [...document.querySelectorAll("table")]
  .filter((table) => !table.caption || !table.querySelector("th[scope]")).length"""
FOCUS = """() => [...document.querySelectorAll(".scroll, pre")].filter((e) => e.tabIndex < 0).length"""
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colour, below) => { canvas.fillStyle = below; canvas.fillRect(0, 0, 1, 1); canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
  const css = (rgb) => `rgb(${rgb.join(",")})`;
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest("[disabled], .hidden, script, noscript, option")) continue;
    if (!element.getClientRects().length) continue;
    let below = [255, 255, 255];
    const parents = [];
    for (let p = element; p; p = p.parentElement) parents.unshift(p);
    for (const p of parents) below = paint(getComputedStyle(p).backgroundColor, css(below));
    const style = getComputedStyle(element);
    const text = paint(element.ownerSVGElement ? style.fill : style.color, css(below));
    const [a, b] = [light(text), light(below)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(element.outerHTML.slice(0, 200));
  }
  return found;
}"""


@pytest.mark.parametrize("name", EVERY)
def test_everything_has_a_name_and_a_place(opened, name) -> None:
    page = opened(name)
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate(DOUBLE_IDS) == []
    assert page.evaluate(TABLES) == 0
    assert page.evaluate(FOCUS) == 0
    levels = page.evaluate(LEVELS)
    assert levels.count(1) == 1
    assert set(levels) == {1, 2}
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("main, nav, header, footer").count() == 4


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["usual", "all_failed", "relaxed"])
def test_text_can_be_read(opened, name, dark) -> None:
    page = opened(name, dark=dark)
    page.locator("#methods").scroll_into_view_if_needed()
    assert page.evaluate(CONTRAST) == []


def test_it_can_be_used_without_a_mouse(opened) -> None:
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#structures .sort").first.focus()
    page.keyboard.press("Space")
    assert page.locator("#structures th").first.get_attribute("aria-sort") == "descending"
    page.locator("#two .segments input").first.focus()
    page.keyboard.press("ArrowRight")
    assert "Energies" in page.evaluate("document.activeElement.parentElement.innerText")
    assert "left out" in page.locator("#two dl").inner_text()
