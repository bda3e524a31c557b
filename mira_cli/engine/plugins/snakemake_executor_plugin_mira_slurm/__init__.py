"""The stock SLURM executor (2.8.0), mended where it hangs, doubles or loses work.

Runs inside Snakemake. How a job is submitted is stock. Replaced are:

* what runs on the node: the rule's own command, as a script (`engine/job_script.py`), instead of two nested Snakemakes.
* status: one `squeue` a poll, whatever accounting there is. A poll that fails forgets no job (stock forgets them all,
  and waits for ever). A preempted job is over unless SLURM requeues it. A job that has left the queue unseen is judged
  by its output, and so is one that SLURM is still cleaning up after, which a hung epilog makes long.
* submission: a refusal that time can heal (a full queue, a busy controller) is tried again instead of failing the job.
* cancelling: what has not been submitted yet is dropped, then everything of this run's name is cancelled.
* why a job ended is written into the rule's own log, where people and `mira` look.
* the account and the partition are left to SLURM where none is given.
"""

import asyncio
import os
import re
import subprocess
import threading
from pathlib import Path

import snakemake_executor_plugin_slurm as stock
from snakemake_executor_plugin_slurm import ExecutorSettings, common_settings
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from mira_cli.engine.early_polls import EarlyPolls
from mira_cli.engine.job_files import clear, has_left_its_result, note_in_log
from mira_cli.engine.job_script import job_script
from mira_cli.slurm.commands import unfiltered

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

FAILED = {
    "BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT",
}  # fmt: skip
REQUEUEABLE = {"BOOT_FAIL", "NODE_FAIL", "PREEMPTED"}  # SLURM may be about to put it back into the queue
POLLS_UNTIL_BELIEVED = 3  # of a job that is not in the queue, or is in a state that a requeue would follow
PASSING = re.compile(
    r"Socket timed out|Unable to contact|Connection (refused|timed out)|temporarily|try again|MaxSubmit|SubmitJobsLimit"
    r"|job (count|submit) limit|Slurm backup controller|Communication connection failure|Zero Bytes|queue is full"
    r"|Resource temporarily|Slurm temporarily unable",
    re.IGNORECASE,
)
PAUSES_S = (2, 5, 10, 20, 30, 60, 120, 300)
MEMORY = re.compile(r"exceeded (job )?memory limit|oom.?kill|out of memory|Exceeded step memory", re.IGNORECASE)


