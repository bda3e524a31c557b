"""`mira serve` with quick models: four addresses, many clients, deaths, limits, tokens."""

import http.client
import json
import os
import random
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from tests.runs import faulty
from tests.servers import CU, RunningServer, children, gone, serving, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving("-m", "emt,lj", "--keep", "2", "--threads", "1", "--max-atoms", "50") as one:
        one.multi(["emt", "lj"])  # both are loaded
        yield one


def copper(a: float, **more) -> dict:
    scale = a / 3.6
    return {
        **CU,
        "positions": [[x * scale for x in row] for row in CU["positions"]],
        "cell": [[x * scale for x in row] for row in CU["cell"]],
        **more,
    }


def by_ase(atoms: dict) -> float:
    one = Atoms(atoms["symbols"], atoms["positions"], cell=atoms.get("cell"), pbc=atoms.get("pbc", False))
    one.calc = EMT()
    return one.get_potential_energy()


def test_health_and_models_say_what_there_is(server) -> None:
    code, health = server.call("GET", "/health")
    assert (code, health["status"], health["loaded"]) == (200, "ok", ["emt", "lj"])
    code, said = server.call("GET", "/api/v1/models")
    assert [(m["name"], m["state"], m["level_of_theory"]) for m in said["models"]] == [
        ("emt", "ready", "empirical"),
        ("lj", "ready", "empirical"),
    ]
    assert server.call("GET", "/openapi.json")[1]["paths"].keys() >= {"/api/v1/single_point", "/api/v1/multi_model"}


def test_an_answer_says_whose_it_is_and_in_which_units(server) -> None:
    code, said = server.single("emt")
    assert code == 200
    assert said["status"] == "ok"
    assert said["model"] == "emt"
    assert said["structure"]["formula"] == "Cu4"
    assert said["energy_ev"] == pytest.approx(by_ase(CU), abs=1e-9)
    assert len(said["forces_ev_per_ang"]) == 4
    assert len(said["stress_ev_per_ang3"]) == 6
    assert said["package"].startswith("ase==")
    assert said["key"]
    assert said["level_of_theory"] == "empirical"


def test_one_models_failure_does_not_take_the_others(server) -> None:
    gold_and_iron = {"symbols": ["Au", "Fe"], "positions": [[0, 0, 0], [0, 0, 2.6]]}
    code, said = server.multi(["emt", "lj", "mace-mp", "nonsense"], gold_and_iron)
    assert code == 200
    assert [one["status"] for one in said["answers"]] == ["unsupported_element", "ok", "unknown_model", "unknown_model"]
    assert "Fe" in said["answers"][0]["error"]
    assert said["answers"][1]["energy_ev"] is not None
    assert "`mace-mpa-0`" in said["answers"][2]["error"]
    assert server.single("emt", gold_and_iron)[0] == 422


def test_many_clients_get_their_own_answers(server) -> None:
    """Nothing is lost or mixed up, neither with the neighbour's cell nor with its charge."""
    draw = random.Random(0)
    asked = [copper(draw.uniform(3.4, 3.9), charge=draw.choice([None, None, 0, 1])) for _ in range(300)]
    with ThreadPoolExecutor(24) as clients:
        answers = list(clients.map(lambda atoms: server.single("emt", atoms), asked))
    charged = [atoms["charge"] == 1 for atoms in asked]
    assert [code for code, _ in answers] == [422 if one else 200 for one in charged]
    assert [said["structure"]["charge"] for _, said in answers] == [atoms["charge"] for atoms in asked]
    for atoms, is_charged, (_, said) in zip(asked, charged, answers, strict=True):
        if is_charged:
            assert said["status"] == "unsupported_property"
            assert "charge" in said["error"]
        else:
            assert said["energy_ev"] == pytest.approx(by_ase(atoms), abs=1e-9)
    assert max(said["batch_size"] for _, said in answers) > 1, "what arrived together was no batch"


