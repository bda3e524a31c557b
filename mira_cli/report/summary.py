"""What a report says in words: facts of the models, warnings, findings, and how it was done."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli import __version__, tasks
from mira_cli.catalogue.dispersion import dispersion_in_words
from mira_cli.catalogue.lookup import built_in
from mira_cli.compare.reference import contradictions
from mira_cli.compare.reference_units import unit_doubts
from mira_cli.compare.theory import EACH_ITS_OWN, cautions, relation
from mira_cli.console import count
from mira_cli.files import read_json
from mira_cli.report.alignment import about_energies, method
from mira_cli.report.disputed import outliers_of
from mira_cli.report.minima import findings_of_minima, methods_of_minima
from mira_cli.report.properties import findings_of_quantities, has_quantities, methods_of_quantities
from mira_cli.results.devices import on_cpu_instead
from mira_cli.statuses import ANSWERED, ENDED_EARLY, INVALID, INVALID_RESULT, OK
from mira_cli.structures.notes import alike
from mira_cli.structures.references import units_of, units_read
from mira_cli.units import OPPOSITE

if TYPE_CHECKING:
    from mira_cli.catalogue.rows import Damping, Model
    from mira_cli.report.gathered import Gathered

MOST_NAMED = 6

SPREAD = (
    "The spread of a force is σ = √(Σₘ|Fₘ − ⟨F⟩|²/({d})) over the k models that answered; structures are ranked by the "
    "largest σ of an atom. The outlier of a structure is the model furthest from the mean of the others. A spread "
    "between models is not an error bar: models can be wrong together."
)
STRESSES = "Stresses have ASE's sign (tension positive); the pressure is −(σxx + σyy + σzz)/3."
INTERVALS = (
    "Intervals are 95 % bootstrap intervals from 1000 resamples of whole structures, with the shifts of the energies "
    "held fixed."
)
OF_MODEL = "References are the energies, forces and stresses that the model {} answers. " + INTERVALS
REFERENCES = (
    "References are the energies, forces and stresses that the input files give; their level of theory is not known to "
    "MIRA. " + INTERVALS
)


def model_facts(gathered: Gathered) -> list[dict[str, Any]]:
    """What must stand beside a model's numbers."""
    families = built_in().families
    origins = {name: _first(gathered, name) for name in ("device", "weights_sha256", "image_recipe", "runtime")}
    found = []
    for m, (model, facts) in enumerate(zip(gathered.models, gathered.answers.models, strict=True)):
        row = model.row
        found.append(
            {
                "name": model.name,
                "title": _title(row),
                "level_of_theory": facts.level_of_theory,
                "dispersion": facts.dispersion,
                "energy_correction": facts.energy_correction,
                "training_data": facts.training_data,
                "dtype": facts.dtype,
                "conservative": facts.conservative,
                "package": model.package,
                "image": model.image,
                "statuses": dict(_counts(gathered, "status", m)),
                "code_licence": row.code_licence,
                "weights_licence": row.weights_licence,
                "licence_page": row.licence_page
                or (families[row.family].licence_page if row.family in families else None),
                "citation": row.citation,
                **{name: values[m] for name, values in origins.items()},
            }
        )
    return found


def _counts(gathered: Gathered, column: str, model: int | slice = slice(None)) -> Counter[str | None]:
    """How often each text of a column occurs, of one model or of all, in the order in which they do first."""
    texts, places = gathered.texts(column)
    found, first, times = np.unique(places[:, model], return_index=True, return_counts=True)
    return Counter({texts[found[i]]: int(times[i]) for i in np.argsort(first).tolist()})


def banners(gathered: Gathered) -> list[dict[str, Any]]:
    """What a reader must know before any number, the gravest first."""
    energies = about_energies(gathered) if gathered.answers.ok.any() and gathered.task.is_compared else []
    said = contradictions(gathered.answers)
    twofold = [_banner("warn", "The references contradict each other.", [f"{said}."])] if said else []
    return [*_about_answers(gathered), *_about_theory(gathered), *twofold, *energies]


