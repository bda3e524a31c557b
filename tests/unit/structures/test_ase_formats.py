"""ASE's formats are imported without most of scipy, which ASE has when it calls it."""

from __future__ import annotations

import json
import subprocess
import sys

ASKED = """
import json, sys
import mira_cli.structures.ase_formats
before = [name in sys.modules for name in ("ase.dft", "ase.spacegroup.xtal", "scipy.integrate", "scipy.spatial")]
import numpy as np
from ase.dft import get_distribution_moment
from ase.spacegroup import crystal
x = np.linspace(0, 2, 201)
moment = get_distribution_moment(x, x)
salt = crystal(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[5.64, 5.64, 5.64, 90, 90, 90])
twice = crystal(["Cu"] * 2, [(0, 0, 0), (0.0001, 0, 0)], spacegroup=1, cell=[3, 3, 3], onduplicates="keep")
now = "scipy.integrate" in sys.modules
print(json.dumps([before, moment, str(salt.symbols), len(twice), now]))
"""


def test_scipy_is_imported_by_what_calls_it() -> None:
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    before, moment, salt, atoms, now = json.loads(done.stdout)
    assert before == [True, True, False, False]
    assert abs(moment - 2) < 1e-12
    assert salt == "Na4Cl4"
    assert (atoms, now) == (1, True)
