"""Weights of a user's own, one family of each image, through the whole of `mira run`, the same in both runtimes."""

import csv
import subprocess
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from ase.build import bulk, fcc111, molecule
from ase.io import write

from mira_cli.catalogue.lookup import built_in
from mira_cli.files import read_json
from mira_cli.images import apptainer
from mira_cli.images.recipe import find_images
from tests.apptainer.which import is_tested
from tests.families.conftest import python_of

pytestmark = [
    pytest.mark.apptainer,
    pytest.mark.families,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(apptainer.works() is not None, reason=f"{apptainer.works()}"),
]
ALL = ("mace", "orb", "fairchem", "matgl", "grace", "mattersim", "nequip", "dpa", "hienet", "diep")
FAMILIES = tuple(name for name in ALL if is_tested(find_images([built_in().families[name].image])[0]))
MAKE = Path(__file__).resolve().parents[1] / "families" / "make_tiny.py"


def make(family: str, folder: Path) -> str:
    """The name of a family's first tiny checkpoint, as a user would give it."""
    folder.mkdir()
    python = python_of(built_in().families[family].image)
    done = subprocess.run([python, MAKE, family, folder], capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-3000:]
    first = read_json(folder / "models.json")[0]
    query = f"?{urlencode(first['options'], quote_via=quote)}" if first["options"] else ""
    return f"{family}:{first['checkpoint']['path']}{query}"


@pytest.fixture(scope="module")
def tables(tmp_path_factory, mira) -> dict[str, list[dict[str, str]]]:
    """Rows of the comparison, by runtime."""
    top = tmp_path_factory.mktemp("own weights")
    crystal = bulk("Cu", cubic=True)
    crystal.rattle(0.06, seed=1)
    slab = fcc111("Cu", (1, 1, 3), vacuum=7.0)
    slab.rattle(0.05, seed=2)
    write(top / "frames.traj", [crystal, slab, molecule("H2O")])
    (top / "run.yaml").write_text(
        f"structures: frames.traj\nmodels: {[make(family, top / f'{family}, d:x') for family in FAMILIES]}\n"
    )
    for runtime in ("venv", "apptainer"):
        words = ("run", top / "run.yaml", "--runtime", runtime, "--trust-checkpoint", "-o", top / runtime)
        mira(*words, code=0, MIRA_ACCEPT_LICENCES="grace")
    return {runtime: read(top / runtime) for runtime in ("venv", "apptainer")}


def read(run: Path) -> list[dict[str, str]]:
    with (run / "comparison.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_family_answers(tables) -> None:
    for rows in tables.values():
        assert {row["family"] for row in rows} == set(FAMILIES)
        assert {row["status"] for row in rows} == {"ok"}
        assert all(row["weights_sha256"] for row in rows)
        assert len({row["energy_ev"] for row in rows}) == len(rows)


def test_both_runtimes_agree(tables) -> None:
    for one, other in zip(tables["venv"], tables["apptainer"], strict=True):
        assert (one["structure_id"], one["model"], one["weights_sha256"]) == (
            other["structure_id"],
            other["model"],
            other["weights_sha256"],
        )
        for column in ("energy_per_atom_ev", "fmax_ev_per_ang", "pressure_gpa"):
            assert bool(one[column]) == bool(other[column])
            if one[column]:
                assert float(one[column]) == pytest.approx(float(other[column]), rel=1e-4, abs=1e-5), one["model"]
