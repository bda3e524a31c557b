# Records become results. Only a small file is declared, since Snakemake deletes the declared outputs of a failed rule,
# and an earlier table is better than none. `work/wanted.json` changes when the models or the structures of the run do.


rule collect:
    input:
        wanted="work/wanted.json",
        done=[
            f"work/done/{model['slug']}/{job}.json"
            for model in PLAN["models"]
            for job in model["jobs"]
        ],
    output:
        "work/collected.json",
    log:
        "logs/collect.log",
    localrule: True
    params:
        python=PLAN["python"],
    shell:
        "{params.python:q} -P -m mira_cli collect . --locked > {log:q} 2>&1"


# `collect` has written the report too. This rule is for those who ask for it by name: it comes after the results, and is
# regenerated, from them alone, where it is missing or older.
rule report:
    input:
        rules.collect.output,
    output:
        "report.html",
    log:
        "logs/report.log",
    localrule: True
    params:
        python=PLAN["python"],
    shell:
        "{params.python:q} -P -m mira_cli report . > {log:q} 2>&1"
