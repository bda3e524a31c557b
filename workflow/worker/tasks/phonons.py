"""Harmonic vibrations of a crystal at the model's own minimum: frequencies, bands, densities of states, heat capacities."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from worker.contract import Answer, Layout, NoAnswer, Outcome
from worker.phonons import spectrum
from worker.phonons.crystal import Crystal, crystal_of
from worker.phonons.supercells import Precision, configurations, displaced, frequencies, take_forces

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from worker.tasks import Steps

    Floats = NDArray[np.float64]

VERSION = 1  # raise it, and that in `mira_cli/tasks/phonons.py`, when the numbers change
IMPORTS = ("phonopy", "phonors", "seekpath")
