# The plan that everything else reads. `mira run` has made it; plain `snakemake` makes it here, once, in the main process
# (processes that other executors than MIRA's start for single jobs must see the plan they were started for).

import os

from snakemake.exceptions import WorkflowError

from mira_cli.errors import MiraError
from mira_cli.planning.snakemake_entry import load_plan, scaled
from mira_cli.python_path import SAFE

# for the processes that Snakemake starts for single jobs: they run in the run directory, which holds a user's files
os.environ.update(SAFE)

try:
    PLAN = load_plan(
        workflow.config_settings.config,
        workflow.config_settings.configfiles,
        main=workflow.is_main_process,
    )
except MiraError as error:
    raise WorkflowError(f"{error.message}\n  hint: {error.hint}") from None


wildcard_constraints:
    job="[0-9a-f]+",


onerror:
    # some models may have answers although others have failed; `mira run` collects them by itself
    if "plan" not in config:
        shell("{PLAN[python]:q} -P -m mira_cli collect . --locked")
