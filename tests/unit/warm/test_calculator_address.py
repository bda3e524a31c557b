"""`calculator(…, address=…)`: models of a server that runs, and what is said where none does."""

import copy
import json
import os
import threading
import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.optimize import BFGS

from mira_cli import calculator
from mira_cli.errors import MiraError, UsageError
from mira_cli.warm.lost import NoAnswerError, RefusedStructureError, WorkerLostError
from tests.runs import faulty
from tests.servers import serving, wait_until
from tests.unit.warm.calculators import notes, rattled, with_calculator

TOKEN = "a-token-of-this-test-alone"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with serving("-m", "emt,lj", "--keep", "2", "--threads", "1", "--max-atoms", "50", "--token-file", token) as one:
        one.token_file = token
        yield one


@pytest.fixture
def emt(server):
    with calculator("emt", address=f"http://{server.address}", token=TOKEN) as calc:
        yield calc


def test_numbers_are_exactly_those_of_a_worker_of_ones_own(emt) -> None:
    structures = [rattled(seed=1), molecule("CO"), Atoms("Cu2", [[0, 0, 0], [0, 0, 1.5]])]
    structures += [Atoms("Au", cell=[2.1, 1 / 3, 30], pbc=[True, True, False])]
    with calculator("emt", threads=1) as own:
        for one, other in zip(emt.evaluate(structures), own.evaluate(structures), strict=True):
            assert (one.status, one.error, one.notes, one.energy_ev) == (
                other.status, other.error, other.notes, other.energy_ev,
            )  # fmt: skip
            for name in ("forces_ev_per_ang", "stress_ev_per_ang3"):
                assert np.array_equal(getattr(one, name), getattr(other, name)) or getattr(one, name) is None
        ends = []
        for calc in (emt, own):
            atoms = with_calculator(rattled(seed=4), calc)
            BFGS(atoms, logfile=None).run(fmax=1e-3, steps=8)
            ends.append(atoms.positions)
        assert np.array_equal(*ends)


def test_it_says_which_model_it_is_and_what_it_computes_with(emt) -> None:
    said = emt.wait()
    with calculator("EMT") as own:
        mine = own.wait()
    for name in ("model", "key", "level_of_theory", "device", "dtype"):
        assert said[name] == mine[name]
    assert said["level_of_theory"] == "empirical"


def test_many_structures_are_batches_of_the_server(emt, server) -> None:
    structures = [rattled(seed=seed) for seed in range(200)]
    found = emt.evaluate(structures)
    for atoms, one in zip(structures, found, strict=True):
        assert one.energy_ev == pytest.approx(with_calculator(atoms, EMT()).get_potential_energy(), abs=1e-9)
    request = emt.worker.ask(structures_of(structures))
    assert max(outcome.batch_size for outcome in request.result()) > 1


def structures_of(structures):
    from mira_cli.warm.judged import judged_geometry

    return judged_geometry(structures)[0]


def test_each_structure_has_an_answer_or_a_reason(emt) -> None:
    odd = Atoms("Cu2", [[0, 0, 0], [0, 0, 1.35]])
    charged = rattled()
    charged.info["charge"] = 1
    large = bulk("Cu", cubic=True) * (3, 3, 2)
    found = emt.evaluate([rattled(), bulk("Si"), charged, Atoms("Cu2", np.zeros((2, 3))), large, odd])
    assert [one.status for one in found] == [
        "ok", "unsupported_element", "unsupported_property", "invalid_input", "failed", "ok",
    ]  # fmt: skip
    assert "72 atoms are more than the 50 of one request; " in found[4].error
    assert [bool(one.notes) for one in found] == [False, False, True, False, False, True]
    with pytest.raises(RefusedStructureError, match="emt: the model does not know Si") as caught:
        with_calculator(bulk("Si"), emt).get_potential_energy()
    assert caught.value.status == "unsupported_element"
    with pytest.raises(RefusedStructureError, match="charge of \\+1 e"):
        with_calculator(charged, emt).get_potential_energy()
    with pytest.raises(PropertyNotImplementedError):
        with_calculator(molecule("CO"), emt).get_stress()


def test_charge_and_spin_go_along(tmp_path, server) -> None:
    """Which the models here refuse, each in words that name the number."""
    with calculator("emt", address=f"http://{server.address}", token=TOKEN) as calc:
        for key, value in (("charge", -1), ("spin", 3), ("uhf", 1)):
            atoms = rattled()
            atoms.info[key] = value
            (found,) = calc.evaluate([atoms])
            with calculator("emt") as own:
                assert (found.status, found.error) == (own.evaluate([atoms])[0].status, own.evaluate([atoms])[0].error)


def test_a_structure_that_kills_its_worker_costs_no_other(tmp_path) -> None:
    deadly = faulty(tmp_path / "models.yaml", mode="crash", only_element="Au")
    with (
        serving("-m", "faulty", "--models-file", deadly, "--threads", "1") as one,
        calculator("faulty", address=f"http://{one.address}") as calc,
    ):
        found = calc.evaluate([*(rattled(seed=n) for n in range(20)), Atoms("Au"), rattled()])
        assert [n for n, answer in enumerate(found) if answer.status != "ok"] == [20]
        assert found[20].status == "failed"
        assert "was killed (SIGKILL)" in found[20].error
        with pytest.raises(NoAnswerError, match="SIGKILL"):
            with_calculator(Atoms("Au"), calc).get_potential_energy()
        assert with_calculator(rattled(), calc).get_potential_energy()


