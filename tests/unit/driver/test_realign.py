"""The scheme that aligns energies is chosen once, and every file of a run says the same."""

import csv
import json
import re

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from mira_cli.compare.schemes import SCHEMES, scheme_named
from mira_cli.config import build_config
from mira_cli.driver.collect import collect
from mira_cli.driver.realign import realign
from mira_cli.errors import UsageError
from mira_cli.files import write_json
from mira_cli.report.write import write_report
from mira_cli.results.read_tables import load_collected, read_table
from mira_cli.run.collected import is_collected
from mira_cli.run.directory import COMPARISONS
from mira_cli.run.lock import run_locked
from tests.unit.results.comparison_runs import made_run

SHIFTS = {"Cu": 3.0, "O": -2000.0}  # eV, by which model b's zeros are off
COLUMNS = ("structure_id", "model", "energy_aligned_ev_per_atom")


def frames() -> list:
    """Copper at four volumes, cuprous oxide at three, and an oxygen molecule."""
    copper = [bulk("Cu", a=3.5 + 0.05 * i, cubic=True) for i in range(4)]
    oxide = [bulk("CuO", "rocksalt", a=4.2 + 0.1 * i, cubic=True) for i in range(3)]
    return [*copper, *oxide, molecule("O2", cell=[9.0, 9.0, 9.0], pbc=True)]


def made(folder, given, *, references: bool = False, models: str = "ab"):
    rng = np.random.default_rng(0)
    said = {name: [] for name in models}
    for i, atoms in enumerate(given):
        energy, forces = -3.0 * len(atoms) + 0.1 * i, rng.normal(size=(len(atoms), 3))
        if references:
            atoms.calc = SinglePointCalculator(atoms, energy=energy + 0.05 * i, forces=forces)
        for name in models:
            shift = sum(SHIFTS.get(symbol, 1.0) for symbol in atoms.symbols) if name == "b" else 0.0
            said[name].append((energy + shift, forces))
    run = made_run(folder, given, said)
    collect(run)
    return run


def schemes_in(run) -> set[str]:
    """All schemes that the tables of a run name for its own choice."""
    found = set()
    for name in (name for name in COMPARISONS if (run.root / name).is_file()):
        with (run.root / name).open(newline="", encoding="utf-8") as stream:
            found |= {row["energy_alignment"] for row in csv.DictReader(stream) if row.get("subset") != "element"}
    return found - {""}


def report_of(run) -> dict:
    html = (run.root / "report.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_choice_in_all_files(tmp_path, scheme) -> None:
    run = made(tmp_path, frames(), references=True)
    kept = {name: (run.root / name).read_bytes() for name in ("comparison.csv", "energies.csv", "results.extxyz")}
    assert schemes_in(run) == {"per-element"}
    computed = realign(run, scheme)
    write_report(load_collected(run), computed=computed)
    assert schemes_in(run) == {scheme}
    shown = report_of(run)
    assert shown["alignment"]["scheme"] == scheme
    assert scheme in shown["alignment"]["note"]
    assert {row["energy_alignment"] for row in shown["reference"] if row["subset"] == "all"} == {scheme}
    assert json.loads(run.collected.read_text())["energy_alignment"] == scheme
    assert is_collected(run)
    assert {name: (run.root / name).read_bytes() for name in kept} == kept
    # whatever is written anew later keeps to it
    write_report(load_collected(run))
    assert report_of(run)["alignment"]["scheme"] == scheme
    collect(run)
    assert schemes_in(run) == {scheme}


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "none"])
def test_shifts_of_elements_vanish_in_every_table(tmp_path, scheme) -> None:
    run = made(tmp_path, frames())
    realign(run, scheme)
    (pair,) = read_table(run, "pairs").to_pylist()
    assert pair["energy_aligned_rmse_ev_per_atom"] == pytest.approx(0, abs=1e-9)
    assert (pair["energy_raw_rmse_ev_per_atom"], pair["n_energies"]) == (None, 8)
    spread = read_table(run, "disagreement")["energy_spread_ev_per_atom"].drop_null().to_numpy()
    assert len(spread) == pair["n_energies_aligned"]
    assert np.abs(spread).max() < 1e-9
    a, b = ([row["energy_aligned_ev_per_atom"] for row in read_table(run, "energies_aligned").to_pylist()
             if row["model"] == name] for name in "ab")  # fmt: skip
    assert a == pytest.approx(b, abs=1e-9)


