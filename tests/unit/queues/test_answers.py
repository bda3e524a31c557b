"""What schedulers answer, as their manuals and published outputs have it (Grid Engine: as it answered here)."""

import pytest

from mira_cli.errors import QueueError
from mira_cli.queues import table
from mira_cli.queues.find import job_of_name
from mira_cli.queues.scheduler import ALIVE, JobEnd, Listed
from mira_cli.queues.table import SCHEDULERS

NAME = "mira-run-0123abcd.emt.0a1b"
PBS = f"""Job Id: 12.server
    Job_Name = {NAME}
    Job_Owner = me@login
    resources_used.walltime = 00:00:07
    job_state = R
    exec_host = node7/0*4
    Variable_List = PBS_O_HOME=/home/me,PBS_O_LANG=en_US.UTF-8,
\tPBS_O_PATH=/home/me/bin:/usr/bin:/opt/cycle/jetpack/bin:/opt/pb
\ts/bin,A = b

Job Id: 13.server
    Job_Name = {NAME}
    job_state = Q
    comment = Not Running: Insufficient amount of resource: ncpus (R: 4 A:
\t 0 T: 8)

Job Id: 14.server
    Job_Name = {NAME}
    job_state = H

Job Id: 15.server
    Job_Name = {NAME}
    job_state = F
    Exit_status = 0

Job Id: 16.server
    Job_Name = {NAME}
    job_state = Z

Job Id: 17.server
    Job_Name = {NAME}
    job_state = H
    Hold_Types = s
    comment = job held, too many failed attempts to run

Job Id: 18.server
    Job_Name = {NAME}
    job_state = S

"""
MOVED = f"""Job Id: 19.server
    Job_Name = {NAME}
    Job_Owner = me@login.local
    job_state = M
    queue = Short@flashmgr2
    server = server
    substate = 94
    comment = Job has been moved to "Short@flashmgr2"

Job Id: 20.server
    Job_Name = {NAME}
    job_state = M
    queue = Short@flashmgr2
    substate = 92
    comment = Job finished at "flashmgr2"

"""
LSF = f"""Welcome to the cluster
12|RUN|4*host1:2*host2|12 second(s)|{NAME}|-
13|PEND|-|0 second(s)|{NAME}|Job's requirements not satisfied: 4 hosts;
 Limits a|b: 2 hosts;

14|PSUSP|-|0 second(s)|{NAME}|The job was suspended while pending
15|NEWER|-|-|{NAME}|-
16|DONE|host1|12 second(s)|{NAME}|-
17|UNKWN|4*host1|12 second(s)|{NAME}|-
18|ZOMBI|-|12 second(s)|{NAME}|-
19|SSUSP|host1|12 second(s)|{NAME}|-
20|PEND|-|0 second(s)|{NAME}|No host has {{mig}}
"""
SGE = """<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd">
  <queue_info>
    <job_list state="running">
      <JB_job_number>12</JB_job_number>
      <JAT_prio>0.50000</JAT_prio>
      <JB_name>mira-run-0123abcd.emt.0a1b</JB_name>
      <JB_owner>root</JB_owner>
      <state>r</state>
      <JAT_start_time>2026-11-29T16:33:25</JAT_start_time>
      <queue_name>all.q@vm</queue_name>
      <slots>2</slots>
    </job_list>
  </queue_info>
  <job_info>
    <job_list state="pending">
      <JB_job_number>13</JB_job_number>
      <JB_name>mira-run-0123abcd.emt.0a1b</JB_name>
      <state>qw</state>
      <queue_name></queue_name>
    </job_list>
    <job_list state="pending">
      <JB_job_number>14</JB_job_number>
      <JB_name>mira-run-0123abcd.emt.0a1b</JB_name>
      <state>hqw</state>
      <queue_name></queue_name>
    </job_list>
    <job_list state="pending">
      <JB_job_number>15</JB_job_number>
      <JB_name>mira-run-0123abcd.emt.0a1b</JB_name>
      <state>Eqw</state>
      <queue_name></queue_name>
    </job_list>
    <job_list state="running">
      <JB_job_number>16</JB_job_number>
      <JB_name>mira-run-0123abcd.emt.0a1b</JB_name>
      <state>N</state>
      <queue_name>all.q@vm</queue_name>
    </job_list>
    <job_list state="running">
      <JB_job_number>17</JB_job_number>
      <JB_name>mira-run-0123abcd.emt.0a1b</JB_name>
      <state>S</state>
      <queue_name>all.q@vm</queue_name>
    </job_list>
  </job_info>
</job_info>
"""
HTCONDOR = f"""[
{{"ClusterId": 12, "ProcId": 0, "JobStatus": 2, "JobBatchName": "{NAME}", "RemoteHost": "slot1_1@node7"}}
,
{{"ClusterId": 13, "ProcId": 0, "JobStatus": 1, "JobBatchName": "{NAME}"}}
,
{{"ClusterId": 14, "ProcId": 0, "JobStatus": 5, "JobBatchName": "{NAME}", "HoldReasonCode": 1,
  "HoldReason": "via condor_hold (by user me)"}}
,
{{"ClusterId": 15, "ProcId": 0, "JobStatus": 5, "JobBatchName": "{NAME}", "HoldReasonCode": 46,
  "HoldReason": "The job exceeded allowed job duration of 20 seconds"}}
,
{{"ClusterId": 16, "ProcId": 0, "JobStatus": 8, "JobBatchName": "{NAME}"}}
,
{{"ClusterId": 17, "ProcId": 0, "JobStatus": 4, "JobBatchName": "{NAME}", "LeaveJobInQueue": true}}
,
{{"ClusterId": 18, "ProcId": 0, "JobStatus": 7, "JobBatchName": "{NAME}", "RemoteHost": "slot1_1@node7"}}
]
"""
F = "\N{LATIN SMALL LETTER F WITH HOOK}"
FLUX = "".join(
    f"{F}{job}|{NAME}\n"
    for job in ("2xgU|RUN|node7|7.1s", "2xgV|SCHED||0s", "2xgW|NEW||0s", "2xgX|NEWER||0s", "2xgY|FAILED|node7|3s")
)
ANSWERS = {"qselect -u": "".join(f"{n}.server\n" for n in range(12, 19)), "qstat -f": PBS,
           "qselect -x": "19.server\n20.server\n", "qstat -x": MOVED, "bjobs": LSF, "qstat -u": SGE,
           "condor_q": HTCONDOR, "flux": FLUX}  # fmt: skip
