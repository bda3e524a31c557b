# The plan that everything else reads. `mira run` has made it; plain `snakemake` makes it here, once, in the main process
# (processes that Snakemake starts for single jobs must see the plan they were started for).

from snakemake.exceptions import WorkflowError

from mira_cli.errors import MiraError
from mira_cli.planning.snakemake_entry import load_plan, scaled

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
        shell("{PLAN[python]} -m mira_cli collect . --locked")
