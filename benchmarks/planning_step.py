"""One step of `planning.py`: make and write the plan of a run."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    _, _, source, root, models, names = sys.argv
    from mira_cli.config import build_config
    from mira_cli.planning.prepare import check_request, commit_plan, prepare_run
    from mira_cli.run.directory import open_run

    settings = {"structures": [source], "models": names.split(","), "models_files": [models], "device": "cpu"}
    run = open_run(Path(root))
    prepared = prepare_run(check_request(build_config(settings, [])), run, images="build")
    commit_plan(prepared, run)


if __name__ == "__main__":  # readers are processes that import this file
    main()
