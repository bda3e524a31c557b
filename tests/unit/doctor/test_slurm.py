"""SLURM, as small programs play it."""

from mira_cli.doctor import examine, slurm
from mira_cli.doctor.finding import Check, Finding, ok
from tests.unit.doctor.faults import look, program

CONFIG = """Configuration data as of 2030-01-01T00:00:00
AccountingStorageType   = accounting_storage/slurmdbd
ClusterName             = big
MinJobAge               = {age} sec
SLURM_CONF              = /opt/slurm.conf
SLURM_VERSION           = 24.05.1
"""


def test_no_slurm_is_fine(bare) -> None:
    lines = [*slurm.commands(), *slurm.controller(), *slurm.check_partitions()]
    assert lines == [ok("SLURM", "no SLURM on this machine: jobs run here")]


def test_half_of_slurm_is_not(bare) -> None:
    program(bare, "squeue", "")
    found = look(slurm.commands)["commands"]
    assert found.status == "warn"
    assert "without sbatch, scancel, sinfo, scontrol" in found.message


def test_a_controller_that_hangs_or_refuses_is_bounded(bare, monkeypatch) -> None:
    monkeypatch.setattr(slurm, "PATIENCE_S", 0.5)
    program(bare, "scontrol", "sleep 600")
    program(bare, "sinfo", "sleep 600")
    named = {"controller": slurm.controller, "partitions": slurm.check_partitions}
    checks = [Check("SLURM", name, look, "ask") for name, look in named.items()]
    (controller,), (partitions,) = examine.examine(checks, limit_s=2)
    assert controller.status == "warn"
    assert "does not answer" in controller.message
    assert partitions == Finding("warn", "partitions", "no answer in 2 s", "ask")
    program(bare, "sinfo", "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
    found = look(slurm.check_partitions)["partitions"]
    assert found.status == "warn"
    assert "Unable to contact slurm controller" in found.message
    assert "scontrol ping" in found.hint


def test_what_the_controller_says_of_itself(bare) -> None:
    program(bare, "scontrol", f"cat <<'E'\n{CONFIG.format(age=60)}E")
    found = look(slurm.controller)
    assert found["controller"].message.startswith("big, SLURM 24.05.1, answers in ")
    assert found["MinJobAge"].status == "warn"
    assert found["accounting"].message.startswith("there is one")
    assert found["slurm.conf"].message == "/opt/slurm.conf"
    program(bare, "scontrol", f"cat <<'E'\n{CONFIG.format(age=300)}E")
    assert look(slurm.controller)["MinJobAge"].status == "ok"


def test_a_configuration_that_only_a_variable_names_is_told(bare, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_CONF", "/opt/slurm.conf")
    answer = f"cat <<'E'\n{CONFIG.format(age=300)}E"
    program(bare, "scontrol", answer)
    assert look(slurm.controller)["slurm.conf"].status == "ok"
    program(bare, "scontrol", f'[ -n "$SLURM_CONF" ] || exit 1\n{answer}')
    found = look(slurm.controller)["slurm.conf"]
    assert found.status == "warn"
    assert "/opt/slurm.conf" in found.hint


def test_a_configuration_that_is_not_there_is_told(bare, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_CONF", "/nowhere/slurm.conf")
    program(bare, "scontrol", "echo 'scontrol: error: s_p_parse_file: cannot stat file' >&2; exit 1")
    assert look(slurm.controller)["controller"].hint == "`unset SLURM_CONF`, as there is no /nowhere/slurm.conf"


def test_partitions_and_their_limits(bare) -> None:
    rows = ["gpu|up|2-00:00:00|64|512000|gpu:a100:4(S:0-1)|10", "tiny|down|30:00|4|8000|(null)|1"]
    program(bare, "sinfo", "\n".join(f"echo '{row}'" for row in rows))
    found = look(slurm.check_partitions)
    assert found["gpu"] == ok("gpu", "10 nodes of up to 64 CPUs, 512 GB, gpu:a100:4; 48 h")
    assert found["tiny"].status == "warn"
    assert found["tiny"].message == "1 node of 4 CPUs, 8 GB; 30 min; it is down"
    assert found["partitions"].message == "none is the default"


def test_many_partitions_are_cut(bare) -> None:
    program(bare, "sinfo", "\n".join(f"echo 'p{i}*|up|infinite|4|8000|(null)|1'" for i in range(20)))
    lines = list(slurm.check_partitions())
    assert len(lines) == slurm.MOST_PARTITIONS + 1
    assert lines[-1].message.startswith("5 more")
