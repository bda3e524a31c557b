"""The four requests of the gateway, as a shell sends them, to real models."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from tests.servers import serving, wait_until

COMMANDS = """
CU='{"symbols": ["Cu", "Cu", "Cu", "Cu"],
     "positions": [[0, 0, 0], [0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]],
     "cell": [[3.6, 0, 0], [0, 3.6, 0], [0, 0, 3.6]], "pbc": [true, true, true]}'
curl -s "$HOST/health"; echo
curl -s "$HOST/api/v1/models"; echo
curl -s -X POST "$HOST/api/v1/single_point" -H "Content-Type: application/json" \
  -d "{\\"model_name\\": \\"chgnet\\", \\"atoms\\": $CU}"; echo
curl -s -X POST "$HOST/api/v1/multi_model" -H "Content-Type: application/json" \
  -d "{\\"model_names\\": [\\"mace-mp\\", \\"m3gnet\\", \\"chgnet\\", \\"sevennet-0\\"],
       \\"task\\": \\"single_point\\", \\"atoms\\": $CU}"
echo
"""


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_four_commands_of_the_gateway_in_a_shell() -> None:
    with serving("-m", "sevennet-0,chgnet", "--keep", "2", "--runtime", "venv") as server:
        environment = {**os.environ, "HOST": f"http://{server.address}", "no_proxy": "*"}
        done = subprocess.run(["sh", "-c", COMMANDS], env=environment, capture_output=True, text=True, timeout=600)
        health, models, single, several = map(json.loads, done.stdout.splitlines())
        assert health["status"] == "ok"
        assert {one["name"]: one["level_of_theory"] for one in models["models"]} == {
            "sevennet-0": "PBE+U", "chgnet-0.3.0": "PBE+U",
        }  # fmt: skip
        assert (single["status"], single["model"]) == ("ok", "chgnet-0.3.0")
        assert "`chgnet` names a family of models; `chgnet-0.3.0` was taken" in single["notes"][0]
        assert single["weights_sha256"]
        statuses = [one["status"] for one in several["answers"]]
        assert statuses == ["unknown_model", "unknown_model", "ok", "ok"]
        assert "`mace-mpa-0`" in several["answers"][0]["error"]
        assert "`matgl-m3gnet-matpes-pbe-2025.2`" in several["answers"][1]["error"]
        for one in several["answers"][2:]:
            assert -4.2 < one["energy_ev"] / 4 < -3.9  # eV/atom of fcc copper
            assert max(abs(f) for row in one["forces_ev_per_ang"] for f in row) < 1e-3
        assert several["answers"][2]["energy_ev"] == pytest.approx(single["energy_ev"], abs=1e-4)

        before = server.workers()
        for pid in before:
            os.killpg(pid, signal.SIGKILL)
        assert [one["status"] for one in server.multi(["sevennet-0", "chgnet"])[1]["answers"]] == ["ok", "ok"]
        wait_until(lambda: len(server.workers()) == len(before) == 2, "both are back")


def test_an_open_server_loads_what_is_ready_here_and_says_what_is_not() -> None:
    with serving("--runtime", "venv") as server:
        code, said = server.single("chgnet-0.3.0")
        assert code == 200
        code, said = server.single("chgnet-0.3.0+d3")
        assert (code, said["model"]) == (200, "chgnet-0.3.0+d3")
        assert len(server.call("GET", "/api/v1/models")[1]["models"]) > 50
