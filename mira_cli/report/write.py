"""`report.html`: one file with its style, its code and its data, that asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mira_cli import __version__, console
from mira_cli.compare.spread import ROUNDING
from mira_cli.files import read_json, replacing
from mira_cli.report.alignment import words
from mira_cli.report.citations import bibtex, citations
from mira_cli.report.disputed import distributions, structures_to_look_at
from mira_cli.report.gathered import Gathered, gather, rounded_columns, rows_of
from mira_cli.report.groups import groups, without_groups
from mira_cli.report.minima import minima
from mira_cli.report.points import points
from mira_cli.report.properties import has_quantities, quantities
from mira_cli.report.shareable import shareable, system
from mira_cli.report.structures_table import failures, structures_table
from mira_cli.report.summary import banners, findings, methods, model_facts, pair_cautions
from mira_cli.report.work_done import timing

if TYPE_CHECKING:
    from mira_cli.answers.load import LoadedRun
    from mira_cli.compare.statistics import Statistics
    from mira_cli.tasks import Task

HERE = Path(__file__).parent
CODE = (
    *("dom", "plots", "structures_table", "heat_maps", "comparison", "viewer", "minima", "curves", "properties"),
    *("sections", "start"),
)
VIEWER, LICENCE = HERE / "vendor" / "3Dmol-min.js", HERE / "vendor" / "3Dmol-LICENSE.txt"
PAIRS = (  # columns of `pairs.csv` that the page shows
    *("model_a", "model_b", "theory"),
    *("n_force_structures", "n_force_atoms", "force_mae_ev_per_ang", "force_rmse_ev_per_ang", "force_relative_rmse"),
    *("force_cosine_mean", "force_cosine_p05", "n_small_force_atoms", "softening_a_on_b", "softening_b_on_a"),
    *(
        "n_energies",
        "energy_raw_rmse_ev_per_atom",
        "energy_alignment",
        "energy_alignment_rows",
        "energy_alignment_rank",
    ),
    *(
        "energy_alignment_dof",
        "n_energies_aligned",
        "energy_aligned_mae_ev_per_atom",
        "energy_aligned_rmse_ev_per_atom",
    ),
    *("energy_aligned_left_out_rmse_ev_per_atom", "energy_refusal", "rank_correlation", "n_rank_structures"),
    *("n_rank_compositions", "n_stresses", "stress_mae_ev_per_ang3", "stress_rmse_gpa"),
)
MOST_ATTEMPTS = 20  # of one model, in the provenance that is shown


def write_report(loaded: LoadedRun, to: Path | None = None, *, computed: Statistics | None = None) -> Path:
    """Write the report of a collected run, by default as `RUN/report.html`.

    Parameters
    ----------
    computed
        The statistics of the run, if somebody has them already.

    Raises
    ------
    UsageError
        The run has no results, or they are older than its plan.
    """
    target = to or loaded.run.root / "report.html"
    html = page(content(gather(loaded, computed)))
    with replacing(target) as stream:
        stream.write(html)
    return target


def try_to_write_report(loaded: LoadedRun, *, computed: Statistics | None = None) -> Path | None:
    """As `write_report`, for the end of a run: whatever goes wrong is a warning, since the results are there."""
    try:
        return write_report(loaded, computed=computed)
    except Exception as error:  # noqa: BLE001  (a report that cannot be drawn must not cost a run)
        what = " ".join(str(error).split()) or type(error).__name__
        console.warn(f"no report was written: {what}", hint=f"`mira report {loaded.run.root}` tries again")
        return None


def content(gathered: Gathered) -> dict[str, Any]:
    """All that the page shows, as JSON has it."""
    cited = citations({model.name: model.row.citation for model in gathered.models})
    task, pairs = gathered.task, gathered.statistics.pairs
    looked_at = structures_to_look_at(gathered) if task.is_compared else {"by": "", "structures": []}
    return {
        "title": gathered.run.root.name,
        "mira": __version__,
        "collected": (read_json(gathered.run.collected) or {}).get("collected"),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": {**gathered.provenance["structures"], "atoms": int(gathered.answers.n_atoms.sum())},
        "models": model_facts(gathered),
        "banners": banners(gathered),
        "findings": findings(gathered),
        "table": structures_table(gathered),
        "alignment": words(gathered.statistics.scheme),
        "pairs": rounded_columns(pairs if task.is_compared else pairs.slice(0, 0), PAIRS, gathered.names),
        "cautions": pair_cautions(gathered),
        "reference": rows_of(without_groups(gathered.statistics.reference)),
        **({"reference_model": of_model.name} if (of_model := gathered.statistics.answers.reference) else {}),
        **({"groups": by_label} if (by_label := groups(gathered)) else {}),
        "points": points(gathered) if task.is_compared else None,
        "distributions": distributions(gathered) if task.is_compared else [],
        **({} if task.is_compared else {"compared": False, "titles": _titles(task)}),
        **({"minima": minima(gathered, task)} if task.keeps_geometries else {}),
        **({"properties": told} if has_quantities(task) and (told := quantities(gathered, task)) else {}),
        "look_at": looked_at,
        "rounding": ROUNDING,
        "failures": shareable(failures(gathered)),
        "timing": timing(gathered),
        "methods": methods(gathered),
        "citations": [{name: entry[name] for name in ("models", "address", "title")} for entry in cited],
        "bibtex": bibtex(cited),
        "provenance": _told(gathered.provenance),
    }


def _titles(task: Task) -> dict[str, str]:
    """What columns are called, where it is not made of their names."""
    return {column.name: column.title for column in task.columns if column.title}


def page(shown: dict[str, Any]) -> str:
    """The whole file. Its policy lets run exactly the code that is in it, and lets nothing be fetched."""
    read = {name: (HERE / "page" / f"{name}.js").read_text(encoding="utf-8") for name in CODE}
    own = '(() => {\n"use strict";\n' + "\n".join(read.values()) + "\n})();"
    is_drawn = any("elements" in one for one in shown["look_at"]["structures"])
    viewer = f"/*\n{LICENCE.read_text(encoding='utf-8')}*/\n{VIEWER.read_text(encoding='utf-8')}" if is_drawn else ""
    parts = {
        "TITLE": escape(shown["title"].encode("utf-8", "replace").decode()),  # a name may be no Unicode
        "POLICY": " ".join(_allowed(script) for script in (viewer, own)),
        "STYLE": (HERE / "page" / "report.css").read_text(encoding="utf-8"),
        "DATA": script_json(shown),
        "VIEWER": viewer,
        "CODE": own,
    }
    html = (HERE / "page" / "report.html").read_text(encoding="utf-8")
    pieces = html.split("@@")  # not one replacement after the other: a title may look like a place for data
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def script_json(data: Any) -> str:
    """JSON that a `<script>` can hold whatever is in its texts."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode("utf-8", "replace").decode()  # names of files that are no Unicode


def _allowed(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _told(provenance: dict[str, Any]) -> dict[str, Any]:
    """Provenance without what is private or grows with the number of jobs; the file beside the report has all of it."""
    models = []
    for model in provenance["models"]:
        kept = {name: value for name, value in model.items() if name != "jobs"}
        kept["attempts"] = model["attempts"][:MOST_ATTEMPTS]
        if left := len(model["attempts"]) - MOST_ATTEMPTS:
            kept |= {"attempts_left_out": left} if left > 0 else {}
        models.append(kept)
    call = provenance["call"] or {}
    if command := call.get("command"):
        call = {**call, "command": [Path(command[0]).name, *command[1:]]}
    told: dict[str, Any] = shareable({**provenance, "call": call, "models": models})
    return {**told, "platform": system(provenance["platform"])}