def findings(gathered: Gathered) -> list[str]:
    """A few sentences: who agrees, who does not, where."""
    if gathered.task.keeps_geometries:
        return findings_of_minima(gathered)
    if has_quantities(gathered.task):
        return findings_of_quantities(gathered)
    pairs = gathered.statistics.pairs.to_pylist()
    said = who_agrees([row for row in pairs if row["force_mae_ev_per_ang"] is not None])
    disputed = gathered.disputed.table.filter(gathered.disputed.table["rank"].is_valid())
    if len(disputed):
        (worst,) = disputed.slice(0, 1).to_pylist()
        spread = worst["force_spread_max_ev_per_ang"]
        said.append(
            f"Most disputed structure: {_one_way(worst['structure_id'])}, force spread {spread:.3g} eV/Å on one atom "
            f"over {worst['n_members']} models."
        )
    outliers = outliers_of(disputed)
    if outliers:
        name, times = Counter(outliers).most_common(1)[0]
        said.append(
            f"Most often furthest from the others: {name}, on {times:,} of "
            f"{count(sum(outliers.values()), 'structure')}."
        )
    said += [f"{doubt[0].upper()}{doubt[1:]}." for doubt in unit_doubts(gathered.statistics.reference)]
    for row in gathered.statistics.reference.to_pylist():
        if row["subset"] == "all" and row["force_mae_ev_per_ang"] is not None and len(gathered.models) <= MOST_NAMED:
            low, high = row["force_mae_low_ev_per_ang"], row["force_mae_high_ev_per_ang"]
            interval = f" (95 % interval {low:.2g} to {high:.2g})" if low is not None else ""
            said.append(
                f"Against the reference, forces of {row['model']} have a mean absolute error of "
                f"{row['force_mae_ev_per_ang']:.3g} eV/Å{interval}, n\u00a0=\u00a0{row['n_force_atoms']:,} atoms."
            )
    return said


def methods(gathered: Gathered) -> list[str]:
    """Paragraphs for a methods section, of what was done in this run."""
    answers, structures = gathered.answers, gathered.provenance["structures"]
    wanted = read_json(gathered.run.wanted) or {}
    atoms = count(int(answers.n_atoms.sum()), "atom")
    these = f"{count(len(answers), 'structure')} ({structures['distinct']:,} distinct, {atoms})"
    computed = (
        f"{tasks.what_was_computed(wanted, these)} with MIRA {__version__} by "
        f"{count(len(gathered.models), 'interatomic potential')}: {'; '.join(_model_words(gathered))}."
    )
    said = [computed, *_added_dispersion(gathered)]
    if gathered.task.keeps_geometries:
        said.append(methods_of_minima())
    if has_quantities(gathered.task):
        said.append(methods_of_quantities(gathered))
    if not gathered.task.is_compared:
        return said
    if len(gathered.models) > 1 and answers.ok.any():
        ddof = max(gathered.statistics.disagreement["ddof"].unique().to_pylist(), default=1)
        said += [method(gathered.statistics.scheme), SPREAD.format(d=f"k − {ddof}" if ddof else "k")]
    if gathered.statistics.reference.num_rows:
        of_model = answers.reference
        said.append(OF_MODEL.format(of_model.name) if of_model else REFERENCES + _converted(gathered))
    return [*said, STRESSES] if "pressure_gpa" in gathered.table.column_names else said


def _added_dispersion(gathered: Gathered) -> list[str]:
    """A sentence for each functional whose dispersion was added to models."""
    names: dict[Damping, list[str]] = {}
    for model in gathered.models:
        if model.row.added_dispersion is not None:
            names.setdefault(model.row.added_dispersion, []).append(model.name)
    return [dispersion_in_words(of_one, damping) for damping, of_one in names.items()]


