"""The four requests of the gateway, as a shell sends them, to real models."""

import json
import os
import shutil
import signal
import subprocess

import numpy as np
import pytest

from tests.runs import REPOSITORY, answers, attempts
from tests.servers import load, serving, wait_until

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

        said = server.multi(["sevennet-0", "chgnet"], task="eos", settings={"points": 7})[1]
        assert [one["status"] for one in said["answers"]] == ["ok", "ok"]
        for one, b0_gpa in zip(said["answers"], (143.5, 154.0), strict=True):  # by `mira run --task eos`
            assert one["values"]["bulk_modulus_gpa"] == pytest.approx(b0_gpa, abs=0.3)
            assert one["values"]["v0_per_atom_ang3"] == pytest.approx(11.8, abs=0.05)
            assert len(one["arrays"]["curve_pressure_gpa"]) == 7

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


def test_records_of_a_run_are_the_same_whoever_has_loaded_the_models(mira, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MIRA_WARM")
    warm, cold = tmp_path / "a" / "warm", tmp_path / "b" / "cold"
    call = ("run", REPOSITORY / "examples" / "structures", "-m", "sevennet-0,chgnet-0.3.0", "--runtime", "venv")
    with serving("-m", "sevennet-0,chgnet-0.3.0", "--keep", "2", "--runtime", "venv", "--threads", "1") as server:
        load(server, "sevennet-0", "chgnet-0.3.0")
        said = mira(*call, "-o", warm).stderr
    assert [f"{name}: asked of the worker" in said for name in ("sevennet-0", "chgnet-0.3.0")] == [True, True]
    assert "asked of the worker" not in mira(*call, "-o", cold).stderr
    assert {place.name for place in warm.glob("work/records/*/*")} == {
        place.name for place in cold.glob("work/records/*/*")
    }
    for model in ("sevennet_0", "chgnet_0_3_0"):
        by_warm, by_cold = answers(warm, model), answers(cold, model)
        assert by_warm.keys() == by_cold.keys()
        assert len(by_warm) > 50
        for key, (energy, forces) in by_warm.items():
            assert energy == pytest.approx(by_cold[key][0], abs=1e-5 * len(forces))
            np.testing.assert_allclose(forces, by_cold[key][1], atol=1e-4)
    same = ("packages", "device", "device_name", "dtype", "checkpoint_sha256", "image", "network", "accelerator")
    told = [{json.dumps({name: one[name] for name in same}) for one in attempts(run)} for run in (warm, cold)]
    assert told[0] == told[1]
    assert mira(*call, "-o", warm).stderr.count("nothing to compute") == 2