class Executor(EarlyPolls, stock.Executor):
    """Submits jobs to SLURM and watches them."""

    next_seconds_between_status_checks: float  # a property of the interface

    def __init__(self, workflow, logger) -> None:
        """Set up what the repairs need before the polling thread starts, which `super().__init__` does at once."""
        self._cancelled = threading.Event()
        self._refusals = threading.local()
        self._absent: dict[str, int] = {}  # SLURM id -> polls in a row in which it was gone or about to be requeued
        workflow.executor_settings.pass_command_as_script = True  # a script is read by one shell, on the node
        super().__init__(workflow, logger)

    # --- submission

    def run_job(self, job) -> None:
        """Submit one job; wait out refusals that pass."""
        clear(job)
        for pause in (*PAUSES_S, None):
            if self._cancelled.is_set():
                return
            self._refusals.last, self._refusals.catch = None, pause is not None
            super().run_job(job)
            if self._refusals.last is None:
                return
            self.logger.warning("SLURM takes no jobs now (%s); next try in %s s", self._refusals.last, pause)
            self._cancelled.wait(pause)

    def _report_job_error_threadsafe(self, job_info: SubmittedJobInfo, msg: str) -> None:
        reason = _refusal(msg)
        if reason and getattr(self._refusals, "catch", False) and PASSING.search(reason):
            self._refusals.last = reason
            return
        if reason:
            note_in_log(job_info.job, f"slurm: refused the job: {reason}")
        super()._report_job_error_threadsafe(job_info, f"SLURM refused the job: {reason}" if reason else msg)

    def get_account_arg(self, job):
        """The account that was asked for; without one, SLURM's own default."""
        account = job.resources.get("slurm_account")
        yield f" -A {stock.shlex.quote(str(account))}" if account else ""

    def get_partition_arg(self, job) -> str:
        """The partition that was asked for, without one SLURM's own default; and the node's limits of processes.

        By itself SLURM takes over those of the login node, as of a process's CPU time.
        """
        partition = job.resources.get("slurm_partition")
        return (f" -p {stock.shlex.quote(str(partition))}" if partition else "") + " --propagate=NONE"

    def format_job_exec(self, job) -> str:
        """The script of a job; Snakemake again for a rule that is no shell command."""
        return job_script(job, self.workflow) or super().format_job_exec(job)

    def get_python_executable(self) -> str:
        """The Python of such a Snakemake, which looks for no modules in the run directory: it holds a user's files."""
        return f"{super().get_python_executable()} -P"

    # --- watching

    async def check_active_jobs(self, active_jobs):
        """Report the jobs that are over and yield the others."""
        first = float(self.workflow.executor_settings.init_seconds_before_status_checks)
        states = await self._states() if active_jobs else None
        ended = False
        for job_info in active_jobs:
            try:  # an error here would end the polling thread, and Snakemake would wait for ever
                over = states is not None and self._report(job_info, self._settled(job_info, states))
            except Exception:
                self.logger.exception("cannot settle SLURM job %s yet", job_info.external_jobid)
                over = False
            if not over:
                yield job_info
            ended = ended or over
        last = self.next_seconds_between_status_checks
        self.next_seconds_between_status_checks = first if ended else min(last + first / 2, 3 * first)

    def _report(self, job_info: SubmittedJobInfo, state: str | None) -> bool:
        """Tell Snakemake of a job that is over; whether it is."""
        if state is None:
            return False
        self._absent.pop(job_info.external_jobid, None)
        if state == "COMPLETED":
            self._remove_log(job_info)
            self.report_job_success(job_info)
        else:
            reason = f"job {job_info.external_jobid} ended: {_why(state, job_info)}"
            note_in_log(job_info.job, f"slurm: {reason}", unless_it_speaks=reason.endswith("ended: FAILED"))
            self.report_job_error(job_info, msg=f"SLURM {reason}.", aux_logs=[str(_log(job_info))])
        return True

    async def _states(self) -> dict[str, str] | None:
        """States by id of all jobs of this run that SLURM remembers, None if it does not answer."""
        mine = f"--user={os.getuid()}"  # `--me` is younger than some clusters
        command = ("squeue", mine, "--noheader", "--states=all", "--format=%i|%T", "--name", self.run_uuid)
        async with self.status_rate_limiter:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=unfiltered()
                )
                out, err = await asyncio.wait_for(process.communicate(), timeout=60)
            except (OSError, TimeoutError) as error:
                self.logger.warning("SLURM does not answer: %s", error or "no answer in a minute")
                return None
        if process.returncode != 0:
            self.logger.warning("SLURM does not answer: %s", err.decode(errors="replace").strip())
            return None
        lines = (line.partition("|") for line in out.decode(errors="replace").splitlines())
        return {job.strip(): state.strip() for job, _, state in lines if job.strip()}

    def _settled(self, job_info: SubmittedJobInfo, states: dict[str, str]) -> str | None:
        """The final state of a job, None while there is none."""
        job = job_info.external_jobid
        state = states.get(job)
        if state == "COMPLETED" or (state in FAILED and state not in REQUEUEABLE):
            return state
        if state == "COMPLETING" and has_left_its_result(job_info.job):
            return "COMPLETED"
        if state is not None and state not in REQUEUEABLE:
            self._absent.pop(job, None)
            return None
        self._absent[job] = self._absent.get(job, 0) + 1
        if self._absent[job] < POLLS_UNTIL_BELIEVED:
            return None
        if state is not None:
            return state
        # SLURM has forgotten it (MinJobAge is short, or polls failed for long): its output tells
        return "COMPLETED" if has_left_its_result(job_info.job) else "UNKNOWN"

    def _remove_log(self, job_info: SubmittedJobInfo) -> None:
        if not self.workflow.executor_settings.keep_successful_logs and (log := _log(job_info)):
            log.unlink(missing_ok=True)

    # --- the end

    def cancel_jobs(self, active_jobs) -> None:  # noqa: ARG002  (all of them, also those that are just being submitted)
        """Submit nothing more, and cancel all jobs of this run's name."""
        self._cancelled.set()
        self._job_submission_executor.shutdown(wait=False, cancel_futures=True)
        subprocess.run(["scancel", "--quiet", "--name", self.run_uuid], timeout=60, check=False, env=unfiltered())


def _refusal(message: str) -> str | None:
    """What sbatch said, out of the stock message that quotes the whole command."""
    found = re.search(r"SLURM sbatch failed\. The error message was '(.*?)'\.\n", message, re.DOTALL)
    if not found:
        return None
    said = [line.strip() for line in found[1].splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(line.removeprefix("sbatch: ").removeprefix("error: ") for line in said))


def _why(state: str, job_info: SubmittedJobInfo) -> str:
    """A state in words."""
    words = {
        "TIMEOUT": "TIMEOUT, its time limit was reached",
        "OUT_OF_MEMORY": "OUT_OF_MEMORY, its memory limit was reached",
        "NODE_FAIL": "NODE_FAIL, its node was lost",
        "PREEMPTED": "PREEMPTED, it had to give way to another job",
        "CANCELLED": "CANCELLED, by its user or an administrator",
        "UNKNOWN": "SLURM has forgotten it, and it left no result",
    }
    if state == "FAILED" and (log := _log(job_info)):
        try:
            text = log.read_text(encoding="utf-8", errors="replace")[-20_000:]
        except OSError:
            text = ""
        if MEMORY.search(text):
            return "FAILED, its memory limit was reached"
    return words.get(state, state)


def _log(job_info: SubmittedJobInfo) -> Path | None:
    log = (job_info.aux or {}).get("slurm_logfile")
    return Path(log) if log else None
