"""`snakemake --lint` on a real plan; the findings we live with are named here, every other one fails.

Host-side rules run in MIRA's own environment, so they have no container, which the linter does not know.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
IN_NO_CONTAINER = "Specify a conda environment or container for each rule."
ALLOWED = [("rule collect", IN_NO_CONTAINER), ("rule report", IN_NO_CONTAINER)]
MODEL = {
    "name": "m",
    "slug": "m",
    "key": "k",
    "image": "i",
    "python": "python",
    "worker": "/mira/workflow",
    "sif": "/i.sif",
}
PLAN = {
    "python": sys.executable,
    "models": [{**MODEL, "jobs": ["0a"], "threads": 1, "mem_mb": 100, "runtime_min": 1, "resources": {"gpu": 0}}],
}


def findings(text: str) -> list[tuple[str, str]]:
    """(where, what) of every finding."""
    found, where = [], ""
    for line in text.splitlines():
        if heading := re.match(r"Lints for (rule \w+|snakefile \S+)", line):
            where = heading[1]
        elif finding := re.match(r" {4}\* (.*):$", line):
            found.append((where, finding[1]))
    return found


def main() -> int:
    """Lint; print what is new."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "work").mkdir()
        (Path(folder) / "work" / "plan.json").write_text(json.dumps(PLAN))
        command = [sys.executable, "-m", "snakemake", "--lint", "--snakefile", str(REPOSITORY / "Snakefile"),
                   "--directory", folder, "--config", "plan=work/plan.json"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = findings(done.stderr + done.stdout)
    if sorted(found) == sorted(ALLOWED):
        return 0
    print(done.stderr + done.stdout)
    return 1


if __name__ == "__main__":
    sys.exit(main())
