"""Runs in a family's image: properties of crystals by MIRA's worker.

`properties.py ASKED.json FOUND.json`: a model, and what is asked of which crystals. The current folder holds what is
written.
"""

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "workflow"), str(HERE.parents[1])]
CRYSTALS = {
    "Cu": {"crystalstructure": "fcc", "a": 3.62},
    "Si": {"crystalstructure": "diamond", "a": 5.45},
    "MgO": {"crystalstructure": "rocksalt", "a": 4.24},
}


def computed(model: dict, task: dict, names: list[str]) -> dict[str, dict]:
    """The records of a task, by the crystal's name, and elements of C where it has some."""
    import numpy as np
    from ase.build import bulk

    import worker.__main__ as worker
    from tests.unit.worker.jobs import hash_of, write_job

    folder = Path.cwd() / task["name"]
    folder.mkdir()
    structures = [bulk(name, cubic=task["name"] == "elastic", **CRYSTALS[name]) for name in names]
    write_job(folder, structures, model=model, task=task, begins_with_key="0123456789abcdef")
    records = folder / "work/records/model/own/ab12"  # the worker goes there
    os.chdir(folder)
    words = ["job.json", "--records", "work/records/model/own/ab12", "--done", "done.json", "--threads", "1"]
    assert worker.main(words) == 0
    lines = [json.loads(line) for line in (records / "records.jsonl").read_text().splitlines()]
    found = {line["structure"]: line for line in lines if line["kind"] == "record"}
    for record in found.values():
        for array in ("stiffness_gpa", "clamped_stiffness_gpa"):
            if record.get(f"{array}_row") is not None:
                numbers = np.fromfile(records / f"{array}.f64").reshape(-1, 6)
                record[array] = numbers[record[f"{array}_row"] :][:6].tolist()
    return {name: found[hash_of(k)] for k, name in enumerate(names)}


def main() -> None:
    asked, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]).absolute()
    here = Path.cwd()
    found = {}
    for task, names in asked["tasks"]:
        os.chdir(here)
        found[task["name"]] = computed(asked["model"], task, names)
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
