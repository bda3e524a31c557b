"""Formation energies and the convex hull of the given structures: made by hand, by pymatgen, and by runs of EMT."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.io import write
from ase.optimize import BFGS

from mira_cli.report.gathered import gather
from mira_cli.report.write import content
from mira_cli.results.read_tables import load_collected
from mira_cli.run.directory import open_run
from mira_cli.tasks import Whole
from mira_cli.tasks.formation import FormationSettings, formation_columns, on_the_hull
from tests.runs import rows


def whole(energies: dict[str, tuple[str, float | None]], atoms=None, level="PBE") -> Whole:
    """By id: formula, and energy per atom in eV; none of it if there is no answer."""
    from ase.formula import Formula

    formulas = [formula for formula, _ in energies.values()]
    n = np.array([len(Formula(formula)) for formula in formulas])
    each = np.array([np.nan if energy is None else energy for _, energy in energies.values()])
    return Whole(
        settings={"atom_energies_ev": atoms or {}},
        level_of_theory=level,
        ids=list(energies),
        formulas=formulas,
        n_atoms=n,
        ok=np.isfinite(each),
        numbers={"minimum_energy_ev": each * n},
    )


def told(*args, **more) -> dict[str, dict]:
    """Columns by id."""
    one = whole(*args, **more)
    columns = formation_columns(one)
    return {name: {column: values[k] for column, values in columns.items()} for k, name in enumerate(one.ids)}


BINARY = {
    "a": ("A", -1.0), "a high": ("A4", -0.9), "b": ("B2", -2.0),
    "ab": ("AB", -1.9), "a3b": ("A3B", -1.40), "ab3": ("AB3", -1.95), "ab high": ("A2B2", -1.8),
}  # fmt: skip
BINARY = {name: (formula.replace("A", "Cu").replace("B", "Au"), energy) for name, (formula, energy) in BINARY.items()}


def test_formation_energies_and_the_hull_are_those_made_by_hand() -> None:
    """Cu -1, Au -2 eV/atom: CuAu forms with -0.4, on the hull with both; the others lie above lines between them."""
    found = told(BINARY)
    formed = {name: one["formation_energy_per_atom_ev"] for name, one in found.items()}
    assert formed == pytest.approx(
        {"a": 0.0, "a high": 0.1, "b": 0.0, "ab": -0.4, "a3b": -0.15, "ab3": -0.2, "ab high": -0.3}
    )
    above = {name: one["energy_above_hull_per_atom_ev"] for name, one in found.items()}
    assert above == pytest.approx(
        {"a": 0.0, "a high": 0.1, "b": 0.0, "ab": 0.0, "a3b": 0.05, "ab3": 0.0, "ab high": 0.1}, abs=1e-9
    )
    assert found["a3b"]["hull_phases"] in {"0.5 a + 0.5 ab", "0.5 ab + 0.5 a"}
    assert found["ab"]["hull_phases"] == found["ab high"]["hull_phases"] == "ab"
    assert {one["elemental_references"] for one in found.values()} == {"Cu: a", "Au: b", "Au: b; Cu: a"}


def test_nothing_is_said_where_an_element_has_no_reference() -> None:
    without = {**BINARY, "a": ("Cu", None), "a high": ("Cu4", None), "c": ("Ag", -1.0), "bc": ("AuAg", -1.7)}
    found = told(without)
    for name in ("ab", "a3b", "ab3", "ab high"):
        assert np.isnan(found[name]["formation_energy_per_atom_ev"])
        assert np.isnan(found[name]["energy_above_hull_per_atom_ev"])
        assert found[name]["hull_phases"] is None
        assert found[name]["elemental_references"] == "Au: b; Cu: none"
        assert np.isfinite(found[name]["energy_per_atom_ev"])
    assert found["bc"]["formation_energy_per_atom_ev"] == pytest.approx(-0.2)
    assert found["bc"]["energy_above_hull_per_atom_ev"] == 0.0
    assert found["a"]["elemental_references"] is None
    assert found["ab"]["error"] == "the model has no answer for any of the given structures of Cu alone"
    assert found["bc"]["error"] is found["a"]["error"] is None
    bare = told({"ab": BINARY["ab"], "b": BINARY["b"]})
    assert bare["ab"]["error"] == "no given structure is of Cu alone, to refer its energy to"


def test_what_lacks_an_elemental_reference_has_a_status_that_says_so(tmp_path, mira) -> None:
    """In the table, at the end of the run, in its exit code and in the report."""
    atoms = Atoms("CuAu", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[2.8, 2.8, 3.7], pbc=True)
    write(tmp_path / "CuAu.extxyz", atoms)
    write(tmp_path / "Cu.extxyz", bulk("Cu", a=3.6))
    said = mira("run", tmp_path / "CuAu.extxyz", tmp_path / "Cu.extxyz", "-m", "emt", "-o", tmp_path / "run",
                "--task", "formation", code=1)  # fmt: skip
    by_formula = {row["formula"]: row for row in rows(tmp_path / "run")}
    why = "no given structure is of Au alone, to refer its energy to"
    assert (by_formula["AuCu"]["status"], by_formula["AuCu"]["error"]) == ("invalid_result", why)
    assert not by_formula["AuCu"]["formation_energy_per_atom_ev"]
    assert (by_formula["Cu"]["status"], by_formula["Cu"]["error"]) == ("ok", "")
    assert why in " ".join(said.stderr.split())
    shown = content(gather(load_collected(open_run(tmp_path / "run"))))
    assert [one["error"] for one in shown["failures"]["groups"]] == [why]
    assert "properties" not in shown  # of one model without references there is nothing to show


def test_a_hull_of_three_elements() -> None:
    """A mixture of three phases, at a composition between them."""
    found = told({"a": ("Cu", 0.0), "b": ("Au", 0.0), "c": ("Ag", 0.0), "ab": ("CuAu", -0.2), "abc": ("CuAuAg", -0.1)})
    # CuAuAg may go into 2/3 CuAu and 1/3 Ag, with -0.1333 eV/atom
    assert found["abc"]["energy_above_hull_per_atom_ev"] == pytest.approx(0.2 * 2 / 3 - 0.1)
    assert found["abc"]["hull_phases"] == "0.667 ab + 0.333 c"


def test_the_hull_is_that_of_pymatgen() -> None:
    pd = pytest.importorskip("pymatgen.analysis.phase_diagram")
    from pymatgen.core import Composition

    random = np.random.default_rng(3)
    energies = {name: (name, random.normal(-2, 0.3)) for name in ("Cu", "Au", "Ag", "Pd")}
    for k in range(40):
        counts = random.integers(0, 4, 4)
        formula = "".join(f"{e}{c}" for e, c in zip(("Cu", "Au", "Ag", "Pd"), counts, strict=True) if c)
        if np.count_nonzero(counts) > 1:
            energies[f"s{k}"] = (formula, random.normal(-2.2, 0.3))
    found = told(energies)
    entries = {name: pd.PDEntry(Composition(formula), energy * Composition(formula).num_atoms)
               for name, (formula, energy) in energies.items()}  # fmt: skip
    diagram = pd.PhaseDiagram(list(entries.values()))
    for name, entry in entries.items():
        assert found[name]["energy_above_hull_per_atom_ev"] == pytest.approx(diagram.get_e_above_hull(entry), abs=1e-8)
        assert found[name]["formation_energy_per_atom_ev"] == pytest.approx(
            diagram.get_form_energy_per_atom(entry), abs=1e-10
        )


def test_phases_of_a_hull_sum_to_the_composition() -> None:
    fractions = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    energy, shares = on_the_hull(np.array([0.3, 0.3, 0.4]), fractions, np.array([0.0, 0, 0, -0.1, -0.2]))
    np.testing.assert_allclose(shares @ fractions, [0.3, 0.3, 0.4], atol=1e-12)
    assert energy < -0.1


def test_cohesive_energies_are_only_of_atoms_of_the_model_s_own_level_of_theory() -> None:
    atoms = {"PBE": {"Cu": 0.5, "Au": 0.25}, "r2SCAN": {"Cu": 7.0}}
    of_pbe = told(BINARY, atoms=atoms)
    assert of_pbe["ab"]["cohesive_energy_per_atom_ev"] == pytest.approx(0.375 + 1.9)
    of_other = told(BINARY, atoms=atoms, level="r2SCAN")
    assert of_other["a"]["cohesive_energy_per_atom_ev"] == pytest.approx(8.0)
    assert np.isnan(of_other["ab"]["cohesive_energy_per_atom_ev"])
    assert np.isnan(told(BINARY)["a"]["cohesive_energy_per_atom_ev"])
    with pytest.raises(ValueError, match="`Xx` is no element"):
        FormationSettings(atom_energies_ev={"PBE": {"Xx": 1.0}})


def minimum(atoms: Atoms) -> float:
    atoms = atoms.copy()
    atoms.calc = EMT()
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=300)
    return atoms.get_potential_energy() / len(atoms)


@pytest.fixture
def alloys(tmp_path):
    """Copper, gold and two alloys, away from their minima, and iron, which EMT does not know."""
    found = {
        "Cu": bulk("Cu", a=3.7, cubic=True),
        "Au": bulk("Au", a=4.0),
        "CuAu": Atoms("CuAu", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[2.8, 2.8, 3.7], pbc=True),
        "Cu3Au": bulk("Au", a=3.8, cubic=True),
        "FeAu": bulk("FeAu", "cesiumchloride", a=3.0),
    }
    found["Cu3Au"].symbols[1:] = "Cu"
    (tmp_path / "in").mkdir()
    for name, atoms in found.items():
        write(tmp_path / "in" / f"{name}.extxyz", atoms)
    return found


def test_alloys_of_emt(tmp_path, alloys, mira) -> None:
    """A whole run: each model's own minima make its references; what the input says is compared."""
    sheet = ["structure_path,reference_formation_energy_per_atom_ev", "in/Cu.extxyz,0", "in/Au.extxyz,0"]
    sheet += ["in/CuAu.extxyz,-0.09", "in/Cu3Au.extxyz,-0.07", "in/FeAu.extxyz,"]
    (tmp_path / "sheet.csv").write_text("\n".join(sheet) + "\n")
    run = tmp_path / "run"
    given = json.dumps({"empirical": {"Cu": 3.0, "Au": 2.0}})
    said = mira("run", tmp_path / "sheet.csv", "-m", "emt", "-o", run, "--task", "formation",
                "--set", f"task.atom_energies_ev={given}", code=1)  # fmt: skip
    found = {row["formula"]: row for row in rows(run)}
    low = {name: minimum(atoms) for name, atoms in alloys.items() if name != "FeAu"}
    wanted = {
        "CuAu": low["CuAu"] - (low["Cu"] + low["Au"]) / 2,
        "Cu3Au": low["Cu3Au"] - 0.75 * low["Cu"] - 0.25 * low["Au"],
    }
    by_id = {row["structure_id"].partition(".")[0].rpartition("/")[2]: row for row in found.values()}
    for name, energy in wanted.items():
        row = by_id[name]
        assert row["status"] == "ok"
        assert float(row["formation_energy_per_atom_ev"]) == pytest.approx(energy, abs=2e-5)
        assert float(row["energy_above_hull_per_atom_ev"]) >= 0
        assert float(row["cohesive_energy_per_atom_ev"]) == pytest.approx(
            {"CuAu": 2.5, "Cu3Au": 2.75}[name] - low[name], abs=2e-5
        )
    assert float(by_id["Cu"]["formation_energy_per_atom_ev"]) == 0
    assert by_id["FeAu"]["status"] == "unsupported_element"
    assert not by_id["FeAu"]["formation_energy_per_atom_ev"]
    text = (run / "scalars.csv").read_text()
    assert '"formation_energy_per_atom_ev","reference","emt"' in text
    assert "formation" in said.stderr + said.stdout
    again = mira(
        "run", tmp_path / "sheet.csv", "-m", "emt", "-o", tmp_path / "eos", "--task", "formation", "-n", code=0
    )
    assert "relaxation" in again.stderr  # a neighbour has them
