"""ASE's optimizers by name: its own ways, on MIRA's freedom and to MIRA's criteria."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE

from tests.unit.worker.tasks.relaxations import TIGHT, distorted, relaxed


@pytest.mark.parametrize(("name", "theirs"), [("bfgs", BFGS), ("fire", FIRE)])
def test_optimizers_of_ase_go_the_way_that_they_go_in_ase(name, theirs) -> None:
    start = distorted(bulk("Cu", cubic=True).repeat((2, 1, 1)))
    start.set_constraint(FixAtoms([0]))
    found = relaxed(start, EMT(), optimizer=name, cell="fixed", keep="trajectory", fmax_ev_per_ang=0.02)
    assert (found.status, found.values["stopped_by"]) == ("ok", "converged")
    alone, path = start.copy(), found.arrays["path_positions"]
    alone.calc = EMT()
    optimizer = theirs(alone, logfile=None)
    for positions in path[:12]:
        assert np.allclose(alone.positions, positions, atol=1e-8)
        optimizer.step()


@pytest.mark.parametrize(("name", "theirs"), [("bfgs", BFGS), ("fire", FIRE)])
@pytest.mark.parametrize("cell", ["full", "110001"])
@pytest.mark.slow
def test_optimizers_of_ase_meet_the_same_criteria_in_about_their_steps(name, theirs, cell) -> None:
    start = distorted(bulk("Al", a=4.1, cubic=True))
    found, ours = (relaxed(start, EMT(), optimizer=one, cell=cell, **TIGHT) for one in (name, "lbfgs"))
    assert (found.status, ours.status) == ("ok", "ok")
    assert found.values["energy_ev"] == pytest.approx(ours.values["energy_ev"], abs=4e-6)
    assert found.values["fmax_ev_per_ang"] <= TIGHT["fmax_ev_per_ang"]
    assert found.values["smax_gpa"] <= TIGHT["smax_gpa"]
    alone = start.copy()
    alone.calc = EMT()
    mask = None if cell == "full" else [digit == "1" for digit in cell]
    optimizer = theirs(FrechetCellFilter(alone, mask=mask), logfile=None)
    assert optimizer.run(fmax=1e-4, steps=500)
    assert found.values["n_steps"] == pytest.approx(optimizer.nsteps, rel=0.3)
