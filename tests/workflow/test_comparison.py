"""From structures to what says how models differ, through the command."""

import csv
import io
import json

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.io import read, write

from tests.runs import records, rows

MODELS = {
    "lj-soft": {"options": {"epsilon": 0.5}, "level_of_theory": "PBE", "dispersion": "none"},
    "lj-hard": {"options": {"epsilon": 1.5}, "level_of_theory": "PBE", "dispersion": "none"},
}


@pytest.fixture(scope="module")
def compared(mira, tmp_path_factory):
    """A run of four models on crystals, half of which have references of EMT, and one that EMT does not know."""
    folder = tmp_path_factory.mktemp("compared")
    frames = []
    for metal in ("Cu", "Ni"):
        for seed in range(4):
            atoms = bulk(metal, cubic=True)
            atoms.rattle(0.05 * (seed + 1), seed=seed)
            if seed % 2:
                atoms.calc = EMT()
                energy, forces = atoms.get_potential_energy() + 7 * len(atoms), atoms.get_forces()
                atoms.calc = None
                atoms.info["REF_energy"], atoms.arrays["REF_forces"] = energy, forces
            frames.append(atoms)
    write(folder / "ü <b>, 1.extxyz", [*frames, bulk("NaCl", "rocksalt", a=5.6)])
    same = {"title": "t", "family": "ase_builtin", "checkpoint": {"bundled": "lj"}}
    (folder / "m.yaml").write_text(json.dumps({"models": {name: {**same, **row} for name, row in MODELS.items()}}))
    run = folder / "run"
    mira("run", folder / "ü <b>, 1.extxyz", "-m", "emt,lj,lj-soft,lj-hard", "--models-file", folder / "m.yaml",
         "-o", run, code=1)  # fmt: skip
    return run


def table(mira, run, *arguments) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(mira("table", run, "--csv", *arguments).stdout)))


def test_every_run_says_how_its_models_differ(compared) -> None:
    with (compared / "pairs.csv").open(newline="", encoding="utf-8") as stream:
        pairs = {(row["model_a"], row["model_b"]): row for row in csv.DictReader(stream)}
    assert len(pairs) == 6
    assert pairs["lj-soft", "lj-hard"]["theory"] == "same"
    assert float(pairs["lj-soft", "lj-hard"]["softening_b_on_a"]) == pytest.approx(3)
    assert (pairs["emt", "lj"]["n_both"], pairs["lj", "lj-soft"]["n_both"]) == ("8", "9")
    with (compared / "reference.csv").open(newline="", encoding="utf-8") as stream:
        emt = next(row for row in csv.DictReader(stream) if row["model"] == "emt")
    assert float(emt["energy_raw_bias_ev_per_atom"]) == pytest.approx(-7)
    assert float(emt["energy_aligned_mae_ev_per_atom"]) == pytest.approx(0, abs=1e-6)
    assert float(emt["force_mae_ev_per_ang"]) == pytest.approx(0, abs=1e-6)
    first = read(compared / "results.extxyz", index=0)
    assert set(first.arrays) >= {"force_spread", "force_spread_PBE", "forces_lj_soft"}


def test_summary_in_the_terminal(mira, compared) -> None:
    done = mira("table", compared, COLUMNS="80")
    for words in ("lj-soft", "– lj-hard", "per-element", "different", "1.000", "of 9", "dof"):
        assert words in done.stdout
    assert "not all of these models share a level of theory" in done.stderr
    assert "emt: 1 unsupported_element" in done.stderr
    found = json.loads(mira("table", compared, "--json").stdout)
    assert [model["model"] for model in found["models"]] == ["emt", "lj", "lj-soft", "lj-hard"]
    assert (len(found["pairs"]), len(found["disagreement"]), found["missing"]) == (6, 5, {})


def test_rows_in_the_terminal(mira, compared) -> None:
    assert table(mira, compared) == rows(compared)
    (lost,) = table(mira, compared, "--status", "unsupported_element")
    assert (lost["model"], lost["formula"]) == ("emt", "ClNa")
    ordered = table(mira, compared, "--model", "lj", "--sort", "fmax", "--reverse", "--columns", "structure_id,fmax")
    assert list(ordered[0]) == ["structure_id", "fmax_ev_per_ang"]
    forces = [float(row["fmax_ev_per_ang"]) for row in ordered]
    assert len(forces) == 9
    assert forces == sorted(forces, reverse=True)
    shown = mira("table", compared, "-t", "disagreement", "--limit", "3")
    assert "the first 3 of 18 rows" in shown.stderr
    assert json.loads(mira("table", compared, "-t", "pairs", "-m", "emt", "--json").stdout)[0]["model_a"] == "emt"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sort", "colour"], "no column `colour`"),
        (["--model", "emmt"], "the model `emmt`"),
        (["--status", "bad"], "the status `bad`"),
        (["--json", "--csv"], "exclude one another"),
        (["-t", "summary", "--sort", "model"], "no rows to choose from"),
    ],
)
def test_table_refuses_what_is_not_there(mira, compared, arguments, sentence) -> None:
    assert sentence in mira("table", compared, *arguments, code=2).stderr