def test_a_server_that_ends_is_one_sentence_and_what_it_had_answered_stays(tmp_path) -> None:
    slow = faulty(tmp_path / "models.yaml", mode="sleep", seconds=600, only_element="Au", times=1)
    with (
        serving("-m", "faulty", "--models-file", slow, "--threads", "1") as one,
        calculator("faulty", address=f"http://{one.address}") as calc,
    ):
        assert calc.evaluate([rattled()])[0].status == "ok"
        found = []
        asking = threading.Thread(target=lambda: found.extend(calc.evaluate([rattled()] * 100 + [Atoms("Au")])))
        asking.start()
        wait_until(lambda: one.model("faulty")["asked"] == 102, "all are asked")
        time.sleep(0.5)
        one.end()
        asking.join(60)
        assert {answer.status for answer in found[:80]} == {"ok"}
        assert found[100].status == "failed"
        with pytest.raises(WorkerLostError, match="cannot be reached: connection refused"):
            with_calculator(rattled(seed=2), calc).get_forces()
        with pytest.raises(WorkerLostError, match="cannot be reached"):
            calc.evaluate([rattled(), rattled()])


def test_a_kept_connection_that_the_server_has_closed_is_opened_again(emt) -> None:
    atoms = with_calculator(rattled(), emt)
    first = atoms.get_potential_energy()
    time.sleep(6)  # uvicorn closes what is idle for 5 s
    atoms.rattle(1e-3, seed=2)
    assert atoms.get_potential_energy() != first


def test_a_closed_calculator_says_so_and_the_server_goes_on(server) -> None:
    with calculator("emt", address=f"http://{server.address}", token=TOKEN) as calc:
        with_calculator(rattled(), calc).get_forces()
        assert copy.deepcopy(calc).evaluate([rattled(seed=3)])[0].status == "ok"
    with pytest.raises(WorkerLostError, match="the calculator of `emt` is closed"):
        with_calculator(rattled(seed=1), calc).get_forces()
    with calculator("emt", address=f"http://{server.address}", token=TOKEN) as calc:
        assert with_calculator(rattled(), calc).get_forces().any()


def test_the_token_is_an_argument_a_file_or_a_variable(server, monkeypatch, tmp_path) -> None:
    url = f"http://{server.address}"
    with pytest.raises(WorkerLostError, match="refuses to answer without a token") as caught:
        calculator("emt", address=url)
    assert "token_file=" in notes(caught.value)
    with pytest.raises(WorkerLostError, match="refuses the token"):
        calculator("emt", address=url, token=TOKEN + "x")
    calculator("emt", address=url, token_file=server.token_file).close()
    monkeypatch.setenv("MIRA_SERVE_TOKEN", TOKEN)
    calculator("emt", address=url).close()
    monkeypatch.setenv("MIRA_SERVE_TOKEN", TOKEN + "x")  # the file's own is the nearer word
    left = tmp_path / "address.json"
    left.write_text(json.dumps({"address": url, "token_file": str(server.token_file), "job": "12"}))
    calculator("emt", address=left).close()
    server.token_file.chmod(0o644)
    try:
        with pytest.raises(UsageError, match="others can read the token"):
            calculator("emt", address=left)
    finally:
        server.token_file.chmod(0o600)


def test_a_proxy_of_the_environment_is_not_asked(server, monkeypatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    calculator("emt", address=f"http://{server.address}", token=TOKEN).close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "sevennet-9"}, "unknown model `sevennet-9`"),
        ({"model": "sevennet-0"}, "`sevennet-0` is not served here"),
        ({"model": "mace:/no/where.model"}, "never for weights by path"),
        ({"model": "file:mine.py"}, "at http"),  # by its name there: it is the server's to say
        ({"model": "../health"}, "unknown model `../health`"),
        ({"device": "cpu"}, "`device` cannot be chosen here"),
        ({"options": {"a": 1}, "threads": 2}, "`threads`, `options` cannot be chosen"),
        ({"trust_checkpoint": True, "gpus": 1}, "`gpus`, `trust_checkpoint` cannot be chosen"),
        ({"token": "short"}, "a token has 16 letters"),
        ({"token_file": "x"}, "both given"),
        ({"address": "127.0.0.1:8000"}, "there is no address of a server at"),
        ({"address": "ftp://127.0.0.1"}, "is no address of a server"),
        ({"address": "http://"}, "is no address of a server"),
        ({"address": "http://a..b:8"}, "is no address of a server"),
        ({"address": "http://127.0.0.1:99999"}, "is no address of a server"),
        ({"address": "http://me:hunter2@127.0.0.1"}, "says more than where it is"),
        ({"address": None}, "a token is for a server"),
    ],
)
def test_what_cannot_be_meant_is_refused(server, given, said) -> None:
    settings = {"address": f"http://{server.address}", "token": TOKEN, **given}
    with pytest.raises(UsageError, match=said) as caught:
        calculator(settings.pop("model", "emt"), **settings)
    assert "hint: " in notes(caught.value)
    assert "hunter2" not in str(caught.value) + notes(caught.value)


def test_files_that_hold_no_address_are_named(tmp_path) -> None:
    for name, content in (("none.json", None), ("text", b"\xff"), ("list", b"[]"), ("other", b'{"address": 1}')):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(UsageError, match=name):
            calculator("emt", address=file)
    with pytest.raises(UsageError, match="cannot read the address"):
        calculator("emt", address=tmp_path)


def test_a_forked_process_must_make_its_own(emt) -> None:
    with_calculator(rattled(), emt).get_forces()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with_calculator(rattled(seed=8), emt).get_forces()
            said = "none"
        except MiraError as error:
            said = str(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    assert b"from which this one was forked" in os.read(reading, 1000)
    os.close(reading)
    assert with_calculator(rattled(seed=9), emt).get_forces().any()