def _converted(gathered: Gathered) -> str:
    """From which units references were converted, if the user named some."""
    named_units = units_of((gathered.provenance.get("config") or {}).get("ref_units"))
    units = units_read(gathered.index.table, named_units)
    named = ", ".join(
        f"{quantity} from {unit.removeprefix(OPPOSITE)}{' with the opposite sign' if unit.startswith(OPPOSITE) else ''}"
        for quantity, unit in units.items()
    )
    return f" They were converted to eV and Å: {named}." if named else ""


def _about_answers(gathered: Gathered) -> list[dict[str, Any]]:
    statuses = _counts(gathered, "status")
    models, total = len(gathered.models), gathered.table.num_rows
    found = []
    if not statuses[OK]:
        found.append(_banner("bad", "No model answered for any structure.", ["The section on failures says why."]))
    waiting, invalid = statuses["not_computed"], statuses[INVALID] // max(1, models)
    doubtful = statuses[INVALID_RESULT]
    ended = {did: statuses[name] for name, did in ENDED_EARLY.items() if statuses[name]}
    failed = total - statuses[OK] - waiting - statuses[INVALID] - doubtful - sum(ended.values())
    if waiting:
        found.append(_banner("warn", f"{waiting:,} of {count(total, 'answer')} are not computed yet.", []))
    if invalid:
        found.append(_banner("warn", f"{count(invalid, 'structure')} of the input could not be used.", []))
    if noted := gathered.index.notes():
        said = alike(noted)[:MOST_NAMED]
        text = f"{count(len(noted), 'structure')} of the input to look at (column `note` of comparison.csv)."
        found.append(_banner("note", text, [f"{one.note} ({count(one.structures, 'structure')})" for one in said]))
    unseen = (gathered.answers.stress == 0.0).all(2).sum(0)
    if unseen.any():
        told = [f"{name}: {count(int(n), 'structure')}" for name, n in zip(gathered.names, unseen, strict=True) if n]
        found.append(_banner("warn", "Answers without any stress: atoms farther apart than the model sees.", told))
    if ended:
        text = f"Of {count(total, 'answer')}, {' and '.join(f'{n:,} {did}' for did, n in ended.items())}."
        found.append(_banner("warn", text, ["Their numbers are of where they ended."]))
    if doubtful:
        text = f"{doubtful:,} of {count(total, 'answer')} do not pass the task's own checks."
        found.append(_banner("warn", text, ["They are not compared. The section on failures says why."]))
    if failed and statuses[OK]:
        others = {*ANSWERED, "not_computed", INVALID}
        kinds = [f"{name}: {n:,}" for name, n in statuses.most_common() if name not in others]
        found.append(_banner("warn", f"{failed:,} of {count(total, 'answer')} failed.", [", ".join(kinds)]))
    slow = on_cpu_instead(gathered.run)
    found += [_banner("warn", f"{name} asked for a GPU and computed on the CPU.", []) for name in slow]
    if models == 1:
        found.append(_banner("note", "One model: there is no other to compare it with.", []))
    return found


def _about_theory(gathered: Gathered) -> list[dict[str, Any]]:
    facts = gathered.answers.models
    if len(facts) < 2 or not gathered.answers.ok.any():
        return []
    found, together = [], relation(facts)
    groups: dict[str, list[str]] = {}
    for one in facts:
        level, dispersion = one.level_of_theory, one.dispersion or "not known"
        goes_without = dispersion == "none" or level in {None, EACH_ITS_OWN}
        name = (level or "not known") + ("" if goes_without else f", dispersion {dispersion}")
        groups.setdefault(name, []).append(one.name)
    named = [f"{level}: {_names(names)}" for level, names in groups.items()]
    if together == "different":
        why = "What differs between them is then not an error of either, and their spread is no error bar."
        found.append(_banner("warn", "These models are of different levels of theory.", [*named, why]))
    elif together == "unknown":
        found.append(_banner("warn", "The level of theory or the dispersion of some models is not established.", named))
    corrections = {one.energy_correction for one in facts if one.energy_correction}
    if len(corrections) > 1:
        by = [f"{c}: {_names([f.name for f in facts if f.energy_correction == c])}" for c in sorted(corrections)]
        why = "Compare forces, stresses, and energy differences at one composition."
        found.append(_banner("warn", "The models' energies carry different corrections.", [*by, why]))
    if direct := [one.name for one in facts if one.conservative is False]:
        found.append(_banner("note", f"Forces of {_names(direct)} are not the gradient of an energy.", []))
    return found


