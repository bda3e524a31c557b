"""Real weights: the benchmark of `examples/s22`, in one command."""

import csv

import pytest

from tests.families.conftest import python_of
from tests.runs import REPOSITORY, rows


def test_sevennet_s_errors_on_s22(tmp_path, mira) -> None:
    """Those that its own calculator has, computed without MIRA: 0.115 eV on average, 0.033 eV too weak."""
    python_of("fairchem-sevennet")
    run = tmp_path / "s22"
    mira("run", REPOSITORY / "examples/s22", "--task", "interaction", "-m", "sevennet-0", "-o", run,
         "--set", "runtime=venv", "--group-by", "kind")  # fmt: skip
    found = rows(run)
    assert [row["status"] for row in found] == ["ok"] * 22
    assert {row["fragment_source"] for row in found} == {"given"}
    with (run / "scalars.csv").open() as stream:
        errors = next(row for row in csv.DictReader(stream) if row["against"] == "reference")
    assert int(errors["n"]) == 22
    assert float(errors["mae"]) == pytest.approx(0.115, abs=1e-3)
    assert float(errors["mean_difference"]) == pytest.approx(0.033, abs=1e-3)
    by_name = {row["structure_id"]: float(row["interaction_energy_ev"]) for row in found}
    assert by_name["s22.extxyz#1"] == pytest.approx(-0.311, abs=2e-3)  # water
    assert by_name["s22.extxyz#10"] == pytest.approx(-0.016, abs=2e-3)  # benzene, displaced
