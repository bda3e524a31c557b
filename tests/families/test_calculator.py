"""Models of real families as calculators: the library's own numbers, those of a run, and what its charges are."""

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.fd import FiniteDifferenceCalculator
from ase.db import connect
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.optimize import BFGS

from mira_cli import calculator
from tests.servers import serving

from .conftest import python_of

HERE = Path(__file__).parent
OWN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ase.io import read
from warm_library import own_calculator
calculator = own_calculator(*sys.argv[2:4])
found = []
for atoms in read(sys.argv[4], ':'):
    atoms.calc = calculator
    found.append([float(atoms.get_potential_energy()), atoms.get_forces().tolist(), atoms.get_stress().tolist()])
print('\\n' + json.dumps(found))
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    """A file of crystals that are not at rest."""
    crystals = [bulk("Cu", cubic=True), bulk("NaCl", "rocksalt", a=5.64) * (2, 1, 1), bulk("Si") * (2, 1, 1)]
    for seed, atoms in enumerate(crystals):
        atoms.rattle(0.08, seed=seed)
    file = tmp_path_factory.mktemp("calculator") / "crystals.traj"  # whose numbers are as they were
    write(file, crystals)
    return file


@pytest.mark.parametrize(
    ("model", "image", "own"),
    [("sevennet-0", "fairchem-sevennet", ("sevennet", "7net-0")), ("chgnet-0.3.0", "matgl", ("chgnet", "0.3.0"))],
)
def test_numbers_are_the_librarys_own_and_those_of_a_run(given, model, image, own, mira, tmp_path) -> None:
    from ase.io import read

    benchmarks = HERE.parents[1] / "benchmarks"
    command = [python_of(image), "-P", "-c", OWN, str(benchmarks), *own, str(given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.splitlines()[-1])
    mira("run", given, "-m", model, "-o", tmp_path / "run", "--runtime", "venv", "--no-reuse")
    with (tmp_path / "run" / "comparison.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    with calculator(model, runtime="venv", device="cpu") as calc:
        assert calc.wait()["image"]["runtime"] == "venv"
        together = calc.evaluate(read(given, ":"))
        for atoms, (energy, forces, stress), row, one in zip(read(given, ":"), theirs, rows, together, strict=True):
            atoms.calc = calc
            assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-5 * len(atoms))
            assert np.abs(atoms.get_forces() - forces).max() < 1e-4
            assert np.abs(atoms.get_stress() - stress).max() < 1e-5
            assert float(row["energy_ev"]) == pytest.approx(atoms.get_potential_energy(), abs=2e-6 * len(atoms))
            assert one.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=2e-6 * len(atoms))
        strained = read(given, "0")
        strained.calc = calc
        assert BFGS(FrechetCellFilter(strained), logfile=None).run(fmax=0.05, steps=60)


def test_charge_of_one_structure_is_not_the_next_ones(tmp_path) -> None:
    """CHGNet takes no charge: one that is stated is refused, and the neutral one after it is not."""
    with calculator("chgnet-0.3.0", runtime="venv", device="cpu") as calc:
        atoms = bulk("NaCl", "rocksalt", a=5.64)
        atoms.calc = calc
        neutral = atoms.get_potential_energy()
        charged = atoms.copy()
        charged.info["charge"] = 1
        found = calc.evaluate([atoms, charged, atoms])
        assert [one.status for one in found] == ["ok", "unsupported_property", "ok"]
        assert found[0].energy_ev == pytest.approx(neutral, abs=1e-5)


@pytest.fixture(scope="module", params=["worker", "server"])
def sevennet(request):
    settings = {"runtime": "venv", "device": "cpu"}
    if request.param == "worker":
        with calculator("sevennet-0", **settings) as calc:
            yield calc
        return
    with (
        serving("-m", "sevennet-0", "--runtime", "venv", "--device", "cpu") as server,
        calculator("sevennet-0", address=f"http://{server.address}") as calc,
    ):
        assert calc.wait()["level_of_theory"] == "PBE+U"
        yield calc


def test_forces_and_stress_of_a_network_are_derivatives_of_its_energy(sevennet) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = sevennet
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    # energies have the noise of float32, some 1e-6 eV: steps are so large that it does not count
    atoms.calc = FiniteDifferenceCalculator(sevennet, eps_disp=0.01, eps_strain=0.003)
    assert np.abs(atoms.get_forces() - forces).max() < 5e-3
    assert np.abs(atoms.get_stress() - stress).max() < 1e-3
    atoms.calc = sevennet
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-5)


def test_an_optimizer_of_a_network_goes_downhill_and_writes_it_down(sevennet, tmp_path) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=3)
    atoms.calc = sevennet
    with BFGS(atoms, trajectory=str(tmp_path / "way.traj"), logfile=None) as steps:
        steps.run(fmax=0.05, steps=20)
    energies = [image.get_potential_energy() for image in read(tmp_path / "way.traj", index=":")]
    assert steps.converged()
    assert energies[-1] < energies[0] - 0.05
    with connect(tmp_path / "one.db") as database:
        row = database.get(database.write(atoms))
    assert (row.calculator, row.calculator_parameters["model"]) == ("mira", "sevennet-0")
    assert row.energy == pytest.approx(energies[-1], abs=1e-9)
