"""`mira collect` for `planning.py`, with the CPU seconds of its parts: `planning_parts.py OUT.json RUN`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

PARTS = {  # part -> where it is done
    "find records": "mira_cli.run.best_records:locate_records",
    "read records": "mira_cli.run.best_records:BestRecords.read",
    "comparison table": "mira_cli.results.write_tables:comparison_rows",
    "frames": "mira_cli.results.write_tables:frames",
    "sums over forces": "mira_cli.compare.force_sums:ForceSums.add",
    "statistics and their files": "mira_cli.driver.collect:compare_again",
    "report": "mira_cli.report.write:try_to_write_report",
}


def main() -> None:
    _, out, root = sys.argv
    from importlib import import_module
    from importlib.util import find_spec

    spent = dict.fromkeys(PARTS, 0.0)
    for part, place in PARTS.items():
        module, _, name = place.partition(":")
        if find_spec(module) is None:  # another checkout may do it elsewhere
            continue
        *owner, last = name.split(".")
        holder: Any = import_module(module)
        for step in owner:
            holder = getattr(holder, step)
        setattr(holder, last, timed(getattr(holder, last), part, spent))
    begin = time.process_time()
    where = "mira_cli.driver.collect" if find_spec("mira_cli.driver.collect") else "mira_cli.results.collect"
    collect = import_module(where).collect
    from mira_cli.run.directory import RunDirectory

    collect(RunDirectory(Path(root)))
    spent["writing and the rest"] = time.process_time() - begin - sum(spent.values())
    Path(out).write_text(json.dumps({part: round(s, 2) for part, s in spent.items()}))


def timed(function: Any, part: str, spent: dict[str, float]) -> Any:
    """The function, its time added up; what it yields is taken at once, so that it is in the time."""

    def call(*given: Any, **named: Any) -> Any:
        begin = time.process_time()
        made = function(*given, **named)
        made = list(made) if hasattr(made, "__next__") else made
        spent[part] += time.process_time() - begin
        return made

    return call


if __name__ == "__main__":
    main()
