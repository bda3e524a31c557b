"""Whether Snakemake takes the options of a profile: it is asked, with nothing to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli import python_path
from mira_cli.engine.process import PLUGINS
from mira_cli.errors import EngineError
from mira_cli.scratch import scratch_folder

if TYPE_CHECKING:
    from mira_cli.engine.profile import Profile

PATIENCE_S = 120  # the SLURM plugin waits for a controller that does not answer


def profile_refusal(profile: Profile) -> tuple[str, str | None] | None:
    """Return why Snakemake refuses a profile's options, and the option that may have been meant; None if it does not.

    Raises
    ------
    EngineError
        Snakemake does not come back.
    """
    with scratch_folder() as folder:
        (folder / "Snakefile").touch()
        given = profile.materialise(folder / "profile")
        done = _snakemake("--snakefile", "Snakefile", "--workflow-profile", str(given), "--dry-run", cwd=folder)
        if done.returncode == 0:
            return None
        reason = _reason(done.stderr)
        unknown = re.search(r"unrecognized arguments: --([\w-]+)", reason)
        if not unknown:
            return reason, None
        options = re.findall(r"--([a-z][\w-]+)", _snakemake("--help", cwd=folder).stdout)
        near = get_close_matches(unknown[1], dict.fromkeys(options), n=1)
        return f"Snakemake has no option `{unknown[1]}`", near[0] if near else None


def _snakemake(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [sys.executable, "-P", "-m", "snakemake", *arguments], cwd=cwd, capture_output=True, text=True, check=False,
            timeout=PATIENCE_S, env={**os.environ, **python_path.python_variables(PLUGINS)},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"Snakemake did not start within {PATIENCE_S} s", hint="`mira doctor` looks at this machine and SLURM"
        ) from error


def _reason(stderr: str) -> str:
    """The last error of a text, without the name of the program and the usage before it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    at = next((n for n in range(len(lines) - 1, -1, -1) if re.search(r"error:", lines[n], re.IGNORECASE)), 0)
    return re.sub(r"^(\S+\.py: )?\w*[eE]rror:\s*", "", " ".join(lines[at:])) or "Snakemake refuses it without a word"
