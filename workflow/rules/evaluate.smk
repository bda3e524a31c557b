# One rule a model, so that a model has its own image, resources and name in every log and queue.

for model in PLAN["models"]:

    rule:
        name:
            f"evaluate_{model['slug']}"
        input:
            job=f"work/jobs/{model['slug']}/{{job}}.json",
        output:
            done=f"work/done/{model['slug']}/{{job}}.json",
        log:
            f"logs/{model['slug']}/{{job}}.log",
        # long jobs first, so that short ones fill what is left at the end
        priority: lambda wildcards: PLAN["jobs"][wildcards.job]["atoms"]
        container:
            model["sif"]
        threads: model["threads"]
        resources:
            **model["resources"],
            mem_mb=lambda wildcards, attempt, model=model: scaled(
                model, "mem_mb", attempt
            ),
            runtime=lambda wildcards, attempt, model=model: scaled(
                model, "runtime_min", attempt
            ),
        params:
            python=model["python"],
            worker=model["worker"],
            records=f"work/records/{model['slug']}/{model['key']}/{{job}}",
        shell:
            "PYTHONPATH={params.worker:q} PYTHONDONTWRITEBYTECODE=1 exec {params.python:q} -P -m worker"
            " {input.job:q} --records {params.records:q} --done {output.done:q} --threads {threads} 2>> {log:q}"
