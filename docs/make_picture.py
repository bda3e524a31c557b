"""Draw `docs/demo.svg`, the end of a run on a terminal in `docs/index.md`: `python docs/make_picture.py runs/demo`."""

import sys
from pathlib import Path

from rich.console import Console

from mira_cli import console
from mira_cli.results.print_end_of_run import print_results
from mira_cli.run.directory import RunDirectory

picture = Console(record=True, width=104, force_terminal=True, highlight=False)
console.stdout = console.stderr = lambda: picture
print_results(RunDirectory(Path(sys.argv[1]).absolute()))
picture.save_svg(str(Path(__file__).parent / "demo.svg"), title="mira run examples/structures --models …")
