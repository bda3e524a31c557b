"""A family in a file is checked before its first job: the measures of `mira models check`, on few structures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import TimeoutExpired
from threading import Timer
from typing import TYPE_CHECKING, Any

from mira_cli import paths
from mira_cli.console import say
from mira_cli.errors import UsageError
from mira_cli.files import read_json, write_json
from mira_cli.images import run_in_image
from mira_cli.planning.resolve import short_hash
from mira_cli.planning.weights import worker_model
from mira_cli.scratch import scratch_folder
from mira_cli.verdicts.judge import MEASURES, judge_model
from mira_cli.wording import duration, last_line

if TYPE_CHECKING:
    from mira_cli.catalogue.rows import Model
    from mira_cli.images.prepare import ReadyImage
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.planning.weights import Weights
    from mira_cli.verdicts.judge import Verdict

TIMEOUT_S, ANSWER_S = 1800.0, 300.0  # for all of it, and for one answer about a few atoms
REMINDER_S = 30.0
# what stays from one structure to the next spoils other measures too, and so do boxes that are too small
TELLING = ("batch", "stale", "sticky", "box")
# what a file says of its model where a measure fails, if that is what the model is like
_SAID = {
    "stress": '`"stress": False` if it has none',
    "forces": '`"conservative": False` if they are no gradient',
    "rotation": '`"approximate": ["rotation"]` if the model has only learned it',
    "supercell": '`"approximate": ["supercell"]` if it has only learned it, `"pbc": "none"` if it is for molecules',
    "box": 'a longer `"cutoff_ang"`, the farthest distance at which two atoms interact: left out, what needs a box is '
    'refused, and `"approximate": ["box"]` if electrostatics reach farther than any box',
    "stale": '`"fresh": True` makes a calculator for each structure',
    "batch": '`"fresh": True` makes a calculator for each structure',
    "sticky": '`"fresh": True` makes a calculator for each structure',
    "calculator": '`"fresh": True` makes a calculator for each structure',
}


def check_at_first_use(model: ResolvedModel, weights: Weights, image: ReadyImage) -> None:
    """Refuse a family in a file whose numbers do not hold; verdicts are kept by content, options and precision.

    Raises
    ------
    UsageError
        It cannot be loaded, does not come to an end, or fails a measure, which the message names.
    """
    kept = paths.cache_dir() / "checked-files" / f"{weights.sha256[:32]}-{_variant(model)}-{image.recipe}.json"
    known = read_json(kept)
    if known is None:
        say(f"checking {model.name}, once: its numbers, on a few structures")
        known = _checked(model, weights, image)
        if known["is_lasting"]:
            write_json(kept, known)
        took = duration(known["check_s"])
        verdict = "failed the check" if known["failed"] else f"passed the check in {took}"
        say(f"{model.name} has {verdict}")
    if known["failed"]:
        measure, why = known["failed"][0]
        about = "stress" if "without stress" in why else measure
        hint = f"in its file, {_SAID[about]}; " if about in _SAID else f"correct `{_origin(model)}`; "
        if not known.get("is_lasting", True) and about != "stress":
            hint = f"correct `{_origin(model)}`; "
        spec = f"'file:{_origin(model)}{_query(model)}'"
        raise UsageError(
            f"`{model.name}` fails the check of its numbers, {measure}: {why}",
            hint=f"{hint}`mira models check {spec}` shows all measures",
        )


def learned_by(row: Model) -> list[str]:
    """Measures that a model fulfils only as far as it has learned, as its file says."""
    return row.of_file.approximate if row.of_file else []


def _origin(model: ResolvedModel) -> str:
    return model.row.of_file.origin if model.row.of_file else model.name


def _variant(model: ResolvedModel) -> str:
    return short_hash([model.options, model.dtype, MEASURES])


def _query(model: ResolvedModel) -> str:
    _, mark, query = model.name.partition("?")
    return f"{mark}{query.replace('?', '&')}"


def _checked(model: ResolvedModel, weights: Weights, image: ReadyImage) -> dict[str, Any]:
    """Measure in the image, on the CPU, and judge; returns what failed and why, and how long it took.

    Raises
    ------
    UsageError
        There is nothing to judge: it cannot be loaded, or does not end.
    """
    request = {"model": worker_model(model, weights), "device": "cpu", "gpus": [], "quick": True, "answer_s": ANSWER_S}
    with scratch_folder() as folder:
        asked, answer = folder / "request.json", folder / "findings.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        folders, words = {folder: True, weights.path: False}, [str(asked), str(answer), "--threads", "1"]
        reminder = Timer(REMINDER_S, say, [_reminder(model)])
        reminder.start()
        try:
            done = run_in_image.run_module(image, "check", words, folders=folders, timeout_s=TIMEOUT_S)
        except TimeoutExpired as error:
            what = f"`{model.name}` has not answered some hundred questions about a few atoms in {duration(TIMEOUT_S)}"
            raise UsageError(what, hint=_slow(model)) from error
        finally:
            reminder.cancel()
        findings = read_json(answer)
    if done.returncode or findings is None:
        if where := _hung(done.stderr, Path(_origin(model)).name):
            what = f"`{model.name}` has not answered in {duration(ANSWER_S)} about {where}"
            raise UsageError(what, hint=_slow(model))
        said = [line.removeprefix("worker: error: ") for line in done.stderr.splitlines() if "worker: error: " in line]
        why = (said or [f"its process died: {last_line(done.stderr) or 'without a word'}"])[-1]
        raise UsageError(f"`{model.name}` cannot be used: {why}", hint=f"correct `{_origin(model)}`, and try again")
    verdicts = judge_model(findings, model.row.family, learned_by(model.row))
    verdicts.sort(key=lambda verdict: TELLING.index(verdict.measure) if verdict.measure in TELLING else len(TELLING))
    broken = [verdict for verdict in verdicts if verdict.status == "failed"]
    failed = [(verdict.measure, _words(verdict)) for verdict in broken]
    # what has raised something may do so for reasons of the moment, as a full disk: it is checked again the next time
    is_lasting = not any(verdict.reason for verdict in broken)
    return {"failed": failed, "is_lasting": is_lasting, "check_s": findings["check_s"] + findings["load_s"]}


def _reminder(model: ResolvedModel) -> str:
    return (
        f"still checking {model.name}, some hundred questions about a few atoms: it is given up after "
        f"{duration(TIMEOUT_S)}, Ctrl-C ends it now"
    )


def _slow(model: ResolvedModel) -> str:
    return f"its calculator hangs, or is very slow: try it by hand, as in `{_origin(model)}`, on a water molecule"


def _hung(stderr: str, file: str) -> str | None:
    """What a check that has given up was asked, and the line of the file where it was; None if it has not given up."""
    before, given_up, after = stderr.partition("\nTimeout (")
    if not given_up:
        return None
    asked = re.findall(r"^worker\.check: asked about (.*)$", before, re.MULTILINE)
    lines = re.findall(rf'/{re.escape(file)}", line (\d+) in', after)
    return f"{asked[-1] if asked else 'a few atoms'}" + (f": it is at line {lines[0]} of `{file}`" if lines else "")


def _words(verdict: Verdict) -> str:
    if verdict.reason:
        return ": ".join(filter(None, (verdict.case, verdict.reason)))
    return f"{verdict.case}: off by {verdict.deviation:.1e} {verdict.unit}, where {verdict.allowed:.1e} is allowed"
