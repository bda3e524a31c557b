"""What a reader of the report can see and do."""

import json
import re
from pathlib import Path

import pytest

from tests.report.runs import EVERY, EVIL, EVIL_MODEL

HEAD = "#structures thead th"
ROWS = "#structures tbody tr"


def data_of(page) -> dict:
    return json.loads(page.locator("#data").text_content())


def column(page, name: str) -> list[str]:
    """Cells of one column of the table of structures, as they are shown."""
    heads = [re.sub(r"[↑↓]", "", text) for text in page.locator(f"{HEAD} .sort").all_inner_texts()]
    place = [text.strip() for text in heads].index(name) + 1
    return page.locator(f"{ROWS} > :nth-child({place})").all_inner_texts()


def header(page, name: str):
    return page.locator(HEAD).filter(has=page.get_by_role("button", name=name, exact=True))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("width", [1280, 390])
def test_every_run_has_a_page_that_fits(opened, name, width) -> None:
    page = opened(name, width=width)
    assert page.locator("h1").inner_text() == "run"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#provenance").scroll_into_view_if_needed()
    assert page.locator("#methods p.prose").count() >= 2


def test_names_with_markup_stay_names(opened) -> None:
    page = opened("hostile")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 3
    shown = page.locator(f"{ROWS} .id").first.text_content()
    assert shown.startswith(EVIL.partition("\u202e")[0])
    assert "\u202e" not in shown  # it would turn the rest around
    assert EVIL_MODEL in page.locator("#summary table strong").all_text_contents()


def test_the_table_is_sorted_by_the_column_that_is_asked_for(opened) -> None:
    page = opened()
    assert column(page, "Structure")[0].startswith("in.extxyz#0")
    header(page, "Force spread").get_by_role("button").click()
    assert header(page, "Force spread").get_attribute("aria-sort") == "descending"
    spreads = [float(text) for text in column(page, "Force spread")]
    assert spreads == sorted(spreads, reverse=True)
    page.keyboard.press("Enter")  # the header keeps the focus
    assert header(page, "Force spread").get_attribute("aria-sort") == "ascending"
    assert page.locator(f'{HEAD}[aria-sort="none"]').count() == page.locator(HEAD).count() - 1
    page.get_by_role("button", name="Next").click()
    later = [float(text) for text in column(page, "Force spread")]
    assert later == sorted(later)
    assert [len(spreads), len(later)] == [25, 5]
    assert later[-1] == spreads[0]


def test_missing_numbers_are_last_whichever_way_it_is_sorted(opened) -> None:
    page = opened()
    for _ in range(2):
        header(page, "c").get_by_role("button").click()
        first = column(page, "c")
        page.get_by_role("button", name="Next").click()
        assert "failed" not in first
        assert column(page, "c")[-2:] == ["failed", "failed"]


def test_the_table_is_filtered_by_words_and_by_status(opened) -> None:
    page = opened()
    count = page.locator("#structures .pager [role=status]")
    assert count.inner_text() == "1–25 of 30 structures"
    page.get_by_label("Filter structures").fill("ni4 EXTXYZ#1")
    assert set(column(page, "Formula")) == {"Ni4"}
    assert count.inner_text() == "1–5 of 5 structures"  # 1, 10, 13, 16 and 19
    page.get_by_role("combobox", name="Status").select_option("failed")
    assert column(page, "Structure")[0].startswith("in.extxyz#1")
    assert count.inner_text() == "1–1 of 1 structure"
    page.get_by_label("Filter structures").fill("nothing like it")
    assert page.locator(ROWS).inner_text() == "No structure matches."


def test_the_table_shows_each_quantity(opened) -> None:
    page = opened()
    shown = data_of(page)["table"]["quantities"]
    page.get_by_role("radio", name="Largest force").check(force=True)
    assert float(column(page, "a")[0]) == pytest.approx(shown["fmax"][0][0], rel=1e-2)
    page.get_by_role("radio", name="Status").check(force=True)
    assert column(page, "c")[:5] == ["ok", "failed", "ok", "ok", "failed"]


