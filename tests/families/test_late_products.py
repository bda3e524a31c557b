"""What SevenNet's networks leave unmade changes no digit of what they answer."""

import json
import os
import subprocess

from mira_cli.catalogue.lookup import built_in
from tests.families.conftest import HERE, python_of


def test_what_is_made_late_answers_to_the_last_digit_and_is_not_made_for_the_fused_network(tmp_path) -> None:
    python = python_of(built_in().families["sevennet"].image)
    env = {**os.environ, "PYTHONPATH": ""}
    subprocess.run([python, str(HERE / "late.py"), "f.json"], cwd=tmp_path, env=env, check=True, timeout=900)
    findings = json.loads((tmp_path / "f.json").read_text())
    assert set(findings) == {"7net-0", "7net-0_22may2024", "7net-l3i5", "7net-mf-0"}
    for name, found in findings.items():
        products = found.pop("products")
        assert products > 3, name
        assert found == {
            "fused": True, "made_by_then": 0, "plain": True, "copied": True, "state": True,
        }, name  # fmt: skip
