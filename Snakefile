# MIRA's workflow: many models, the same structures, one table.
#
# `mira run` writes work/plan.json and starts this file in the run directory. Without `mira`, the same settings do the same:
#   snakemake --snakefile Snakefile --directory RUN --configfile run.yaml --workflow-profile profiles/local
#
# In the run directory:
#   work/jobs/{model}/{job}.json     what a job must do (the plan's)
#   work/records/{model}/{key}/{job} what the worker found, append-only; Snakemake does not know of it
#   work/done/{model}/{job}.json     says that a job is over
#   comparison.csv, …                the results

from snakemake.utils import min_version

min_version("9.25")


include: "workflow/rules/plan.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/collect.smk"


# `mira run` collects by itself, in its own process and whatever became of the jobs
rule all:
    default_target: True
    input:
        rules.collect.input.done if "plan" in config else rules.collect.output,