@pytest.mark.parametrize(("what", "points"), [("Forces", 28 * 4 * 3), ("Energies", 28), ("Pressure", 28)])
def test_plots_of_two_models_hold_every_point_that_both_have(opened, what, points) -> None:
    page = opened()
    page.get_by_label("Model", exact=True).select_option("c")
    page.get_by_label("against", exact=True).select_option("b")
    page.locator("#two").get_by_role("radio", name=what).check(force=True)
    charts = page.locator("#two figure")
    assert [charts.nth(i).get_attribute("data-points") for i in (0, 1)] == [str(points)] * 2
    assert charts.first.locator("path.points").get_attribute("d").count("M") == points


@pytest.mark.parametrize(("what", "points"), [("Forces", 15 * 4 * 3), ("Energies", 15), ("Pressure", 15)])
def test_plots_against_the_reference_hold_what_the_input_gives(opened, what, points) -> None:
    page = opened()
    page.get_by_label("against", exact=True).select_option("reference")
    page.locator("#two").get_by_role("radio", name=what).check(force=True)
    assert page.locator("#two figure").first.get_attribute("data-points") == str(points)
    assert "level of theory is not known" in page.locator("#two .caution").inner_text()


def test_a_point_says_which_structure_it_is(opened) -> None:
    page = opened()
    drawing = page.locator("#two svg").first
    drawing.scroll_into_view_if_needed()
    x, y = map(float, re.match(r"M([\d.]+) ([\d.]+)", drawing.locator(".points").get_attribute("d")).groups())
    box = drawing.bounding_box()
    page.mouse.move(box["x"] + x * box["width"] / 440, box["y"] + y * box["height"] / 380)
    tip = page.locator("#two .tip").first
    assert tip.is_visible()
    assert "in.extxyz#" in tip.inner_text()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    assert not tip.is_visible()


def test_heat_maps_are_symmetric_and_lead_to_two_models(opened) -> None:
    page = opened()
    forces = page.locator("#pairs table").first.locator("tbody tr")
    cells = [row.locator("td").all_inner_texts() for row in forces.all()]
    assert cells == [list(column) for column in zip(*cells, strict=True)]
    assert [cells[i][i] for i in range(3)] == ["0", "0", "0"]
    assert page.locator("#pairs .apart").count() == 1 + 3 * 4  # in the key, and a-c and b-c in each of three maps
    page.locator("#pairs").get_by_role("button", name="c and b").first.click()
    assert page.get_by_label("Model", exact=True).input_value() == "2"
    assert page.get_by_label("against", exact=True).input_value() == "1"


CUT = "() => [...document.querySelectorAll('.map .scroll')].map((box) => box.scrollWidth - box.clientWidth)"


@pytest.mark.parametrize(("width", "numbers"), [(1280, True), (390, False)])
def test_heat_maps_are_whole_whether_numbers_have_room_or_not(opened, width, numbers) -> None:
    page = opened("eight_models", width=width)
    page.locator("#pairs").scroll_into_view_if_needed()
    page.wait_for_function(f"({CUT})().every((cut) => cut <= 0)")
    assert len(page.evaluate(CUT)) == 3
    told = page.locator("#pairs .map > .note").first
    assert told.is_visible() is not numbers
    cell = page.locator("#pairs .heat button").first
    assert (cell.evaluate("(cell) => getComputedStyle(cell).fontSize") != "0px") is numbers
    assert "eV/Å" in cell.get_attribute("aria-label")


def test_heat_maps_are_whole_on_paper(opened) -> None:
    page = opened("eight_models")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 690, "height": 900})  # A4 between margins of 14 mm
    wide = "() => [...document.querySelectorAll('.heat')].map((one) => one.offsetWidth - one.parentNode.clientWidth)"
    assert max(page.evaluate(wide)) <= 1


def test_many_models_are_a_picture(opened) -> None:
    page = opened("many_models")
    picture = page.locator("#pairs svg.picture").first
    drawn = "".join(path.get_attribute("d") for path in picture.locator("path").all())
    assert drawn.count("M") == 40 * 39


def test_banners_and_what_is_not_there(opened) -> None:
    text = opened().locator("#summary").inner_text()
    assert "These models are of different levels of theory." in text
    assert "2 of 90 answers failed." in text
    alone = opened("one_model")
    assert "One model" in alone.locator("#summary").inner_text()
    assert alone.locator("#pairs").count() == alone.locator("#spread").count() == 0
    nothing = opened("all_failed")
    assert "No model answered" in nothing.locator("#summary").inner_text()
    assert nothing.locator("#failures tbody tr").count() == 2
    assert nothing.locator("#look, #two, #pairs, #timing").count() == 0


