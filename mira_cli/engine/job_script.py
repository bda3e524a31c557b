"""What runs on a node: the rule's own command, in its container, and no Snakemake around it.

Snakemake's own executors start it again on the node, the one for SLURM twice. That costs three seconds of a core and
250 MB a job, and reads thousands of files from a disk that all jobs share. Of what it does there, a worker needs the
few lines below; the output is checked where jobs are submitted, in any case.

For executor plugins; what a job and a workflow are is Snakemake's.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any


def job_script(job: Any, workflow: Any) -> str | None:
    """Lines for `sh` that do a job in the working directory; None where only Snakemake can: a rule without `shell:`.

    A `TMPDIR` of the submitting machine may not be there, and what the job reads may show late on a shared disk.
    Whatever is said, by the container's runtime too, is in the job's log.
    """
    if job.is_group() or not job.is_shell:
        return None
    here = '[ -w "${TMPDIR:-/tmp}" ] || export TMPDIR=/tmp'
    log = [
        f"mkdir -p {_quoted(file.parent)}; : >{_quoted(file)}; exec >>{_quoted(file)} 2>&1"
        for file in map(Path, list(job.log)[:1])
    ]
    patience_s = workflow.execution_settings.latency_wait
    waits = [
        f"i=0; until [ -e {_quoted(file)} ] || [ $((i += 1)) -gt {patience_s} ]; do sleep 1; done" for file in job.input
    ]
    first = workflow.remote_execution_settings.precommand or ":"  # such as `module load apptainer`
    return "\n".join([here, *log, first, *waits, _command(job, workflow)])


def _command(job: Any, workflow: Any) -> str:
    """The rule's command, in its container as Snakemake would enter it."""
    if not (image := job.container_img_path):
        return str(job.shellcmd)
    options = f"--home {_quoted(Path.cwd())} {workflow.deployment_settings.apptainer_args}"
    # the node's; what Singularity says of an image of Apptainer's is that it is corrupted
    other = "{ echo 'no apptainer on this node: singularity is tried' >&2; echo singularity; }"
    runtime = f'"$(command -v apptainer || {other})"'
    return f"exec {runtime} exec {options} {_quoted(image)} sh -c {_quoted(job.shellcmd)}"


def _quoted(text: object) -> str:
    return shlex.quote(str(text))
