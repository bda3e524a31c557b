"""ASE's own tests of what works with a calculator, with MIRA's in the place of its EMT."""

import os
import re
import subprocess
import sys
from pathlib import Path

import ase.test

from tests.runs import REPOSITORY
from tests.servers import serving

FILES = """
calculator/test_fd.py cell/test_supercell.py constraints/test_external_force.py constraints/test_fixcom.py
constraints/test_fixedline_fixedplane.py constraints/test_fixinternals.py constraints/test_fixscaled.py
constraints/test_fixsubsetcom.py constraints/test_hookean.py constraints/test_mirror.py db/test_db2.py emt/test_emt1.py
emt/test_emt2.py emt/test_emt_h3o2m.py emt/test_emt_stress.py filter/test_cellfilter.py filter/test_filter.py
filter/test_strain.py filter/test_strain_emt.py fio/test_xyz.py md/test_irun_force_call_order.py md/test_langevin_com.py
md/test_md.py md/test_rng.py neb/test_neb.py neb/test_shared_calculator_neb.py optimize/test_fire2.py
optimize/test_nsteps.py optimize/test_optimize_stepwise.py
optimize/test_optimizer_restart.py optimize/test_optimizers.py optimize/test_replay.py optimize/test_restart.py
standardization/test_properties.py test_eos.py test_forcecurve.py test_hcp.py test_issue276.py
test_linesearch_maxstep.py test_loggingcalc.py test_phonons.py test_singlepointcalc.py test_thermochemistry.py
vibrations/test_vibrations_example.py
"""
OVER_HTTP = """
calculator/test_fd.py db/test_db2.py emt/test_emt1.py emt/test_emt_stress.py filter/test_filter.py fio/test_xyz.py
md/test_md.py neb/test_shared_calculator_neb.py optimize/test_nsteps.py optimize/test_restart.py
standardization/test_properties.py test_eos.py test_loggingcalc.py test_singlepointcalc.py
"""


def passed(names: str, tmp_path: Path, **environment: str) -> int:
    folder = Path(ase.test.__file__).parent
    files = [folder / name for name in names.split()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.unit.warm.emt_of_mira", "-p", "no:cacheprovider",
         "-p", "no:xdist", "-o", "addopts=", "-W", "ignore", *map(str, files)],
        capture_output=True, text=True, cwd=tmp_path, timeout=900,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    return int(re.search(r"(\d+) passed", done.stdout)[1])


def test_ases_own_tests_pass(tmp_path) -> None:
    assert passed(FILES, tmp_path) > 200


def test_ases_own_tests_pass_over_http(tmp_path) -> None:
    with serving("-m", "emt", "--threads", "1") as server:
        assert passed(OVER_HTTP, tmp_path, EMT_ADDRESS=f"http://{server.address}") > 20
        assert server.model("emt")["asked"] > 100, "it was not asked"
