"""`mira inspect`: what MIRA understands of an input, before a single job."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mira_cli import console
from mira_cli.commands.complete import complete_models
from mira_cli.commands.typed_models import joined
from mira_cli.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mira_cli.catalogue.rows import Model
    from mira_cli.structures.packs import StructureIndex

MOST_ROWS = 100  # beyond them a table is no picture any more, and the summary stands for it
WIDTH, FEWEST_LETTERS = 80, 20  # of the table, and of a structure's name in it
MOST_KINDS = 10  # of notes, reasons and keys of labels
FEW_LABELS = 5
DIRECTIONS = {
    0: "not periodic",
    1: "periodic in 1 direction",
    2: "periodic in 2 directions",
    3: "periodic in 3 directions",
}


def inspect(
    structures: Annotated[
        list[str], typer.Argument(help="Files, folders, globs or CSV sheets of structures.", metavar="PATH...")
    ],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            "-m",
            help="Say what these models cannot answer; joined by commas, or given again.",
            autocompletion=complete_models,
        ),
    ] = None,
    models_file: Annotated[list[str] | None, typer.Option(help="YAML file with models of your own.")] = None,
    task: Annotated[str, typer.Option(help="What would be computed, by `mira tasks`.")] = "singlepoint",
    form: Annotated[
        str | None,
        typer.Option("--format", help="Format of all files, by ASE's name, where it cannot be told.", metavar="NAME"),
    ] = None,
    elements: Annotated[
        str | None, typer.Option(help="Elements of atom types 1, 2 and so on, where files name none.", metavar="Cu,Au")
    ] = None,
    stride: Annotated[int, typer.Option(help="Only each so-many-th frame of a file.", min=1)] = 1,
    sample: Annotated[int | None, typer.Option(help="Only so many structures, chosen by chance.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Another number chooses another sample.", min=0)] = 0,
    ref_energy_key: Annotated[
        str | None, typer.Option(help="Key of reference energies in the input; `none`: take none.", metavar="KEY")
    ] = None,
    ref_forces_key: Annotated[str | None, typer.Option(help="The same for forces.", metavar="KEY")] = None,
    ref_stress_key: Annotated[str | None, typer.Option(help="The same for stresses or virials.", metavar="KEY")] = None,
    ref_units: Annotated[
        str | None,
        typer.Option(help="Units of the references, such as `energy=Hartree,stress=-kbar`.", metavar="QUANTITY=UNIT"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: every structure, then the summary.")] = False,
) -> None:
    """Show what is read from files, and what is odd in it: formulas, cells, space groups, references.

    Structures are read and checked as by `mira run`; nothing is computed and nothing is written.
    The exit code is 1 where some cannot be used, 3 where none can.
    """
    from mira_cli.config import known_task, reference_units
    from mira_cli.inspecting.summary import input_summary
    from mira_cli.planning.input import tell_keys, tell_passed_over
    from mira_cli.scratch import scratch_folder
    from mira_cli.structures.choice import FrameChoice
    from mira_cli.structures.find import find_sources
    from mira_cli.structures.given import of_options
    from mira_cli.structures.packs import load_structures
    from mira_cli.structures.references import ReferenceKeys, units_of, units_read

    rows, asked = _rows(joined(models), models_file or []), known_task(task)
    found = find_sources([str(Path(path).expanduser()) for path in structures], of_options(elements, form))
    tell_passed_over(found, asked)
    keys = ReferenceKeys(ref_energy_key, ref_forces_key, ref_stress_key, reference_units(ref_units))
    with scratch_folder() as scratch:
        choice = FrameChoice(stride, sample, seed)
        with console.counting("structure") as counted:
            index = load_structures(
                scratch,
                found.sources,
                keys=keys,
                choice=choice,
                moves_atoms=asked.moves_atoms,
                takes_fragments=asked.takes_fragments,
                told=counted,
            )
        tell_keys(index, keys)
        told = input_summary(index, rows, asked, units_read(index.table, units_of(keys.units)))
        if as_json:
            _print_json(index, told)
        else:
            _print(index, told)
    usable = told["structures"] > told["unusable"]
    raise typer.Exit(ExitCode.INPUT if not usable else ExitCode.FAILURES if told["unusable"] else ExitCode.OK)


def _rows(models: str | None, models_files: list[str]) -> Mapping[str, Model]:
    from mira_cli.catalogue.lookup import find_models, load_catalogue

    names = [name.strip() for name in (models or "").split(",") if name.strip()]
    return find_models(names, load_catalogue(Path(file) for file in models_files)) if names else {}


def _print_json(index: StructureIndex, told: dict[str, Any]) -> None:
    from mira_cli.inspecting.structures import SYMPREC_ANG, described

    typer.echo(f'{{"symprec_ang": {SYMPREC_ANG},\n"structures": [')
    for number, facts in enumerate(described(index, space_groups=True)):
        typer.echo((",\n" if number else "") + json.dumps(facts, ensure_ascii=False), nl=False)
    typer.echo(f'\n],\n"summary": {json.dumps(told, ensure_ascii=False)}}}')


def _print(index: StructureIndex, told: dict[str, Any]) -> None:
    from mira_cli.inspecting.structures import SYMPREC_ANG, described

    if len(index) <= MOST_ROWS:
        columns = ("structure", "formula", "atoms", "pbc", "group", "g/cm³", "d/Å")
        rows = [_row(facts) for facts in described(index, space_groups=True)]
        rest = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)][1:]
        room = max(FEWEST_LETTERS, WIDTH - sum(rest) - 3 * len(columns))
        console.print_table(columns, [(_short(name, room), *others) for name, *others in rows])
        typer.echo(f"space groups within {SYMPREC_ANG:g} Å; d: shortest distance between two atoms")
        _say_each(index.invalid(), index.notes())
    else:
        console.say("too many for a table: `--json` shows each structure")
    for line in _lines(told, grouped=len(index) > MOST_ROWS):
        typer.echo(_folded(line))


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    periodic = facts["periodic"]
    directions = "".join(axis for axis, is_so in zip("abc", periodic, strict=True) if is_so) if periodic else ""
    numbers = (facts["density_g_per_cm3"], facts["shortest_distance_ang"])
    return (
        facts["structure_id"],
        facts["formula"] or "–",
        str(facts["n_atoms"]) if periodic else "–",
        directions or "–",
        (facts["space_group"] or "–").split(" ")[0],
        *(f"{number:.2f}" if number is not None else "–" for number in numbers),
    )


def _short(name: str, room: int) -> str:
    """A name that fits; its end says most."""
    return name if len(name) <= room else f"…{name[1 - room :]}"


def _say_each(*groups: Iterable[tuple[str, str]]) -> None:
    for name, sentence in (pair for group in groups for pair in group):
        typer.echo(_folded(f"{name}: {sentence}"))


def _folded(line: str) -> str:
    """A line in lines that fit a narrow terminal; words stay whole, and so do a count and what it counts."""
    kept = line.replace(" (", "\u00a0(").replace(" atoms/s", "\u00a0atoms/s")
    folded = fill(kept, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return folded.replace("\u00a0", " ")


def _lines(told: dict[str, Any], *, grouped: bool) -> Iterable[str]:
    """The summary in sentences; `grouped`: with the notes and reasons, which otherwise stand beside each structure."""
    twins = f", {console.count(told['duplicates'], 'duplicate')} among them" if told["duplicates"] else ""
    yield f"{console.count(told['structures'], 'structure')}, {told['unusable']:,} of them unusable{twins}"
    if told["structures"] > told["unusable"]:
        atoms = told["atoms"]
        sizes = f"{atoms['smallest']:,} to {atoms['largest']:,} in a structure, median {atoms['median']:,.0f}"
        yield f"{console.count(atoms['total'], 'atom')}: {sizes}"
        yield ", ".join(f"{n:,} {DIRECTIONS[k]}" for k, n in told["periodic_directions"].items())
        yield "elements: " + ", ".join(f"{symbol} ({n:,})" for symbol, n in told["elements"].items())
    yield from _given_lines(told)
    if grouped:
        for name in ("reasons", "notes"):
            for sentence, n in list(told[name].items())[:MOST_KINDS]:
                yield f"{console.count(n, 'structure')}: {sentence}"
            if len(told[name]) > MOST_KINDS:
                yield f"… and {len(told[name]) - MOST_KINDS:,} other {name}; `--json` has all"
    for model, lacking in told["models"].items():
        yield f"{model}: {_lacking_words(lacking)}"
    if told["models"]:
        about = "" if told["task"] == "singlepoint" else f" (task {told['task']}, about)"
        yield f"to compute{about}: {told['evaluations']:,} evaluations, {told['atoms_to_evaluate']:,} atoms"
        yield from _cost_lines(told["cost"], told["task"])


def _cost_lines(cost: dict[str, dict[str, Any]], task: str) -> Iterable[str]:
    """What each model would take by what it took on this machine; of others that nothing is known."""
    from mira_cli.wording import duration

    for model, one in cost.items():
        if (said := one["measured"]) is None:
            continue
        memory = f", at most {said['peak_memory_mb']:,.0f} MB" if said["peak_memory_mb"] else ""
        yield (
            f"{model}: about {duration(one['seconds'])} of one job for {one['atoms']:,} atoms, "
            f"without starts of {said['start_s']:.1f} s each"
        )
        other = f" of task {said['task']}" if said["task"] != task else ""
        jobs = f"{console.count(said['jobs'], 'job')}{other} with {said['atoms']:,} atoms"
        speed = f"{said['atoms_per_s']:,.0f}" if said["atoms_per_s"] >= 10 else f"{said['atoms_per_s']:.2g}"
        yield f"  by {jobs} on this machine ({said['device']}), {speed} atoms/s{memory}: {said['run']}"
    if unknown := [model for model, one in cost.items() if one["measured"] is None]:
        yield f"no run on this machine says how fast {', '.join(unknown)}: time goes with the atoms"
    yield "`mira run … --dry-run` says into how many jobs this is cut"


def _given_lines(told: dict[str, Any]) -> Iterable[str]:
    """What the input gives beside geometry."""
    for quantity, reference in told["references"].items():
        yield f"reference {quantity}: {_reference_words(quantity, reference)}"
    if told["magnetic_moments"]:
        yield f"magnetic moments of {console.count(told['magnetic_moments'], 'structure')}, which the models do not use"
    yield from _constraint_lines(told["constraints"])
    if told["references_left_out"]:
        yield told["references_left_out"]
    if told["labels"]:
        yield "labels (`--group-by`): " + "; ".join(_label_words(told["labels"]))


def _constraint_lines(constraints: dict[str, Any]) -> Iterable[str]:
    """What the input holds in place, which matters to tasks that move atoms."""
    if structures := constraints.get("structures"):
        atoms, of = console.count(constraints["atoms"], "atom"), console.count(structures, "structure")
        yield f"{atoms} of {of} fixed, whole or in some directions, for tasks that move atoms"
    for names, n in constraints.get("cannot_be_held", {}).items():
        yield f"constraints that tasks cannot hold, of {console.count(n, 'structure')}: {names}"


def _label_words(labels: dict[str, dict[str, int]]) -> Iterable[str]:
    """Keys with their labels, as far as these are few."""
    for key, counts in list(labels.items())[:MOST_KINDS]:
        few = len(counts) <= FEW_LABELS
        yield f"{key}: " + (", ".join(f"{label} ({n:,})" for label, n in counts.items()) if few else f"{len(counts):,}")
    if len(labels) > MOST_KINDS:
        yield f"and {len(labels) - MOST_KINDS:,} other keys"


def _reference_words(quantity: str, reference: dict[str, Any]) -> str:
    from mira_cli.structures.references import spoken

    words = ", ".join(f"{spoken(key, quantity)} ({n:,})" for key, n in reference["keys"].items())
    for name, unit in (("ev_per_atom", "eV/atom"), ("pressure_gpa", "GPa")):
        if bounds := reference.get(name):
            words += f", {bounds['smallest']:.4g} to {bounds['largest']:.4g} {unit}"
    return f"{words}, read in {reference['unit']}" if "unit" in reference else words


def _lacking_words(lacking: dict[str, Any]) -> str:
    unknown = lacking["unknown_elements"]
    if unknown is None:
        return "which elements it knows is not established"
    if not unknown:
        return "knows all elements"
    return f"does not know {', '.join(unknown)}: {console.count(lacking['structures'], 'structure')} without an answer"