LIVE = {
    "pbs": [
        Listed("12.server", NAME, "RUNNING", "", "node7", "00:00:07"),
        Listed("13.server", NAME, "PENDING", "Not Running: Insufficient amount of resource: ncpus (R: 4 A: 0 T: 8)"),
        Listed("14.server", NAME, "PENDING", "held"),
        Listed("16.server", NAME, "RUNNING"),
        Listed("17.server", NAME, "PENDING", "held: job held, too many failed attempts to run", dead=True),
        Listed("18.server", NAME, "SUSPENDED"),
        Listed("19.server", NAME, "MOVED", "to `Short@flashmgr2`"),
    ],
    "lsf": [
        Listed("12", NAME, "RUNNING", "", "host1", "12 s"),
        Listed("13", NAME, "PENDING", "Job's requirements not satisfied: 4 hosts; Limits a|b: 2 hosts", "", "0 s"),
        Listed("14", NAME, "PENDING", "held: The job was suspended while pending", "", "0 s"),
        Listed("15", NAME, "RUNNING"),
        Listed("17", NAME, "UNKNOWN", "LSF has lost touch with host1", "host1", "12 s"),
        Listed("18", NAME, "UNKNOWN", "it is to be killed, but LSF has lost touch with its node", "", "12 s"),
        Listed("19", NAME, "SUSPENDED", "", "host1", "12 s"),
        Listed("20", NAME, "PENDING", "No host has {mig}", "", "0 s"),
    ],
    "sge": [
        Listed("12", NAME, "RUNNING", "", "vm"),
        Listed("13", NAME, "PENDING"),
        Listed("14", NAME, "PENDING", "held"),
        Listed("15", NAME, "PENDING", "`qstat -j 15` says why", dead=True),
        Listed("16", NAME, "RUNNING", "", "vm"),
        Listed("17", NAME, "SUSPENDED", "", "vm"),
    ],
    "htcondor": [
        Listed("12.0", NAME, "RUNNING", "", "node7"),
        Listed("13.0", NAME, "PENDING"),
        Listed("14.0", NAME, "PENDING", "held"),
        Listed("15.0", NAME, "PENDING", "its time limit was reached", dead=True),
        Listed("16.0", NAME, "RUNNING"),
        Listed("18.0", NAME, "SUSPENDED", "", "node7"),
    ],
    "flux": [
        Listed("f2xgU", NAME, "RUNNING", "", "node7", "7.1s"),
        Listed("f2xgV", NAME, "PENDING", "", "", "0s"),
        Listed("f2xgW", NAME, "PENDING", "", "", "0s"),
        Listed("f2xgX", NAME, "RUNNING", "", "", "0s"),
    ],
}
QACCT = """==============================================================
qname        all.q
jobname      mira-run-0123abcd.emt.0a1b
failed       {failed}
exit_status  {status}
ru_wallclock {seconds}s
maxvmem      62.688MB
category     -q all.q -l h_rt=60,h_vmem=500M -pe smp 2
"""