@pytest.mark.parametrize(
    ("atoms", "code", "sentence"),
    [
        ({"symbols": [], "positions": []}, 422, "no atoms"),
        ({"symbols": ["Cu"], "positions": [[float("nan"), 0, 0]]}, 422, "positions are not finite numbers"),
        ({"symbols": ["Cu"], "positions": [[0, 0, 0]], "pbc": [True] * 3}, 422, "periodic, and without a `cell`"),
        ({"symbols": ["Cu", "Cu"], "positions": [[0, 0, 0]]}, 422, "2 symbols and 1 position: each atom"),
        ({"symbols": ["X"], "positions": [[0, 0, 0]]}, 422, "`X` is no chemical symbol"),
        ({"symbols": ["Cu"] * 51, "positions": [[0, 0, 3 * i] for i in range(51)]}, 413, "51 atoms are more"),
        ({"symbols": ["Cu"], "positions": [[0, 0, 0]], "charges": [1]}, 422, "there is no `atoms.charges`"),
        ({"symbols": ["Cu"], "positions": [[0, 0]]}, 422, "`atoms.positions.0.2` is missing"),
        ({"symbols": ["Cu"], "positions": [[0, 0, 0]], "info": {"charge": 1, "net_charge": 2}}, 422, "contradicts"),
        ({"symbols": ["Cu"], "positions": [[0, 0, 0]], "charge": 1, "info": {"charge": 2}}, 422, "contradicts itself"),
        ({"symbols": ["Cu"], "positions": [[0, 0, 0]], "charge": float("nan")}, 422, "charge"),
        ({"symbols": ["Cu"], "positions": [[0, 0, 0]], "spin": float("nan")}, 422, "spin"),
        ({"symbols": ["Cu", "Cu"], "positions": [[0, 0, 0], [0, 0, 0.1]]}, 422, "Å"),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_is_refused_in_the_words_of_a_run(server, atoms, code, sentence) -> None:
    found, said = server.single("emt", atoms)
    assert found == code
    assert sentence in said["error"]
    assert "hint" in said


def test_what_is_odd_is_a_note_in_the_words_of_a_run(server) -> None:
    near = {"symbols": ["Cu", "Cu"], "positions": [[0, 0, 0], [0, 0, 1.35]]}
    (note,) = server.single("emt", near)[1]["notes"]
    assert "Å" in note
    noted = server.multi(["emt", "lj"], {**CU, "info": {"total_charge": 0, "q": 1}})[1]["answers"]
    assert [len(one["notes"]) for one in noted] == [2, 2]
    assert server.single("emt")[1]["notes"] == []
    (note,) = server.single("emt", {key: value for key, value in CU.items() if key != "pbc"})[1]["notes"]
    assert "computed as not periodic" in note


def test_bodies_that_are_none(server) -> None:
    where = ("POST", "/api/v1/single_point")
    assert server.call(*where, b"{")[1]["error"] == "the body is no JSON"
    assert server.call(*where, b"[" * 100_000)[0] in {400, 422}
    assert "`atoms` is missing" in server.call(*where, {"model_name": "emt"})[1]["error"]
    code, said = server.call(*where, json.dumps({"model_name": "emt", "atoms": CU}).encode(), Content_Type="text/plain")
    assert code == 422
    assert "application/json" in said["hint"]
    assert server.call("GET", "/nothing")[0] == 404
    assert server.call("GET", "/api/v1/single_point")[0] == 405


@pytest.mark.parametrize(
    ("atoms", "sentence"),
    [
        ({"symbols": ["Cu"], "positions": [["a", 0, 0]]}, "`atoms.positions.0.0` must be a number"),
        ({"symbols": "Cu", "positions": [[0, 0, 0]]}, "`atoms.symbols` must be a list"),
        ({"symbols": ["Cu"], "positions": [[0, 0]]}, "`atoms.positions.0.2` is missing"),
        ({"symbols": ["Cu"], "positions": [[0, 0, 0]], "pbc": "x"}, "`atoms.pbc` must be a list"),
        ({"symbols": ["Cu"], "positions": [[1e300, 0, 0]]}, "an atom is more than 1e+08 Å from the origin"),
        ([1], "`atoms` must be an object"),
    ],
)
def test_mistakes_in_a_body_are_told_in_a_sentence(server, atoms, sentence) -> None:
    code, said = server.single("emt", atoms)
    assert (code, said["error"]) == (422, sentence)


def test_a_server_that_names_no_model_says_which_it_can_load(tmp_path) -> None:
    with serving("--runtime", "venv", MIRA_CACHE=str(tmp_path)) as server:
        emt, other = server.model("emt"), server.model("chgnet-0.3.0")
        assert (emt["state"], emt["error"]) == ("not loaded", None)
        told = "its image is not built: `mira images build matgl --runtime venv`"
        assert (other["state"], other["error"]) == ("not available", told)
        assert server.single("emt")[0] == 200
        assert server.model("emt")["state"] == "ready"


def test_a_model_is_never_named_by_path(server, tmp_path) -> None:
    (tmp_path / "x.model").write_bytes(b"x")
    for name in (f"mace:{tmp_path}/x.model", f"{tmp_path}/x.model", "../x", "emt/../lj"):
        code, said = server.single(name)
        assert code == 404
        assert "named by their family" not in said["hint"]
    assert server.single("chgnet")[1]["error"] == "`chgnet`, which means `chgnet-0.3.0`, is not served here"


def test_a_body_of_100_mb_is_not_read(server) -> None:
    code, said = server.call("POST", "/api/v1/single_point", b" " * 100_000_000)
    assert (code, said["error"]) == (413, "a body of more than 16 MB is not read")
    connection = http.client.HTTPConnection(server.address, timeout=60)
    chunks = (b" " * 1_000_000 for _ in range(20))  # of a length that is not told
    connection.request(
        "POST", "/api/v1/single_point", chunks, {"Content-Type": "application/json"}, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()
    assert server.single("emt")[0] == 200


def test_another_name_of_this_machine_is_refused(server) -> None:
    for host in ("example.org", "example.org:80", "127.0.0.1.example.org", ""):
        assert server.call("GET", "/health", Host=host)[0] == 421
    for host in ("localhost", "LOCALHOST:1", "[::1]:80", "127.0.0.1"):
        assert server.call("GET", "/health", Host=host)[0] == 200


def test_a_client_that_goes_away_costs_nothing(tmp_path) -> None:
    slow = faulty(tmp_path / "models.yaml", mode="sleep", seconds=2, only_element="Au", times=1)
    with serving("-m", "faulty", "--models-file", slow, "--threads", "1") as server:
        server.single("faulty")
        body = json.dumps({"model_name": "faulty", "atoms": {"symbols": ["Au"], "positions": [[0, 0, 0]]}}).encode()
        with ThreadPoolExecutor(1) as other:
            busy = other.submit(server.call, "POST", "/api/v1/single_point", body)
            wait_until(lambda: server.model("faulty")["asked"] == 2, "it computes")
            for _ in range(20):
                host, port = server.address.split(":")
                with socket.create_connection((host, int(port))) as leaving:
                    head = "POST /api/v1/single_point HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                    leaving.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                    wait_until(lambda n=_: server.model("faulty")["asked"] == n + 3, "it is asked")
            assert busy.result()[0] == 200
        code, said = server.single("faulty")
        assert code == 200
        assert said["batch_size"] == 1
        assert server.call("GET", "/health")[1]["waiting"] == 0


def test_a_worker_that_is_killed_comes_back(tmp_path) -> None:
    with serving("-m", "emt,lj", "--keep", "2", "--threads", "1") as server:
        server.multi(["emt", "lj"])
        before = server.workers()
        assert len(before) == 2
        for pid in before:
            os.killpg(pid, signal.SIGKILL)
        code, said = server.multi(["emt", "lj"])  # waits for those that come back
        assert code == 200
        assert [one["status"] for one in said["answers"]] == ["ok", "ok"]
        wait_until(lambda: len(server.workers()) == 2 and not set(before) & set(server.workers()), "two others")
        assert server.model("emt")["workers_lost"] == 1


def test_a_death_costs_the_requests_of_its_worker_alone(tmp_path) -> None:
    deadly = faulty(tmp_path / "models.yaml", mode="crash", only_element="Au")
    with serving("-m", "faulty,emt", "--keep", "2", "--models-file", deadly, "--threads", "1") as server:
        server.multi(["faulty", "emt"])
        code, said = server.multi(["faulty", "emt"], {"symbols": ["Au"], "positions": [[0, 0, 0]]})
        assert code == 200
        assert [one["status"] for one in said["answers"]] == ["lost", "ok"]
        assert "was killed (SIGKILL)" in said["answers"][0]["error"]
        assert server.single("faulty")[0] == 200
        assert server.single("faulty", {"symbols": ["Au"], "positions": [[0, 0, 0]]})[0] == 503


def test_a_death_costs_nobody_who_only_waited_beside(tmp_path) -> None:
    deadly = faulty(tmp_path / "models.yaml", mode="crash", only_element="Au")
    with (
        serving("-m", "faulty", "--models-file", deadly, "--threads", "1") as server,
        ThreadPoolExecutor(16) as clients,
    ):
        server.single("faulty")
        gold = {"symbols": ["Au"], "positions": [[0, 0, 0]]}
        codes = list(clients.map(lambda n: server.single("faulty", gold if n == 20 else CU)[0], range(40)))
        assert [n for n, code in enumerate(codes) if code != 200] == [20]


def test_a_model_that_cannot_be_loaded_says_why_at_once(tmp_path) -> None:
    broken = faulty(tmp_path / "models.yaml", mode="load")
    with serving("-m", "faulty,emt", "--keep", "2", "--models-file", broken, "--threads", "1") as server:
        for _ in range(2):
            code, said = server.single("faulty")
            assert code == 503
            assert "this model fails to load on purpose" in said["error"]
        assert server.model("faulty")["state"] == "failed"
        assert server.single("emt")[0] == 200


def test_a_request_has_a_time(tmp_path) -> None:
    slow = faulty(tmp_path / "models.yaml", mode="sleep", seconds=600, only_element="Au")
    with serving("-m", "faulty", "--models-file", slow, "--threads", "1", "--timeout", "4") as server:
        wait_until(lambda: server.single("faulty")[0] == 200, "it is loaded")
        code, said = server.single("faulty", {"symbols": ["Au"], "positions": [[0, 0, 0]]})
        assert code in {503, 504}
        assert "4 s" in said["error"]
        wait_until(lambda: server.single("faulty")[0] == 200, "the hung worker is replaced")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_server(number) -> None:
    server = RunningServer("-m", "emt", "--replicas", "2", "--threads", "1")
    server.single("emt")
    wait_until(lambda: len(server.workers()) == 2, "two replicas")
    workers = server.workers()
    server.end(number)
    wait_until(lambda: all(map(gone, workers)), "the workers end", 20)
    assert server.process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0)


def test_hangup_ends_no_server_that_nohup_started() -> None:
    server = RunningServer("-m", "emt", "--threads", "1", before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    server.process.send_signal(signal.SIGHUP)
    assert server.single("emt")[0] == 200
    server.end()
    assert server.process.returncode == 0


def test_the_least_used_model_makes_room() -> None:
    with serving("-m", "emt,lj", "--keep", "1", "--threads", "1") as server:
        for _ in range(2):
            for name in ("emt", "lj"):
                assert server.single(name)[0] == 200
                wait_until(lambda: len(server.workers()) == 1, "one is put away")
                assert server.call("GET", "/health")[1]["loaded"] == [name]
        assert [said["status"] for said in server.multi(["emt", "lj"])[1]["answers"]] == ["ok", "ok"]


def test_a_token_is_asked_of_everyone_and_told_to_nobody(tmp_path, mira) -> None:
    token, file = "correct-horse-battery", tmp_path / "token"
    file.write_text(f"{token}\n")
    file.chmod(0o600)
    with serving("-m", "emt", "--host", "0.0.0.0", "--token-file", file, "--threads", "1") as server:
        server.said.append(f"answers at http://127.0.0.1:{server.address.rpartition(':')[2]},")
        for headers in ({}, {"Authorization": "Bearer wrong-horse-battery-x"}, {"Authorization": token}):
            code, said = server.call("GET", "/health", **headers)
            assert code == 401
            assert token not in str(said)
        right = {"Authorization": f"Bearer {token}"}
        assert server.call("GET", "/health", **right)[0] == 200
        code, _ = server.call(
            "POST", "/api/v1/single_point", {"model_name": "emt", "atoms": CU}, Host="x.example", **right
        )
        assert code == 200
        (worker,) = server.workers()
        assert token.encode() not in Path(f"/proc/{worker}/environ").read_bytes()
    assert token not in "".join(server.said)
    file.chmod(0o644)
    assert "others can read" in mira("serve", "-m", "emt", "--port", "0", "--token-file", file, code=2).stderr
    assert "no token" in mira("serve", "-m", "emt", "--port", "0", "--host", "0.0.0.0", code=2).stderr


def test_the_token_of_the_environment_does_not_reach_workers() -> None:
    token = "correct-horse-battery"
    with serving("-m", "emt", "--threads", "1", MIRA_SERVE_TOKEN=token) as server:
        assert server.single("emt")[0] == 401
        body = {"model_name": "emt", "atoms": CU}
        assert server.call("POST", "/api/v1/single_point", body, Authorization=f"Bearer {token}")[0] == 200
        (worker,) = server.workers()
        assert token.encode() not in Path(f"/proc/{worker}/environ").read_bytes()


def test_two_servers_in_the_background_are_told_apart_and_end(mira) -> None:
    ports = []
    try:
        for model in ("emt", "lj"):
            done = mira("serve", "--detach", "--port", "0", "-m", model, "--threads", "1")
            ports.append(int(done.stdout.strip().rpartition(":")[2]))
        known = {
            int(one["address"].rpartition(":")[2]): one for one in json.loads(mira("serve", "status", "--json").stdout)
        }
        assert [known[port]["models"][0]["name"] for port in ports] == ["emt", "lj"]
        assert "several" not in mira("serve", "logs", "--port", ports[0]).stderr
        assert str(ports[0]) in mira("serve", "logs", "--port", ports[0]).stdout
        assert "choose one" in mira("serve", "stop", code=2).stderr or len(known) > 2
        taken = mira("serve", "-m", "emt", "--port", ports[0], code=4).stderr
        assert "cannot listen" in taken
        assert "already in use" in taken
        connection = http.client.HTTPConnection("127.0.0.1", ports[1])
        connection.request(
            "POST",
            "/api/v1/single_point",
            json.dumps({"model_name": "lj", "atoms": CU}),
            {"Content-Type": "application/json"},
        )
        assert connection.getresponse().status == 200
        connection.close()
        first = children(known[ports[1]]["pid"])
        mira("serve", "restart", "lj", "--port", ports[1])
        wait_until(
            lambda: children(known[ports[1]]["pid"]) and children(known[ports[1]]["pid"]) != first, "another worker"
        )
        assert "is not loaded" in mira("serve", "restart", "emt", "--port", ports[1], code=2).stderr
    finally:
        for port in ports:
            mira("serve", "stop", "--port", port)
    assert not {
        int(one["address"].rpartition(":")[2]) for one in json.loads(mira("serve", "status", "--json").stdout)
    } & {*ports}


def test_a_server_that_does_not_start_says_why(mira) -> None:
    done = mira("serve", "--detach", "--port", "0", "-m", "nonsense", code=1)
    assert "unknown model `nonsense`" in done.stderr
    assert "no count" in mira("serve", "-m", "emt", "--replicas", "emt=x", code=2).stderr
    assert "cannot be read" in mira("serve", "-m", "emt", "--gpus", "=1", code=2).stderr