def pair_cautions(gathered: Gathered) -> dict[str, list[str]]:
    """Caveats of each pair that has any."""
    facts = gathered.answers.models
    pairs = ((a, b) for b in range(len(facts)) for a in range(b))
    return {f"{a},{b}": said for a, b in pairs if (said := cautions(facts[a], facts[b]))}


def _banner(level: str, text: str, details: list[str]) -> dict[str, Any]:
    return {"level": level, "text": text, "details": details}


def _names(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _one_way(text: str) -> str:
    """A name in a sentence; what is in it cannot turn the direction of the rest."""
    return f"\u2068{text}\u2069" if re.search("[\u202a-\u202e\u2066-\u2069]", text) else text


def who_agrees(pairs: list[dict[str, Any]]) -> list[str]:
    """The pairs closest and furthest in forces, if size and direction of the differences agree on which these are."""
    if len(pairs) < 2:
        return [f"Forces of {_two(row)} differ by {_forces(row)}." for row in pairs]
    by_size = sorted(pairs, key=lambda row: row["force_mae_ev_per_ang"])
    with_direction = [row for row in pairs if row["force_cosine_mean"] is not None]
    by_direction = sorted(with_direction, key=lambda row: -row["force_cosine_mean"]) or by_size
    said = [
        f"{name} in forces: {_two(by_size[place])}, {_forces(by_size[place])}."
        for name, place in (("Closest", 0), ("Furthest apart", -1))
        if by_size[place] is by_direction[place]
    ]
    if said:
        return said
    sizes = [by_size[place]["force_mae_ev_per_ang"] for place in (0, -1)]
    cosines = [by_direction[place]["force_cosine_mean"] for place in (-1, 0)]
    which = (
        "Which models are closest in forces depends on the measure: mean absolute differences between two are "
        f"{sizes[0]:.3g} to {sizes[1]:.3g} eV/Å, and mean cosines {cosines[0]:.3f} to {cosines[1]:.3f} in another "
        "order."
    )
    return [which]


def _two(row: dict[str, Any]) -> str:
    return f"{row['model_a']} and {row['model_b']}"


def _forces(row: dict[str, Any]) -> str:
    cosine = row["force_cosine_mean"]
    direction = f", mean cosine {cosine:.3f}".replace("-", "−") if cosine is not None else ""
    n = count(row["n_force_atoms"], "atom")
    return f"mean absolute difference {row['force_mae_ev_per_ang']:.3g} eV/Å{direction}, n\u00a0=\u00a0{n}"


def _model_words(gathered: Gathered) -> list[str]:
    devices = _first(gathered, "device")
    said = []
    for model, device in zip(gathered.models, devices, strict=True):
        facts = [model.package.replace("==", " "), model.row.level_of_theory, model.dtype, device]
        said.append(f"{model.name} ({', '.join(str(fact) for fact in facts if fact)})")
    return said


def _title(row: Model) -> str:
    """What a model is called at length; of weights that somebody brought, not where they lie."""
    path = row.checkpoint.path
    return row.title.replace(path, Path(path).name) if path else row.title


def _first(gathered: Gathered, column: str) -> list[Any]:
    """For each model the first value of a column that there is."""
    models = range(len(gathered.models))
    return [next((value for value in _counts(gathered, column, m) if value), None) for m in models]