def test_without_alignment_nothing_is_taken_away(tmp_path) -> None:
    run = made(tmp_path, frames())
    realign(run, "none")
    (pair,) = read_table(run, "pairs").to_pylist()
    assert pair["energy_aligned_mae_ev_per_atom"] > 100
    write_report(load_collected(run))
    assert "Energies are compared as they are." in [banner["text"] for banner in report_of(run)["banners"]]
    assert report_of(run)["table"]["quantities"]["aligned"] is None


def test_every_aligned_number_says_how_it_was_made(tmp_path) -> None:
    run = made(tmp_path, frames(), references=True)
    made_of = {"energy_aligned": "energy_alignment", "energy_spread": "energy_alignment"}
    made_of |= {"energy_element_shift": "energy_alignment", "energy_relative": "energy_relative"}
    seen = set()
    for table in ("pairs", "disagreement", "reference", "energies_aligned"):
        for row in read_table(run, table).to_pylist():
            for column, value in row.items():
                prefix = next((given for given in made_of if column.startswith(given) and "_ev" in column), None)
                if value is None or prefix is None:
                    continue
                seen.add((table, prefix))
                base = made_of[prefix]
                rows, rank, dof = (row[f"{base}_{name}"] for name in ("rows", "rank", "dof"))
                assert rows - rank == dof > 0
                assert row[base if base == "energy_alignment" else f"{base}_alignment"] in SCHEMES
    assert seen == {
        *((table, "energy_aligned") for table in ("pairs", "reference", "energies_aligned")),
        ("disagreement", "energy_spread"),
        *(("reference", name) for name in ("energy_element_shift", "energy_relative")),
    }


def test_a_scheme_that_aligns_nothing_is_refused_and_nothing_changes(tmp_path, mira) -> None:
    run = made(tmp_path, frames()[4:7])  # no pure element
    before = {file: file.read_bytes() for file in run.root.rglob("*") if file.is_file()}
    done = mira("report", run.root, "--energy-alignment", "elemental", code=2)
    assert "`elemental` aligns no energies here: no structure of pure Cu, O" in done.stderr
    assert "possible here: `composition`, `per-element`, `mean-shift`" in done.stderr
    changed = {file for file, content in before.items() if file.read_bytes() != content}
    assert changed <= {run.work / "lock"}


def test_what_cannot_be_aligned_at_all(tmp_path) -> None:
    one = made(tmp_path / "model", frames(), models="a")
    with pytest.raises(UsageError, match="one model, and no reference energies"):
        realign(one, "per-element")
    single = made(tmp_path / "structure", frames()[:1])
    with pytest.raises(UsageError, match="no two structures have the same composition") as caught:
        realign(single, "mean-shift")
    assert "docs/reference/comparison.md" in caught.value.hint


def test_a_run_without_results_or_in_use_is_left_alone(tmp_path, mira) -> None:
    run = made(tmp_path, frames())
    with run_locked(run):
        assert "in use" in mira("report", run.root, "--energy-alignment", "none", code=6).stderr
    (run.root / "comparison.parquet").unlink()
    assert "no results yet" in mira("report", run.root, "--energy-alignment", "none", code=2).stderr


def test_a_report_elsewhere_does_not_contradict_the_run(tmp_path, mira) -> None:
    run = made(tmp_path, frames())
    mira("report", run.root, "--energy-alignment", "mean-shift", "-o", tmp_path / "r.html")
    assert (tmp_path / "r.html").is_file()
    assert report_of(run)["alignment"]["scheme"] == "mean-shift"
    assert schemes_in(run) == {"mean-shift"}


def test_the_setting_is_checked(tmp_path) -> None:
    settings = {"structures": ["x"], "models": ["emt"]}
    assert build_config(settings, []).energy_alignment == "per-element"
    assert build_config(settings, ["energy_alignment=none"]).energy_alignment == "none"
    with pytest.raises(UsageError, match="energy_alignment"):
        build_config(settings, ["energy_alignment=by-element"])
    run = made(tmp_path, frames())
    write_json(run.wanted, {**json.loads(run.wanted.read_text()), "energy_alignment": "of a later version"})
    collect(run)
    assert schemes_in(run) == {scheme_named("of a later version")} == {"per-element"}


def test_a_structure_that_sets_a_shift_alone_has_a_reason_and_no_spread(tmp_path) -> None:
    run = made(tmp_path, [*frames()[:4], bulk("NaCl", "rocksalt", a=5.6)])
    rows = {row["structure_id"]: row for row in read_table(run, "disagreement").to_pylist()}
    alone = rows.pop("in.extxyz#4")
    assert (alone["n_energies"], alone["n_energy_pairs"], alone["energy_spread_ev_per_atom"]) == (2, 0, None)
    assert alone["energy_refusal"] == "the structure alone sets a shift"
    assert {row["energy_refusal"] for row in rows.values()} == {None}
