"""References in other units: seen in how they stand to a model's numbers, and read in the unit that is named."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.units import Bohr, Hartree, kcal, mol

from mira_cli.config import build_config
from mira_cli.errors import UsageError
from mira_cli.structures.references import ReferenceKeys, references
from mira_cli.units import UNITS, factor
from tests.unit.compare.compare_tables import answers, blocks, statistics, theory

KBAR = 1602.1766208


def metals() -> list:
    rng = np.random.default_rng(1)
    images = []
    for i, metal in enumerate(["Cu", "Ag", "Au", "Ni", "Pd"] * 2):
        atoms = bulk(metal, cubic=True) if i % 2 else bulk(metal).repeat((2, 1, 1))
        atoms.set_cell(atoms.cell * (0.97 + 0.005 * i), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        atoms.calc = EMT()
        images.append(atoms)
    return images


def with_references(path, energy=1.0, forces=1.0, stress=1.0, *, per_atom=False, zeros=0.0):
    images = []
    for atoms in metals():
        copy = atoms.copy()
        total = atoms.get_potential_energy() + zeros * atoms.numbers.sum()
        copy.info["REF_energy"] = total * energy / (len(atoms) if per_atom else 1)
        copy.info["REF_stress"] = atoms.get_stress() * stress
        copy.arrays["REF_forces"] = atoms.get_forces() * forces
        images.append(copy)
    write(path, images)
    return path


@pytest.mark.parametrize(
    ("scale", "option"),
    [
        ({}, None),
        ({"stress": -KBAR}, "stress=-kbar"),
        ({"stress": KBAR / 10}, "stress=GPa"),
        ({"stress": -1.0}, "stress=-eV/Ang3"),
        ({"forces": Bohr / Hartree}, "forces=Hartree/Bohr"),
        ({"forces": mol / kcal}, "forces=kcal/mol/Ang"),
        ({"forces": -1.0}, "forces=-eV/Ang"),
        ({"per_atom": True}, "energy=eV/atom"),
        ({"energy": 1 / Hartree}, "energy=Hartree"),
        ({"energy": 1 / Hartree, "zeros": -300.0}, "energy=Hartree"),
        ({"energy": mol / kcal, "zeros": -2.0}, "energy=kcal/mol"),
        ({"energy": 2 / Hartree}, "energy=Rydberg"),
        ({"zeros": -300.0}, None),
        ({"forces": 2 * Bohr / Hartree}, "forces=Rydberg/Bohr"),
    ],
)
def test_a_constant_factor_is_told_with_the_option_that_mends_it(tmp_path, mira, scale, option) -> None:
    file = with_references(tmp_path / "x.extxyz", **scale)
    done = mira("run", file, "--models", "emt", "-o", tmp_path / "run")
    told = [line for line in done.stderr.splitlines() if "--ref-units" in line]
    assert [line.split("--ref-units ")[1].rstrip("`") for line in told] == ([option] if option else [])
    if option:
        assert option in (tmp_path / "run" / "reference.csv").read_text()
        assert option in mira("table", tmp_path / "run").stderr.replace("\n", "")
        again = mira("run", file, "--models", "emt", "-o", tmp_path / "run", f"--ref-units={option}")
        assert "--ref-units" not in again.stderr
        assert "nothing to compute" in again.stderr


def test_references_are_read_in_the_units_that_are_named() -> None:
    atoms = bulk("Cu", cubic=True)
    results = {"energy": -1.0, "forces": np.ones((4, 3)), "stress": np.full(6, 100.0)}
    atoms.calc = SinglePointCalculator(atoms, **results)
    found = references(atoms, ReferenceKeys(units="energy=Hartree/atom,forces=Hartree/Bohr,stress=-kbar"))
    assert found["energy"][1] == pytest.approx(-4 * Hartree, rel=1e-6)
    assert found["forces"][1][0, 0] == pytest.approx(Hartree / Bohr, rel=1e-6)
    assert found["stress"][1][0] == pytest.approx(-100 / KBAR, rel=1e-8)


@pytest.mark.parametrize(
    ("unit", "sign", "read"), [("-kbar", 1, "eV"), ("-eV/Ang3", -1, "-eV"), ("kbar", 1, "eV"), ("GPa", 1, "eV")]
)
def test_of_a_virial_a_unit_changes_the_sign_alone_and_is_told_so(tmp_path, mira, unit, sign, read) -> None:
    crystal = bulk("Cu", cubic=True)
    crystal.info["virial"] = np.eye(3)
    found = references(crystal, ReferenceKeys(units=f"stress={unit}"))
    assert found["stress"][1][0] == pytest.approx(sign * -1 / crystal.get_volume())
    write(tmp_path / "x.extxyz", crystal)
    told = mira("inspect", tmp_path / "x.extxyz", f"--ref-units=stress={unit}")
    assert f"read in {read}\n" in told.stdout
    stressed = bulk("Cu", cubic=True)
    stressed.info["REF_stress"] = np.ones(6)
    write(tmp_path / "x.extxyz", [crystal, stressed])
    told = mira("inspect", tmp_path / "x.extxyz", f"--ref-units=stress={unit}")
    assert f"read in {unit} (virials: {read})" in " ".join(told.stdout.split())


def test_units_are_those_of_ase() -> None:
    assert factor("energy", "kcal/mol")[0] == pytest.approx(kcal / mol, rel=1e-6)
    assert factor("forces", "Rydberg/Bohr")[0] == pytest.approx(Hartree / 2 / Bohr, rel=1e-6)
    assert factor("stress", "-GPa") == (pytest.approx(-1 / 160.21766208), False)
    assert all(min(units.values()) > 0 for units in UNITS.values())


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ("energy=parsec", "no unit `parsec` of energy: eV, "),
        ("length=Ang", "names `length`, which is none of energy, forces, stress"),
        ("stress", "no unit `` of stress"),
        ("stress=kbar,stress=GPa", "names stress twice"),
    ],
)
def test_a_wrong_unit_is_one_sentence(units, words) -> None:
    with pytest.raises(UsageError, match=words):
        build_config({"structures": ["x"], "models": ["emt"], "ref_units": units}, [])


def test_units_are_one_text_however_they_are_written() -> None:
    spelled = ("stress=-eV/Å³,energy=eV", {"energy": "EV", "stress": "-ev/ang3"}, " energy=eV , stress=-eV/Ang^3")
    for units in spelled:
        config = build_config({"structures": ["x"], "models": ["emt"], "ref_units": units}, [])
        assert config.ref_units == "energy=eV,stress=-eV/Ang3"


def test_few_energies_with_a_zero_of_their_own_are_no_other_unit(tmp_path, mira) -> None:
    images = []
    for atoms in metals()[:6]:
        copy = atoms.copy()
        copy.info["REF_energy"] = -6.0 * len(atoms)  # such a model is wrong, whatever the unit
        images += [copy, copy]
    write(tmp_path / "x.extxyz", images)
    assert "--ref-units" not in mira("run", tmp_path / "x.extxyz", "-m", "lj", "-o", tmp_path / "run").stderr


def told(quantity: str, noise: float, *, factor: float = 1.0, soft: float = 1.0, structures: int = 5, seed: int = 0,
         level: str | None = None):  # fmt: skip
    """What is said of references `factor` times the truth, of which a model gives `soft` times with relative noise."""
    rng = np.random.default_rng(seed)
    names = [f"s{i}" for i in range(structures)]
    given = {name: bulk("Cu", a=3.6 + i / 100, cubic=True) for i, name in enumerate(names)}
    shape = (structures, 4, 3) if quantity == "forces" else (structures, 6)
    size = 1.0 if quantity == "forces" else 0.03
    truth = rng.normal(scale=size, size=shape)
    model, zeros = soft * truth + rng.normal(scale=noise * size, size=shape), np.zeros((structures, 4, 3))
    is_forces = quantity == "forces"
    own = answers(
        given, {"m": [1.0] * structures}, facts=[theory("m", level)],
        stresses=None if is_forces else {"m": model.tolist()},
        reference_stress=None if is_forces else (factor * truth).tolist(),
    )  # fmt: skip
    forces = blocks(given, {"m": model if is_forces else zeros}, factor * truth if is_forces else None)
    (row, *_) = statistics(own, forces).reference.to_pylist()
    return [sentence for sentence in row["notes"].split("; ") if "--ref-units" in sentence]


@pytest.mark.parametrize(
    ("quantity", "factor", "option"),
    [
        ("forces", Bohr / Hartree, "forces=Hartree/Bohr"),
        ("forces", 2 * Bohr / Hartree, "forces=Rydberg/Bohr"),
        ("forces", mol / kcal, "forces=kcal/mol/Ang"),
        ("forces", -1.0, "forces=-eV/Ang"),
        ("stress", -KBAR, "stress=-kbar"),
        ("stress", KBAR / 10, "stress=GPa"),
        ("stress", -1.0, "stress=-eV/Ang3"),
    ],
)
@pytest.mark.parametrize("soft", [0.75, 1.0, 1.3])
def test_a_unit_is_seen_by_models_that_are_soft_and_rough(quantity, factor, option, soft) -> None:
    assert [option in sentence for sentence in told(quantity, 0.3, factor=factor, soft=soft)] == [True]
    assert told(quantity, 0.3, soft=soft) == []


@pytest.mark.parametrize(("quantity", "factor"), [("forces", Bohr / Hartree), ("forces", -1.0), ("stress", -KBAR)])
def test_empirical_potentials_speak_of_references_of_their_own_alone(quantity, factor) -> None:
    assert len(told(quantity, 0.001, factor=factor, level="empirical")) == 1
    assert told(quantity, 0.3, factor=factor, level="empirical") == []
    assert len(told(quantity, 0.3, factor=factor, level="PBE")) == 1


@pytest.mark.parametrize("quantity", ["forces", "stress"])
def test_models_that_have_nothing_to_do_with_the_reference_raise_no_doubt(quantity) -> None:
    for seed in range(20):
        assert told(quantity, 1.0, soft=0.0, seed=seed) == []
        assert told(quantity, 50.0, soft=0.0, seed=seed) == []


@pytest.mark.parametrize("structures", [1, 2])
def test_few_structures_are_told_as_few(structures) -> None:
    (sentence,) = told("stress", 0.1, factor=-KBAR, structures=structures)
    assert f"may be in kbar with the opposite sign, as far as {structures} structure" in sentence
    (sentence,) = told("forces", 0.1, factor=Bohr / Hartree, structures=structures)
    assert "may be in Hartree/Bohr" in sentence
    assert told("stress", 0.1, factor=-1.0, structures=structures) == []  # a sign can be chance
    assert told("stress", 0.1, structures=structures) == []


@pytest.mark.parametrize(
    ("quantity", "scale"),
    [("forces", -mol / kcal), ("forces", -1.0), ("stress", -1.0), ("energy", mol / kcal), ("energy", 1 / Hartree)],
)
def test_references_that_agree_with_one_model_as_they_are_raise_no_doubt_by_another(quantity, scale) -> None:
    given = {f"s{i}": atoms for i, atoms in enumerate(metals())}
    truth = {
        "energy": np.array([atoms.get_potential_energy() - 9.0 * len(atoms) for atoms in given.values()]),
        "forces": [atoms.get_forces() for atoms in given.values()],
        "stress": np.array([atoms.get_stress() for atoms in given.values()]),
    }

    def doubts(*factors: float) -> list[str]:
        """What is said where each model gives so many times the reference of this quantity, and the others as read."""
        models = {f"m{i}": factor for i, factor in enumerate(factors)}
        by = {name: {q: factor if q == quantity else 1.0 for q in truth} for name, factor in models.items()}
        own = answers(
            given,
            {name: (truth["energy"] * by[name]["energy"]).tolist() for name in models},
            reference=truth["energy"].tolist(),
            stresses={name: (truth["stress"] * by[name]["stress"]).tolist() for name in models},
            reference_stress=truth["stress"].tolist(),
        )
        forces = blocks(given, {n: [f * by[n]["forces"] for f in truth["forces"]] for n in models}, truth["forces"])
        rows = statistics(own, forces).reference.to_pylist()
        return [s for row in rows if row["subset"] == "all" for s in row["notes"].split("; ") if "--ref-units" in s]

    assert len(doubts(1 / scale)) == 1
    assert doubts(1.05, 1 / scale) == doubts(1 / scale, 0.95) == []


def test_small_stresses_of_either_sign_are_no_doubt() -> None:
    cell = {f"s{i}": bulk("Cu", a=3.6 + i / 100, cubic=True) for i in range(5)}
    tiny = [[1e-3] * 3 + [0.0] * 3] * 5  # 0.16 GPa
    own = answers(cell, {"m": [1.0] * 5}, stresses={"m": tiny}, reference_stress=(-np.array(tiny)).tolist())
    (row, *_) = statistics(own, blocks(cell, {"m": np.zeros((5, 4, 3))})).reference.to_pylist()
    assert "--ref-units" not in row["notes"]