def test_a_structure_is_drawn_with_arrows(opened) -> None:
    page = opened()
    page.locator("#look").scroll_into_view_if_needed()
    page.wait_for_selector("#look canvas")
    caption = page.locator("#look [role=status]")
    before = caption.inner_text()
    assert "the longest is" in before
    page.get_by_label("minus").select_option("nothing")
    assert "force;" in caption.inner_text()
    page.locator("#look ol button").nth(3).click()
    assert page.locator("#look [aria-current]").count() == 1
    assert caption.inner_text() != before
    page.get_by_role("button", name="Turn left").click()


def test_dark_and_light(opened) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = opened(), opened(dark=True)
    colours = light.evaluate(background), dark.evaluate(background)
    assert colours[0] != colours[1]
    light.get_by_role("button", name="Switch to dark colours").click()
    assert light.evaluate(background) == colours[1]


def test_on_paper_everything_is_open_and_light(opened, tmp_path) -> None:
    page = opened(dark=True)
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.wait_for_function("document.querySelector('#look .paper')?.naturalWidth > 0")  # the structure is drawn
    page.pdf(path=tmp_path / "report.pdf")
    assert Path(tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_start_and_minima_are_drawn_over_one_another(opened) -> None:
    page = opened("relaxed")
    drawn = data_of(page)["minima"]["drawn"]
    figures = page.locator("#minima svg.overlay")
    assert figures.count() == len(drawn) == 6
    both = next(k for k, one in enumerate(drawn) if all(one["minima"]))
    assert figures.nth(both).locator("circle").count() == 3 * len(drawn[both]["elements"])
    boxes = figures.nth(both).evaluate(
        "(svg) => [...svg.querySelectorAll('circle, path')].map((one) => { const b = one.getBBox(); return [b.x, b.y, "
        "b.x + b.width, b.y + b.height]; })"
    )
    assert all(left >= 0 and top >= 0 and right <= 300 and bottom <= 270 for left, top, right, bottom in boxes)
    assert "blown up" in column(page, "a")[1]
    minima = page.locator("#minima").inner_text()
    assert "Length a, Å" in minima
    assert page.get_by_role("row", name="a 5 of 6 0 1 0 7").count() == 1  # whole steps
    page.get_by_role("radio", name="Steps").check(force=True)
    assert column(page, "a")[0] == "7"
    page.get_by_role("radio", name="Volume per atom").check(force=True)
    assert [text for text in column(page, "b") if text][0] != "–"
    assert page.locator("#pairs, #two, #look, #spread").count() == 0


def test_curves_of_all_models_are_drawn_over_one_another(opened) -> None:
    page = opened("eos_run")
    charts = page.locator("#properties .chart")
    energy = charts.filter(has_text="Energy over volume")
    assert energy.locator(".curve").count() == 3
    assert int(energy.get_attribute("data-points")) == 3 * 7
    assert page.locator("#properties .key .bad").count() == 0
    page.get_by_label("Structure", exact=True).select_option("1")
    assert [one.strip() for one in page.locator("#properties .key .bad").all_inner_texts()] == ["not valid"]
    assert charts.filter(has_text="Energy over volume").locator(".curve.doubtful").count() == 1
    page.get_by_label("Quantity", exact=True).select_option("1")
    parities = page.locator("#properties .chart").filter(has_text="reference, GPa")
    assert [int(one.get_attribute("data-points")) for one in parities.all()] == [4, 3, 3]
    page.get_by_text("Differences between models", exact=True).click()
    assert "Delta, meV/atom" in page.locator("#properties").inner_text()


def test_a_tensor_is_a_square_for_each_model(opened) -> None:
    page = opened("elastic_run")
    squares = page.locator("#properties .map table")
    assert squares.count() == 4  # two models, ions relaxed and clamped
    first = squares.first.locator("tbody tr").first
    assert first.locator("td").all_inner_texts() == ["170.0", "120.0", "120.0", "0.0", "0.0", "0.0"]
    page.get_by_label("Structure", exact=True).select_option("1")
    assert page.locator("#properties .map table").count() == 2
