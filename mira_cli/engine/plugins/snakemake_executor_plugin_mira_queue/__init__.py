"""Submits jobs to PBS, LSF, Grid Engine, HTCondor or Flux and watches them; what differs is in `mira_cli.queues`.

Runs inside Snakemake. Not `cluster-generic`, which starts a process for each job whenever it asks, and whose jobs have
no names by which a later call could find them. Here one listing of the user's jobs is a poll, a job is known by its
name (`PREFIX.SLUG.JOB`), and no Snakemake starts on its node (`mira_cli.engine.job_script`).

A job that has left the queue is judged by its output, and where there is none the scheduler is asked how it ended.
"""

import asyncio
import re
import shlex
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

from mira_cli.engine.early_polls import EarlyPolls
from mira_cli.engine.job_files import clear, has_left_its_result, note_in_log
from mira_cli.engine.job_script import job_script
from mira_cli.errors import QueueError
from mira_cli.queues.scheduler import COMPLETING, JobEnd, JobNeeds, Listed
from mira_cli.queues.table import SCHEDULERS, cancel_ids, how_it_ended, list_jobs, passes, submit_job

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

POLLS_UNTIL_BELIEVED = 3  # of a job that is not in the queue, has no result, and whose end is not told
LISTED_AFTER_S = 2.0  # a job that has been taken in spite of an error
PAUSES_S = (2, 5, 10, 20, 30, 60, 120, 300)  # after refusals that time heals

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=True,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=0,
)


def _setting(default: object, words: str, *, required: bool = False) -> Any:
    return field(default=default, metadata={"help": words, "env_var": False, "required": required})


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    """Which scheduler, and how a site words what it wants."""

    scheduler: Optional[str] = _setting(None, f"one of {', '.join(SCHEDULERS)}", required=True)  # noqa: UP045  (Snakemake reads no `|`)
    jobname_prefix: Optional[str] = _setting(None, "what the names of jobs begin with")  # noqa: UP045  (Snakemake reads no `|`)
    request: Optional[str] = _setting(None, "options that ask for what a job needs")  # noqa: UP045  (Snakemake reads no `|`)
    gpu: Optional[str] = _setting(None, "what `{gpu}` is in them for a job with a GPU")  # noqa: UP045  (Snakemake reads no `|`)
    seconds_between_polls: int = _setting(20, "seconds between two polls; up to three times as many while nothing ends")


