"""What runs on a node: the rule's own shell command, in its container, and no Snakemake around it.

Snakemake's own executors start it again on the node, the one for SLURM twice. That costs three seconds of a core and
250 MB a job, and reads thousands of files from a disk that all jobs share. Of what it does there, a worker needs the
few lines below; the output is checked where jobs are submitted, in any case.

For the executor plugins beside it: runs inside Snakemake and imports nothing of `mira_cli`.
"""

import shlex
from pathlib import Path

from snakemake.deployment.singularity import shellcmd


def job_script(job, workflow) -> str | None:
    """Lines for `sh` that do a job in the working directory; None where only Snakemake can: a rule without `shell:`.

    A `TMPDIR` of the submitting machine may not be there, and what the job reads may show late on a shared disk.
    Whatever is said, by the container's runtime too, is in the job's log.
    """
    if job.is_group() or not job.is_shell:
        return None
    command = job.shellcmd
    if image := job.container_img_path:
        command = f"exec {shellcmd(image, command, args=workflow.deployment_settings.apptainer_args).strip()}"
    here = '[ -w "${TMPDIR:-/tmp}" ] || export TMPDIR=/tmp'
    log = [
        f"mkdir -p {_quoted(file.parent)}; : >{_quoted(file)}; exec >>{_quoted(file)} 2>&1"
        for file in map(Path, list(job.log)[:1])
    ]
    patience_s = workflow.execution_settings.latency_wait
    waits = [
        f"i=0; until [ -e {_quoted(file)} ] || [ $((i += 1)) -gt {patience_s} ]; do sleep 1; done" for file in job.input
    ]
    return "\n".join([here, *log, *waits, command])


def clear(job) -> None:
    """Remove the output that an earlier try of a job has left: what is there afterwards is of the job to come."""
    for file in job.output:
        Path(file).unlink(missing_ok=True)


def _quoted(path) -> str:
    return shlex.quote(str(path))