@pytest.mark.parametrize("name", SCHEDULERS)
def test_jobs_in_the_queue(name, monkeypatch) -> None:
    def answer(_, *command, **__):
        return next(text for start, text in ANSWERS.items() if " ".join(command).startswith(start))

    monkeypatch.setattr(table, "run_command", answer)
    assert table.list_jobs(SCHEDULERS[name], "mira-run-0123abcd") == LIVE[name]
    assert table.list_jobs(SCHEDULERS[name], "mira-run-ffffffff") == []
    monkeypatch.setattr(table, "run_command", lambda *_, **__: "<html>503</html" if name in {"sge", "htcondor"} else "")
    if name in {"sge", "htcondor"}:
        with pytest.raises(QueueError, match="answers what MIRA cannot read"):
            table.list_jobs(SCHEDULERS[name], "mira-")
    else:
        assert table.list_jobs(SCHEDULERS[name], "mira-") == []


@pytest.mark.parametrize(
    ("name", "answer", "ended"),
    [
        ("pbs", "Job Id: 12\n    Exit_status = 0\n", JobEnd(True, "exit status 0")),
        ("pbs", "Job Id: 12\n    Exit_status = -29\n", JobEnd(False, "its time limit was reached")),
        ("pbs", "Job Id: 12\n    Exit_status = -27\n", JobEnd(False, "its memory limit was reached")),
        ("pbs", "Job Id: 12\n    Exit_status = 3\n", JobEnd(False, "exit status 3")),
        ("pbs", "Job Id: 12\n    job_state = R\n", ALIVE),
        ("pbs", "Job Id: 12\n    job_state = Z\n", ALIVE),
        ("pbs", "Job Id: 12\n    job_state = M\n    substate = 94\n    queue = Short@flashmgr2\n", ALIVE),
        ("pbs", "Job Id: 12\n    job_state = M\n    substate = 92\n    queue = Short@flashmgr2\n", None),
        ("pbs", "", None),
        ("lsf", "DONE|-|-\n", JobEnd(True, "exit status -")),
        ("lsf", "EXIT|140|TERM_RUNLIMIT: job killed after reaching LSF run time limit\n",
         JobEnd(False, "its time limit was reached")),
        ("lsf", "EXIT|1|-\n", JobEnd(False, "exit status 1")),
        ("lsf", "RUN|-|-\n", ALIVE),
        ("lsf", "Welcome to the cluster\nNEWER|-|-\n", ALIVE),
        ("lsf", "EXIT|1|TERM_X: first\n second\n", JobEnd(False, "exit status 1 (TERM_X: first second)")),
        ("lsf", "UNKWN|-|-\n", ALIVE),
        ("lsf", "", None),
        ("sge", QACCT.format(failed="0    ", status="0", seconds=5), JobEnd(True)),
        ("sge", QACCT.format(failed="100 : assumedly after job", status="137                  (Killed)", seconds=61),
         JobEnd(False, "its time limit was reached")),
        ("sge", QACCT.format(failed="100 : assumedly after job", status="137                  (Killed)", seconds=5),
         JobEnd(False, "it was cancelled, or a limit was reached (100 : assumedly after job)")),
        ("sge", QACCT.format(failed="0", status="1", seconds=5), JobEnd(False, "exit status 1")),
        ("sge", "", None),
        ("htcondor", '[{"JobStatus": 4, "ExitCode": 0, "ExitBySignal": false}]', JobEnd(True)),
        ("htcondor", '[{"JobStatus": 3, "RemoveReason": "via condor_rm (by user me)"}]',
         JobEnd(False, "via condor_rm (by user me)")),
        ("htcondor", '[{"JobStatus": 4, "ExitBySignal": true, "ExitSignal": 9}]', JobEnd(False, "killed by signal 9")),
        ("htcondor", "", None),
        ("flux", "COMPLETED|0\n", JobEnd(True, "exit status 0")),
        ("flux", "TIMEOUT|142\n", JobEnd(False, "its time limit was reached")),
        ("flux", "FAILED|2\n", JobEnd(False, "exit status 2")),
        ("flux", "RUN|\n", ALIVE),
        ("flux", "NEWER|\n", ALIVE),
        ("flux", "", None),
    ],
)  # fmt: skip
def test_how_a_job_ended(name, answer, ended, monkeypatch) -> None:
    in_the_queue = ({"condor_q"}, {"qstat", "-j"})  # there it is no longer
    monkeypatch.setattr(
        table, "run_command", lambda _, *words, **__: "" if any(some <= {*words} for some in in_the_queue) else answer
    )
    assert table.how_it_ended(SCHEDULERS[name], "12") == ended