class Executor(EarlyPolls, RemoteExecutor):
    """Submits jobs and watches them."""

    next_seconds_between_status_checks: float  # a property of the interface

    def __init__(self, workflow, logger) -> None:
        """Set up what the polling thread needs, which `super().__init__` starts at once."""
        settings = workflow.executor_settings
        if settings.scheduler not in SCHEDULERS:
            raise WorkflowError(f"no scheduler `{settings.scheduler}`; there are {', '.join(SCHEDULERS)}")
        self._scheduler = SCHEDULERS[settings.scheduler]
        self._prefix = settings.jobname_prefix or f"mira-{uuid.uuid4().hex[:12]}"
        self._cancelled = threading.Event()
        self._submitting = ThreadPoolExecutor(1)  # so that waiting for a full queue holds up nothing
        self._absent: dict[str, int] = {}  # id -> polls in a row in which it was gone
        super().__init__(workflow, logger)
        self.next_seconds_between_status_checks = float(settings.seconds_between_polls)

    def format_job_exec(self, job) -> str:
        """The script of a job; Snakemake again for a rule that is no shell command."""
        return job_script(job, self.workflow) or super().format_job_exec(job)

    def get_python_executable(self) -> str:
        """The Python of such a Snakemake, which looks for no modules in the run directory: it holds a user's files."""
        return f"{super().get_python_executable()} -P"

    # --- submission

    def run_job(self, job) -> None:
        """Leave a job to the thread that submits."""
        clear(job)
        self._submitting.submit(self._submit, job)

    def _submit(self, job) -> None:
        """Submit one job; wait out refusals that pass."""
        try:
            number = self._taken(job) if job.attempt > 1 else None
            for pause in (*PAUSES_S, None):
                if self._cancelled.is_set():
                    return
                try:
                    number = number or self._send(job)
                except QueueError as error:
                    time.sleep(LISTED_AFTER_S)
                    number = self._taken(job)
                    if number is None and (pause is None or not passes(error)):
                        raise
                    if number is None:
                        self.logger.warning("%s; next try in %s s", error.message, pause)
                        self._cancelled.wait(pause)
                        continue
                self.report_job_submission(SubmittedJobInfo(job, external_jobid=number, aux={"log": self._log(job)}))
                if self._cancelled.is_set():  # Ctrl-C came while it was on its way
                    cancel_ids(self._scheduler, [number])
                return
        except Exception as error:  # noqa: BLE001  (in this thread nobody else would hear of it)
            reason = getattr(error, "message", None) or str(error)
            note_in_log(job, reason if isinstance(error, QueueError) else f"{self._scheduler.title}: {reason}")
            self.report_job_error(SubmittedJobInfo(job), msg=f"{reason}. ")

    def _taken(self, job) -> str | None:
        """The id of a job that is there under this one's name, None where there is none.

        A submission may succeed and not say so, and a listing may leave out a job that then seemed to be over. One that
        has left its result is known by its name.
        """
        name = self._name(job)
        if has_left_its_result(job):
            return name
        with suppress(QueueError):
            for one in list_jobs(self._scheduler, name):
                if one.name == name and one.state != COMPLETING and not one.dead:
                    return one.id
        return None

    def _send(self, job) -> str:
        log = self._log(job)
        log.parent.mkdir(parents=True, exist_ok=True)
        script = log.with_suffix(".sh")
        script.write_text(self.format_job_exec(job) + "\n", encoding="utf-8")
        folder, file, said = (shlex.quote(str(place)) for place in (self.workflow.workdir_init, script, log))
        command = f"cd {folder} && exec sh {file} > {said} 2>&1"  # one line: not every scheduler takes more
        own = self.workflow.executor_settings
        asked = _asked(job)
        return submit_job(
            self._scheduler, self._name(job), command, asked, request=own.request or "", gpu=own.gpu or ""
        )

    def _name(self, job) -> str:
        words = "_".join(str(value) for value in job.wildcards_dict.values())
        return ".".join(
            [self._prefix, *(re.sub(r"\W", "_", word) for word in (job.name.removeprefix("evaluate_"), words))]
        )

    def _log(self, job) -> Path:
        """What a job prints beside its own log."""
        return Path(self.workflow.workdir_init, ".snakemake", "queue_logs", f"{self._name(job)}.{job.attempt}.log")

    # --- watching

    async def check_active_jobs(self, active_jobs):
        """Report the jobs that are over and yield the others."""
        first = float(self.workflow.executor_settings.seconds_between_polls)
        listed = await asyncio.to_thread(self._listed) if active_jobs else None
        ended = False
        for job_info in active_jobs:
            try:  # an error here would end the polling thread, and Snakemake would wait for ever
                end = None if listed is None else await asyncio.to_thread(self._end, job_info, listed)
            except Exception:
                self.logger.exception("cannot settle job %s yet", job_info.external_jobid)
                end = None
            if end is None:
                yield job_info
                continue
            ended = True
            self._report(job_info, end)
        last = self.next_seconds_between_status_checks
        self.next_seconds_between_status_checks = first if ended else min(last + first / 2, 3 * first)

    def _listed(self) -> dict[str, Listed] | None:
        """Jobs of this run that are not over, by id; None if the scheduler does not answer."""
        try:
            return {job.id: job for job in list_jobs(self._scheduler, self._prefix)}
        except QueueError as error:
            self.logger.warning(error.message)
            return None

    def _end(self, job_info: SubmittedJobInfo, listed: dict[str, Listed]) -> JobEnd | None:
        """How a job ended, None while it has not."""
        number = job_info.external_jobid
        seen = listed.get(number)
        if seen and seen.dead:
            cancel_ids(self._scheduler, [number])
            return JobEnd(ok=False, why=seen.reason)
        if seen and not (seen.state == COMPLETING and has_left_its_result(job_info.job)):
            self._absent.pop(number, None)
            return None
        if has_left_its_result(job_info.job):
            return JobEnd(ok=True)
        told = how_it_ended(self._scheduler, number)
        if told and not told.over:
            self._absent.pop(number, None)
            return None
        self._absent[number] = self._absent.get(number, 0) + 1
        if told or self._absent[number] < POLLS_UNTIL_BELIEVED:
            return told
        return JobEnd(ok=False, why=f"{self._scheduler.title} has forgotten it, and it left no result")

    def _report(self, job_info: SubmittedJobInfo, end: JobEnd) -> None:
        self._absent.pop(job_info.external_jobid, None)
        log = (job_info.aux or {})["log"]
        if end.ok:
            for left in (log, log.with_suffix(".sh")):
                left.unlink(missing_ok=True)
            self.report_job_success(job_info)
            return
        reason = f"job {job_info.external_jobid} ended: {end.why}"
        note_in_log(
            job_info.job, f"{self._scheduler.title}: {reason}", unless_it_speaks=end.why.startswith("exit status")
        )
        self.report_job_error(job_info, msg=f"{self._scheduler.title} {reason}. ", aux_logs=[str(log)])

    # --- the end

    def cancel_jobs(self, active_jobs) -> None:
        """Submit nothing more, and cancel what was; `mira` looks into the queue afterwards."""
        self._cancelled.set()
        self._submitting.shutdown(wait=False, cancel_futures=True)
        try:
            cancel_ids(self._scheduler, [job_info.external_jobid for job_info in active_jobs])
        except QueueError as error:
            self.logger.warning(error.message)


def _asked(job) -> JobNeeds:
    """What a job asks for, by the names that the plan gives its resources."""
    said = job.resources
    return JobNeeds(
        threads=job.threads, mem_mb=said.get("mem_mb"), runtime_min=said.get("runtime"),
        gpu=bool(said.get("gpu") or said.get("gres")), partition=said.get("slurm_partition"),
        account=said.get("slurm_account"), qos=said.get("qos"), constraint=said.get("constraint"),
        gpu_model=said.get("gpu_model"), gres=said.get("gres"), extra=said.get("slurm_extra"),
    )  # fmt: skip
