"""What cannot be relaxed is refused before any job."""

from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from ase.constraints import FixAtoms
from ase.io import write

from mira_cli.config import build_config
from mira_cli.errors import InputError, UsageError
from mira_cli.planning.immovable import refuse_what_cannot_move, refuse_without_stress
from mira_cli.structures.find import find_sources
from mira_cli.structures.held import GAP_ANG, wholly_held, with_vacuum
from mira_cli.structures.packs import load_structures
from worker.minimum.freedom import GAP_ANG as WORKERS_GAP_ANG
from worker.minimum.vacuum import gaps


def held(atoms, indices):
    atoms.set_constraint(FixAtoms(indices))
    return atoms


@pytest.fixture
def index_of(tmp_path):
    def made(*images):
        write(tmp_path / "in.extxyz", list(images))
        return load_structures(
            tmp_path / "packs", find_sources([str(tmp_path / "in.extxyz")]).sources, moves_atoms=True
        )

    return made


def config(*settings: str):
    return build_config({"structures": ["x"], "models": ["emt"], "task": "relax"}, list(settings))


def model(name: str, stress: bool | None):
    return SimpleNamespace(name=name, row=SimpleNamespace(stress=stress))


CU, CO = bulk("Cu", cubic=True), molecule("CO")


def test_a_model_without_stress_relaxes_atoms_alone(index_of) -> None:
    models = [model("a", True), model("unknown", None), model("direct", False)]
    crystal = index_of(CO, CU)
    with pytest.raises(UsageError, match="`direct` gives no stress, without which task `relax` cannot change a cell"):
        refuse_without_stress(config(), models, crystal)
    refuse_without_stress(config("task.cell=fixed"), models, crystal)
    refuse_without_stress(config(), models[:2], crystal)
    refuse_without_stress(config(), models, index_of(CO))


@pytest.mark.parametrize("setting", ["task.cell=full", "task.cell=110001", "task.pressure_gpa=2"])
def test_molecules_have_no_cell_to_change(index_of, setting) -> None:
    with pytest.raises(UsageError, match="no structure is periodic"):
        refuse_what_cannot_move(config(setting), index_of(CO))
    refuse_what_cannot_move(config(setting), index_of(CO, CU))
    refuse_what_cannot_move(config(), index_of(CO))


def test_structures_that_are_wholly_held_are_refused_or_told(index_of, capsys) -> None:
    stiff = held(CU.copy(), [0, 1, 2, 3])
    index = index_of(stiff, held(CO.copy(), [0, 1]))
    assert wholly_held(index).tolist() == [True, True]
    with pytest.raises(InputError, match=r"nothing can move in `in\.extxyz#0` and the others: all atoms are fixed"):
        refuse_what_cannot_move(config("task.cell=fixed"), index)
    refuse_what_cannot_move(config(), index)  # the crystal's cell may change
    assert "nothing can move in 1 structure, all of whose atoms are fixed: `in.extxyz#1`" in capsys.readouterr().err
    loose = index_of(held(CU.copy(), [0, 1, 2]), CO)
    assert not wholly_held(loose).any()
    refuse_what_cannot_move(config("task.cell=fixed"), loose)


def test_a_pressure_on_vacuum_is_refused_or_told_as_the_worker_would(index_of, capsys) -> None:
    slab, thin, gap = fcc111("Cu", (1, 1, 3), vacuum=8.0), fcc111("Cu", (1, 1, 3), vacuum=8.0), CU.copy()
    slab.pbc = True
    thin.set_cell([*thin.cell[:2], [0, 0, np.ptp(thin.positions[:, 2]) + 7.9]])
    thin.pbc = True
    gap.set_cell([*gap.cell[:2], [3.0, 0, 10.5]])  # a skewed cell
    images = [slab, thin, gap, CU, CO]
    index = index_of(*images)
    assert with_vacuum(index).tolist() == [bool((gaps(atoms) > WORKERS_GAP_ANG).any()) for atoms in images]
    assert with_vacuum(index).any()
    assert GAP_ANG == WORKERS_GAP_ANG
    refuse_what_cannot_move(config("task.pressure_gpa=2"), index)
    assert "structures will have no answer, `in.extxyz#0` is the first" in capsys.readouterr().err
    refuse_what_cannot_move(config(), index)
    assert capsys.readouterr().err == ""
    for images in ([slab], [slab, CO]):
        with pytest.raises(UsageError, match="a pressure means nothing where a structure has vacuum or is not periodi"):
            refuse_what_cannot_move(config("task.pressure_gpa=2"), index_of(*images))


def test_pressure_on_a_fixed_cell_and_references_of_other_tasks_are_refused() -> None:
    with pytest.raises(UsageError, match=r"settings of task `relax`: `pressure_gpa` means nothing with `cell` fixed"):
        config("task.cell=fixed", "task.pressure_gpa=1")
    with pytest.raises(UsageError, match="task `singlepoint` moves no atoms"):
        build_config({"structures": ["x"], "models": ["emt"], "reference": "y"}, [])