@pytest.mark.parametrize(
    ("name", "answer", "ended"),
    [
        ("htcondor", '[{"ClusterId": 12, "ProcId": 0, "JobStatus": 2}]', ALIVE),
        ("htcondor", '[{"ClusterId": 12, "ProcId": 0, "JobStatus": 5, "HoldReasonCode": 34}]',
         JobEnd(False, "its memory limit was reached")),
        ("htcondor", '[{"ClusterId": 12, "ProcId": 0, "JobStatus": 3, "RemoveReason": "via condor_rm"}]', ALIVE),
        ("htcondor", '[{"ClusterId": 12, "ProcId": 0, "JobStatus": 4, "ExitCode": 3}]', JobEnd(False, "exit status 3")),
        ("htcondor", '[{"ClusterId": 12, "ProcId": 0, "JobStatus": 4, "ExitCode": 0}]', JobEnd(True)),
        ("sge", "==\njob_number:   12\nscheduling info:   Job is in hold state\n", ALIVE),
        ("sge", "==\njob_number:   12\nerror reason   1:   can't open output file\n",
         JobEnd(False, "`qstat -j 12` says why")),
    ],
)  # fmt: skip
def test_a_job_in_the_queue_is_not_over_whatever_is_accounted_of_it(name, answer, ended, monkeypatch) -> None:
    said = {"condor_q": answer, "qstat": answer, "qacct": QACCT.format(failed="26", status="0", seconds=0)}
    monkeypatch.setattr(table, "run_command", lambda _, *words, **__: said[words[0]])
    assert table.how_it_ended(SCHEDULERS[name], "12") == ended


@pytest.mark.parametrize(("refusal", "there"), [("invalid option -- 'x'", True), (None, False)])
def test_moved_jobs_are_left_out_only_where_pbs_keeps_none(refusal, there, monkeypatch) -> None:
    """What does not answer is no word of moved jobs: who believed it would compute them again."""

    def answer(_, *command, **__):
        if command[:2] == ("qselect", "-x"):
            error = QueueError("refused")
            error.refused = refusal
            raise error
        return next(text for start, text in ANSWERS.items() if " ".join(command).startswith(start))

    monkeypatch.setattr(table, "run_command", answer)
    if there:
        assert [job.id for job in table.list_jobs(SCHEDULERS["pbs"], NAME)] == [job.id for job in LIVE["pbs"][:-1]]
    else:
        with pytest.raises(QueueError):
            table.list_jobs(SCHEDULERS["pbs"], NAME)


def test_a_jobs_name_says_what_it_computes() -> None:
    assert job_of_name(NAME) == ("emt", "0a1b")
    assert job_of_name("mira-run-0123abcd-driver") == ("", "")


@pytest.mark.parametrize(
    ("refusal", "passing"),
    [
        ("Unable to run job: Job was rejected because job requests unknown queue", False),
        ("qsub: Unknown queue", False),
        ("would exceed queue generic's per-user limit", True),
        ("cannot connect to server", True),
        ("User <me>: Pending job threshold reached. Retrying, please wait", True),
        (None, True),  # it did not answer
    ],
)
def test_what_time_heals_is_tried_again(refusal, passing) -> None:
    error = QueueError("it refuses")
    error.refused = refusal
    assert table.passes(error) is passing


def test_a_script_survives_a_submit_description() -> None:
    script = """cd '/a b' && { echo "x y" 'z' ; } > log 2>&1"""
    (line,) = [word for word in SCHEDULERS["htcondor"].stdin(script).splitlines() if word.startswith("arguments")]
    assert line == """arguments = "-c 'cd ''/a b'' && { echo ""x y"" ''z'' ; } > log 2>&1'\""""