def test_structures_worth_labelling(mira, compared, tmp_path) -> None:
    picked = tmp_path / "picked.extxyz"
    done = mira("select", compared, "--top", 3, "--same-theory", "-o", picked)
    frames = read(picked, index=":")
    scores = [atoms.info["force_spread_max_ev_per_ang"] for atoms in frames]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert frames[0].arrays["force_spread_PBE"].max() == pytest.approx(scores[0], abs=1e-7)
    given = {f"ü <b>, 1.extxyz#{i}": atoms for i, atoms in enumerate(read(compared.parent / "ü <b>, 1.extxyz", ":"))}
    for atoms in frames:
        assert np.allclose(atoms.positions, given[atoms.info["structure_id"]].positions)
        assert atoms.info["structure_id"] in done.stdout
    before = picked.read_bytes()
    assert "is there already" in mira("select", compared, "-o", picked, code=2).stderr
    assert picked.read_bytes() == before
    mira("select", compared, "-o", picked, "--force", "--by", "energy-spread", "--diverse", "-n", "2")
    assert len(read(picked, index=":")) == 2
    chosen = json.loads(mira("select", compared, "--by", "outlier", "-n", "1", "--json").stdout)
    assert chosen[0]["outlier_model"] == "emt"
    assert "not all of these models" in mira("select", compared).stderr


def test_one_model_has_no_committee(mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    mira("run", structures, "-m", "emt", "-o", run)
    assert "one model, and a committee needs two" in mira("select", run, code=2).stderr
    done = mira("table", run)
    assert "nothing to compare it with" in done.stderr
    assert "no energies, forces or stresses to compare with" in mira("table", run, "-t", "reference", code=2).stderr


def test_a_model_that_is_added_is_compared(mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    write(structures / "water.xyz", molecule("H2O"))
    mira("run", structures, "-m", "emt", "-o", run)
    assert (run / "pairs.csv").read_text(encoding="utf-8").count("\n") == 1
    mira("run", structures, "-m", "emt,lj", "-o", run)
    assert (run / "pairs.csv").read_text(encoding="utf-8").count("\n") == 2


def test_commands_without_results_say_what_to_do(mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    mira("run", structures, "-m", "emt,lj", "-o", run)
    (run / "disagreement.csv").unlink()
    refused = mira("select", run, code=2).stderr
    assert "no `disagreement.csv`" in refused
    assert "mira collect" in refused
    mira("collect", run)
    assert "agree within rounding" in mira("select", run, code=2).stderr  # forces of perfect crystals are zero
    (run / "comparison.parquet").unlink()
    assert "has no results yet" in mira("table", run, code=2).stderr
    assert "is not a run directory" in mira("table", tmp_path, code=2).stderr


def test_the_way_energies_are_aligned_is_a_setting_and_costs_no_evaluation(mira, compared, tmp_path) -> None:
    """`mira run`, `mira report` and `mira resume` agree on it, and plain Snakemake makes what `mira run` makes."""
    run = tmp_path / "run"
    given = ("run", compared.parent / "ü <b>, 1.extxyz", "-m", "emt,lj", "-o", run)
    mira(*given, "--energy-alignment", "mean-shift", "--set", "device=cpu", code=1)
    before = records(run)

    def used() -> set[str]:
        return {row["energy_alignment"] for row in table(mira, run, "-t", "pairs")}

    assert used() == {"mean-shift"}
    assert "energy_alignment: mean-shift" in (run / "run.yaml").read_text()
    mira("report", run, "--energy-alignment", "composition")
    assert used() == {"composition"}
    assert "energy_alignment: composition" in (run / "run.yaml").read_text()
    mira("resume", run, code=1)
    assert used() == {"composition"}
    refused = mira(*given, "--set", "energy_alignment=elemental", code=1)
    assert used() == {"elemental"}
    assert "energies are not" not in refused.stderr  # copper and nickel are there
    assert records(run) == before


def test_atoms_beyond_a_models_sight_are_told(mira, tmp_path) -> None:
    """Its answer is that of atoms each on its own, and it is no failure of the model."""
    for name, lattice_ang in (("near", 3.6), ("far", 4.0)):
        write(tmp_path / f"{name}.cif", bulk("Cu", a=lattice_ang))
    narrow = ("--set", "options.lj.rc=2.6")
    err = mira("run", *tmp_path.glob("*.cif"), "-m", "lj,emt", *narrow, "-o", tmp_path / "run").stderr
    assert "lj: no stress at all: the atoms are farther apart than the model sees (far.cif#0)" in " ".join(err.split())
    told = {(row["structure_id"], row["model"]): (row["status"], row["note"]) for row in rows(tmp_path / "run")}
    note = "no stress at all: the atoms are farther apart than the model sees"
    assert told.pop(("far.cif#0", "lj")) == ("ok", note)
    assert set(told.values()) == {("ok", "")}
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Answers without any stress: atoms farther apart than the model sees." in report
