"""What a report holds, before a browser sees it; `tests/report` looks at it in one."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.io import write

import mira_cli.report.structures_table
from mira_cli.answers.load import load_run
from mira_cli.catalogue.lookup import built_in
from mira_cli.errors import UsageError
from mira_cli.report import points as points_module
from mira_cli.report.citations import PUBLICATIONS, bibtex, citations
from mira_cli.report.disputed import distributions
from mira_cli.report.gathered import gather, read_atoms, rounded_columns, short
from mira_cli.report.points import points
from mira_cli.report.structures_table import failures, structures_table
from mira_cli.report.summary import who_agrees
from mira_cli.report.work_done import timing
from mira_cli.report.write import VIEWER, content, page, script_json, try_to_write_report, write_report
from mira_cli.results.read_tables import load_collected
from mira_cli.run.directory import RunDirectory
from tests.report.runs import EVERY, all_failed, answers, collected, frames, hostile, many_models, one_model, usual
from tests.unit.results.comparison_runs import made_run


def data_in(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])


@pytest.fixture
def gathered(tmp_path):
    return gather(load_collected(usual(tmp_path)))


@pytest.mark.parametrize("name", EVERY)
def test_every_run_has_a_report(tmp_path, name) -> None:
    written = write_report(load_collected(EVERY[name](tmp_path)))
    assert written.name == "report.html"
    html = written.read_text(encoding="utf-8")
    assert data_in(html)["title"] == "run"
    assert html.rstrip().endswith("</html>")


def test_nothing_runs_but_what_was_written(tmp_path) -> None:
    html = write_report(load_collected(hostile(tmp_path))).read_text(encoding="utf-8")
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == len(re.findall("<script", html, re.IGNORECASE)) == 3
    allowed = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts[1:]]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert re.findall(r"'sha256-([^']*)'", policy) == allowed
    assert "default-src 'none'" in policy
    assert not re.search(r"<(img|iframe|link|object)[^>]*(src|href)=.(?!data:)", html.replace(VIEWER.read_text(), ""))


def test_no_text_can_end_the_data() -> None:
    data = {"</script>": ["<!-- <script>", "\u2028", "&amp;", "\udce4", "漢字"]}
    text = script_json(data)
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == {"</script>": ["<!-- <script>", "\u2028", "&amp;", "?", "漢字"]}


def test_a_title_that_looks_like_a_place_for_data(tmp_path) -> None:
    run = one_model(tmp_path)
    moved = run.root.rename(tmp_path / "@@DATA@@ <b>")
    html = write_report(load_collected(RunDirectory(moved))).read_text(encoding="utf-8")
    assert "<title>@@DATA@@ &lt;b&gt; – MIRA</title>" in html
    assert data_in(html)["title"] == "@@DATA@@ <b>"


def test_points_say_what_the_tables_say(gathered) -> None:
    """Where everything is drawn, the errors of what is drawn are those of `pairs.csv` and `reference.csv`."""
    drawn = points(gathered)
    forces = [np.array(given, float) for given in drawn["atoms"]["forces"]]
    for row in gathered.statistics.pairs.to_pylist():
        a, b = gathered.names.index(row["model_a"]), gathered.names.index(row["model_b"])
        assert np.nanmean(np.abs(forces[a] - forces[b])) == pytest.approx(row["force_mae_ev_per_ang"], rel=1e-3)
        aligned = np.array(drawn["structures"]["aligned"][f"{a},{b}"], float)
        assert np.isfinite(aligned).sum() == row["n_energies_aligned"]
        rmse = np.sqrt(np.nanmean(aligned**2))
        assert rmse == pytest.approx(row["energy_aligned_rmse_ev_per_atom"], rel=1e-3)
    for row in gathered.statistics.reference.to_pylist():
        if row["subset"] == "all":
            a = gathered.names.index(row["model"])
            error = np.abs(forces[a] - np.array(drawn["atoms"]["reference"], float))
            assert np.nanmean(error) == pytest.approx(row["force_mae_ev_per_ang"], rel=1e-3)
            aligned = np.abs(np.array(drawn["structures"]["aligned"][f"{a},reference"], float))
            assert np.nanmean(aligned) == pytest.approx(row["energy_aligned_mae_ev_per_atom"], rel=1e-3)


def test_a_sample_is_of_atoms_alike_and_says_so(gathered, monkeypatch) -> None:
    whole = points(gathered)["atoms"]
    monkeypatch.setattr(points_module, "MOST_ATOMS", 50)
    monkeypatch.setattr(points_module, "MOST_STRUCTURES", 10)
    some = points(gathered)
    assert (len(some["atoms"]["atom"]), some["atoms"]["total"]) == (50, 120)
    assert (len(some["structures"]["id"]), some["structures"]["total"]) == (10, 30)
    for i in (0, 17, 49):
        structure, atom = some["atoms"]["id"][some["atoms"]["structure"][i]], some["atoms"]["atom"][i]
        row = next(k for k in range(120) if (whole["id"][whole["structure"][k]], whole["atom"][k]) == (structure, atom))
        assert some["atoms"]["forces"][1][3 * i : 3 * i + 3] == whole["forces"][1][3 * row : 3 * row + 3]
        assert some["atoms"]["element"][i] == whole["element"][row]
    assert points(gathered) == some


def test_a_long_table_keeps_the_most_disputed(gathered, monkeypatch) -> None:
    monkeypatch.setattr(mira_cli.report.structures_table, "MOST_CELLS", 0)
    assert structures_table(gathered)["total"] == len(structures_table(gathered)["id"]) == 30
    monkeypatch.setattr(mira_cli.report.structures_table, "FEWEST_ROWS", 8)
    table = structures_table(gathered)
    assert (len(table["id"]), table["total"]) == (8, 30)
    ranked = [row["structure_id"] for row in gathered.statistics.disagreement.to_pylist() if row["committee"] == "all"]
    assert set(ranked[:4]) <= set(table["id"])
    places = [gathered.answers.structures.index(name).as_py() for name in table["id"]]
    assert places == sorted(places)


def test_histograms_count_every_structure(gathered) -> None:
    for one in distributions(gathered):
        for kind in ("force", "energy"):
            histogram = one[kind]
            assert sum(histogram["counts"]) + histogram["zeros"] == histogram["n"]
            assert histogram["edges"] == sorted(histogram["edges"])
    assert [one["name"] for one in distributions(gathered)] == ["all", "PBE"]


def test_equal_models_have_no_spread_to_draw(tmp_path) -> None:
    said = answers(4, 1)
    (one,) = distributions(gather(load_collected(collected(made_run(tmp_path, frames(4), {"a": said, "b": said})))))
    assert (one["force"]["zeros"], one["force"]["counts"], one["outliers"]) == (4, [], {})


def test_failures_are_told_together(gathered) -> None:
    assert failures(gathered)["groups"] == [
        {"model": "c", "status": "failed", "error": "no", "count": 2, "examples": ["in.extxyz#1", "in.extxyz#4"]}
    ]


def test_a_structure_that_is_there_twice_costs_once(tmp_path) -> None:
    twice = [*frames(2), *frames(1)]
    said = answers(3, 1)
    (row,) = timing(gather(load_collected(collected(made_run(tmp_path, twice, {"a": [*said[:2], said[0]]})))))
    assert (row["structures"], row["atoms"], row["evaluate_s"], row["ms_per_atom"]) == (2, 8, 0.2, 25)


def test_atoms_are_read_with_their_forces(gathered) -> None:
    (one,) = read_atoms(gathered, np.array([7]))
    assert one.numbers.tolist() == [28] * 4
    assert one.reference is None
    assert np.abs(np.linalg.norm(one.forces[1], axis=1)).max() == pytest.approx(
        gathered.column("fmax_ev_per_ang")[7, 1]
    )
    assert [atoms.forces[2] is None for atoms in read_atoms(gathered, np.arange(5))] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_given_statistics_are_not_computed_again(gathered, tmp_path) -> None:
    again = gather(load_collected(gathered.run), gathered.statistics)
    ours, theirs = content(gathered), content(again)
    assert {**ours, "written": None} == {**theirs, "written": None}


def test_a_run_without_results_is_refused(tmp_path, mira) -> None:
    run = made_run(tmp_path, frames(2), {"a": answers(2, 1)})
    with pytest.raises(UsageError, match="no results yet"):
        write_report(load_collected(run))
    assert "no results yet" in mira("report", run.root, code=2).stderr
    collected(run)
    assert mira("report", run.root).stdout.strip() == str(run.root / "report.html")
    mira("report", run.root, "-o", tmp_path / "there" / "r.html")
    assert (tmp_path / "there" / "r.html").stat().st_size > 10_000


def test_at_the_end_of_a_run_nothing_is_raised(tmp_path, capsys) -> None:
    run = usual(tmp_path)
    before = try_to_write_report(load_run(run))
    assert before == run.root / "report.html"
    text = before.read_text(encoding="utf-8")
    (run.root / "comparison.parquet").write_bytes(b"torn")
    assert try_to_write_report(load_run(run)) is None
    assert "no report was written" in capsys.readouterr().err
    assert before.read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_many_models_cost_no_more_than_their_pairs(tmp_path) -> None:
    html = page(content(gather(load_collected(many_models(tmp_path)))))
    pairs = data_in(html)["pairs"]
    assert {len(v["texts"] if isinstance(v, dict) else v) for v in pairs["columns"].values()} == {40 * 39 // 2}
    assert len(html) < 3_000_000


def test_nothing_answered_and_nothing_is_said(tmp_path) -> None:
    shown = content(gather(load_collected(all_failed(tmp_path))))
    assert shown["findings"] == []
    assert shown["look_at"]["structures"] == []
    assert [banner["level"] for banner in shown["banners"]] == ["bad"]


def test_citations_are_of_exactly_the_models_used() -> None:
    used = {"sevennet-0": "https://doi.org/10.1021/acs.jctc.4c00190", "b": "https://arxiv.org/abs/9901.00001"}
    used |= {"sevennet-l3i5": "https://doi.org/10.1021/acs.jctc.4c00190", "c": "a book, 50% & more", "d": None}
    found = citations(used)
    assert [entry["models"] for entry in found] == [[], ["sevennet-0", "sevennet-l3i5"], ["b"], ["c"]]
    text = bibtex(found)
    assert re.findall(r"@(\w+)\{([^,]+),", text) == [
        ("misc", "mira"),
        ("article", "sevennet"),
        ("misc", "b"),
        ("misc", "c"),
    ]
    assert "doi = {10.1021/acs.jctc.4c00190}" in text
    assert "eprint = {9901.00001}" in text
    assert text.count("{") == text.count("}")


def test_publications_are_those_of_the_catalogue() -> None:
    known = yaml.safe_load(PUBLICATIONS.read_text(encoding="utf-8"))
    assert set(known) <= {model.citation for model in built_in().models.values()}
    assert len({entry["key"] for entry in known.values()}) == len(known)
    for address, entry in known.items():
        assert {"key", "author", "title", "year"} <= set(entry), address
        assert ("journal" in entry) == ("arxiv" not in address), address


def test_the_bundled_viewer_is_what_its_notes_say() -> None:
    notes = (VIEWER.parent / "README.md").read_text(encoding="utf-8")
    for name, digest in re.findall(r"\| `(.*)` \| `([0-9a-f]{64})` \|", notes):
        assert hashlib.sha256((VIEWER.parent / name).read_bytes()).hexdigest() == digest
    assert VIEWER.stat().st_size < 600_000


def test_numbers_and_texts_are_packed() -> None:
    import pyarrow as pa

    assert short([1.23456, float("nan"), 2.0, -1e-9]) == [1.235, None, 2, -1e-9]
    table = pa.table({"m": ["b", "a", None], "x": [1.0, None, 3.25]})
    packed = rounded_columns(table, ["m", "x"], ["a"])
    assert packed == {"columns": {"m": {"texts": [1, 0, None]}, "x": [1, None, 3.25]}, "texts": ["a", "b"]}


def test_the_page_has_all_its_parts() -> None:
    folder = Path(mira_cli.report.structures_table.__file__).parent / "page"
    from mira_cli.report.write import CODE

    assert {file.stem for file in folder.glob("*.js")} == set(CODE)


@pytest.mark.parametrize(
    ("cosines", "said"),
    [
        ((0.9, 0.8, 0.5), ["Closest in forces: a and b,", "Furthest apart in forces: a and d,"]),
        ((0.9, 0.5, 0.8), ["Closest in forces: a and b,"]),
        ((0.5, 0.8, 0.9), ["Which models are closest in forces depends on the measure:"]),
        ((None, None, None), ["Closest in forces: a and b,", "Furthest apart in forces: a and d,"]),
    ],
)
def test_nobody_is_called_closest_if_size_and_direction_disagree(cosines, said) -> None:
    """Three pairs whose forces differ by 0.1, 0.2 and 0.3 eV/Å."""
    pairs = [
        {"model_a": "a", "model_b": b, "force_mae_ev_per_ang": mae, "force_cosine_mean": cosine, "n_force_atoms": 9}
        for b, mae, cosine in zip("bcd", (0.1, 0.2, 0.3), cosines, strict=True)
    ]
    found = who_agrees(pairs)
    assert [len(found), *found] == [len(said), *(f for f, s in zip(found, said, strict=True) if f.startswith(s))]


def test_the_example_in_the_documentation_is_as_reports_are_now(gathered) -> None:
    """`make example` writes it anew."""
    folder = Path(__file__).parents[3] / "docs" / "example"
    html = (folder / "report.html").read_text(encoding="utf-8")
    shown, ours = data_in(html), content(gathered)
    assert len(html) < 1_500_000
    assert shown.keys() == ours.keys()
    for name in ("models", "timing", "pairs", "table", "points", "alignment"):
        theirs, now = (each[name][0] if isinstance(each[name], list) else each[name] for each in (shown, ours))
        assert theirs.keys() == now.keys(), name
    assert shown["reference"]
    for file in folder.iterdir():
        assert not re.search(r"[\"' =:](/home|/root|/tmp|/Users|~)/", file.read_text(encoding="utf-8")), file


def test_references_in_other_units_are_said_to_be_converted(tmp_path, mira) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.info["REF_energy"] = -0.5
    write(tmp_path / "x.extxyz", atoms)
    done = ("run", tmp_path / "x.extxyz", "-m", "emt", "-o", tmp_path / "run", "--ref-units", "energy=Hartree")
    mira(*done)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "They were converted to eV and Å: energy from Hartree." in html
