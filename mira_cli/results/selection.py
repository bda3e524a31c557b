"""Which structures are worth labelling next: those that the models of a run disagree about most.

And which are worth a second look: those whose references they miss most (`reference_ranking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mira_cli.answers.arrays import catalogue_facts
from mira_cli.answers.blocks import geometry_columns
from mira_cli.compare.spread import ROUNDING
from mira_cli.compare.theory import EVERYONE, committees
from mira_cli.errors import InputError, UsageError
from mira_cli.results.frames import spread_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from ase import Atoms

    from mira_cli.answers.load import ModelResults
    from mira_cli.structures.packs import StructureIndex
    from mira_cli.tasks import Task

By: TypeAlias = Literal[
    "force-spread", "energy-spread", "outlier", "reference-error", "reference-energy-error", "volume-spread",
    "rmsd-spread",
]  # fmt: skip
SCORES: dict[str, str] = {
    "force-spread": "force_spread_max_ev_per_ang",
    "energy-spread": "energy_spread_ev_per_atom",
    "outlier": "outlier_distance_ev_per_ang",
}
MINIMA_SCORES: dict[str, str] = {  # columns of `spread.csv`
    "volume-spread": "spread_volume_change_percent",
    "rmsd-spread": "displacement_max_ang",
}
REFERENCE_SCORES: dict[str, str] = {
    "reference-error": "force_rmse_ev_per_ang",
    "reference-energy-error": "energy_aligned_error_ev_per_atom",
}
TOLD = (
    *SCORES.values(),
    *REFERENCE_SCORES.values(),
    *MINIMA_SCORES.values(),
    "force_spread_mean_ev_per_ang",
    "worst_atom",
    "outlier_model",
    "n_members",
    "committee",
)
OLD = "`disagreement.csv` or `spread.csv` is older than the run's plan"
POOL = 10  # a diverse choice of n looks at the first 10 n of the ranking, and at no more than its upper half


@dataclass(frozen=True)
class Pick:
    """One structure: its row of the index, and its row of `disagreement.csv`, or what stands for it."""

    place: int
    row: dict[str, Any]


def choose_committee(disagreement: pa.Table, *, named: str | None, same_theory: bool) -> str:
    """The committee whose spread is meant.

    Raises
    ------
    UsageError
        There is none of that name, none of one theory, or several of those.
    """
    theory = dict(zip(disagreement["committee"].to_pylist(), disagreement["theory"].to_pylist(), strict=True))
    if named is not None:
        if named not in theory:
            raise UsageError(
                f"there is no committee `{named}` in this run",
                hint=f"its committees: {', '.join(f'`{name}`' for name in theory)}",
            )
        return named
    if not same_theory:
        return EVERYONE
    shared: list[str] = [name for name, relation in theory.items() if relation == "same"]
    if not shared:
        raise UsageError(
            "no two models of this run are known to share a level of theory",
            hint="leave out `--same-theory`; `mira models` shows levels of theory",
        )
    if len(shared) > 1:
        several = ", ".join(f"`{name}`" for name in shared)
        raise UsageError(f"these models share several levels of theory: {several}", hint="name one with `--committee`")
    return shared[0]


def table_of(task: Task, by: By) -> Literal["disagreement", "spread"]:
    """The table by which structures are ranked.

    Raises
    ------
    UsageError
        The task does not give what is to be ranked by.
    """
    if by in MINIMA_SCORES:
        if not task.keeps_geometries:
            told = f"`--by {by}` is of relaxed structures, and task `{task.name}` moves no atoms"
            raise UsageError(told, hint="`mira run … --task relax` relaxes them")
        return "spread"
    if not task.is_compared:
        told = f"`--by {by}` is of the structures as they are, and task `{task.name}` says nothing of those"
        others = f"`--by {' or '.join(MINIMA_SCORES)}`" if task.keeps_geometries else "`mira table` shows what there is"
        raise UsageError(told, hint=others)
    return "disagreement"


def ranked(table: pa.Table, index: StructureIndex, *, committee: str, by: str) -> list[Pick]:
    """Structures with a score above rounding, the highest first; of structures that are the same only one.

    Raises
    ------
    UsageError
        The committee says nothing: it has too few members, or its energies could not be aligned.
    InputError
        The table is of other structures than the run has now.
    """
    import pyarrow.compute as pc

    column = (SCORES | MINIMA_SCORES)[by]
    rows = table.filter(pc.equal(table["committee"], committee)).to_pylist()
    scored = [row for row in rows if row[column] is not None]
    if not scored:
        raise UsageError(_why_none(rows, by), hint="`mira table` shows what the models answered")
    place = {name: i for i, name in enumerate(index.column("id"))}
    picks: dict[bytes, Pick] = {}
    for row in sorted(scored, key=lambda row: -row[column]):  # equal ones stay in the order of their forces' spread
        at = place.get(row["structure_id"])
        if at is None:
            raise InputError(OLD, hint="`mira collect` regenerates it")
        if row[column] >= ROUNDING:
            picks.setdefault(index.hashes[at], Pick(at, row))
    return list(picks.values())


def reference_score(errors: pa.Table, by: str) -> str:
    """The column of `reference_errors.csv` to rank by: of forces, unless energies are asked for or all that there is.

    Raises
    ------
    UsageError
        It has no numbers.
    """
    forces, energies = REFERENCE_SCORES.values()
    has = {name: errors[name].null_count < len(errors) for name in (forces, energies)}
    if by == "reference-error" and has[forces]:
        return forces
    if has[energies]:
        return energies
    what = "aligned energies" if by == "reference-energy-error" else "forces or aligned energies"
    raise UsageError(f"nothing here has {what} to compare with references", hint="`mira table -t reference` says why")


def reference_ranking(
    errors: pa.Table, index: StructureIndex, models: Sequence[ModelResults], *, committee: str, column: str
) -> list[Pick]:
    """Structures by the mean size of an error over the models of a committee, the largest first; equal ones once.

    Raises
    ------
    UsageError
        No model of the committee has such an error.
    InputError
        The table is of other structures or models than the run has now.
    """
    chosen = {one.name: one for one in committees(catalogue_facts(models))}
    if committee not in chosen:
        raise InputError(OLD, hint="`mira collect` regenerates it")
    names = [models[m].name for m in chosen[committee].members]
    place = {name: i for i, name in enumerate(index.column("id"))}
    sizes: dict[str, dict[str, float]] = {}
    for name, model, error in zip(*(errors[c].to_pylist() for c in ("structure_id", "model", column)), strict=True):
        if error is not None and model in names:
            sizes.setdefault(name, {})[model] = abs(error)
    if not sizes:
        raise UsageError(f"no model of `{committee}` has errors here", hint="`mira table -t reference` shows them")
    if not sizes.keys() <= place.keys():
        raise InputError(OLD, hint="`mira collect` regenerates it")
    mean = {name: sum(of.values()) / len(of) for name, of in sizes.items()}
    formulas, picks = index.column("formula"), dict[bytes, Pick]()
    for name in sorted(mean, key=lambda name: -mean[name]):
        row = {
            "structure_id": name,
            "formula": formulas[place[name]],
            "n_atoms": int(index.n_atoms[place[name]]),
            "n_models": len(names),
            "n_members": len(sizes[name]),
            column: mean[name],
            "outlier_model": max(sizes[name], key=lambda model: sizes[name][model]),
            "committee": committee,
            "theory": chosen[committee].theory,
        }
        picks.setdefault(index.hashes[place[name]], Pick(place[name], row))
    return list(picks.values())


def diverse(picks: Sequence[Pick], index: StructureIndex, n: int) -> list[Pick]:
    """The first of a ranking, and n - 1 near its top that are unlike one another, by `structures.fingerprint`.

    They come from the first 10 n, but not from the lower half, unless there are too few.
    """
    from mira_cli.structures.fingerprint import farthest_first, fingerprints

    pool = picks[: max(n, min(POOL * n, (len(picks) + 1) // 2))]
    return [pool[i] for i in farthest_first(fingerprints(structures_of(pool, index)), n)]


def structures_of(picks: Sequence[Pick], index: StructureIndex) -> list[Atoms]:
    """The structures as they were given, without references."""
    import numpy as np
    from ase import Atoms

    rows = np.array([pick.place for pick in picks], dtype=int)
    whole = geometry_columns(index, rows)
    ends = np.cumsum(index.n_atoms[rows])
    found = []
    for i, (begin, end) in enumerate(zip(ends - index.n_atoms[rows], ends, strict=True)):
        state = {key: float(whole[key][i]) for key in ("charge", "spin") if np.isfinite(whole[key][i])}
        numbers, positions = whole["numbers"][begin:end], whole["positions"][begin:end]
        found.append(Atoms(numbers, positions, cell=whole["cell"][i], pbc=whole["pbc"][i], info=state))
    return found


def labelled(picks: Sequence[Pick], index: StructureIndex, models: Sequence[ModelResults], by: str) -> list[Atoms]:
    """The structures with their rank, their scores, and the spread of the committee on each atom (eV/Å).

    Raises
    ------
    InputError
        The run has other models now than the table.
    """
    from mira_cli.compare.spread import force_spread

    members = {one.name: one.members for one in committees(catalogue_facts(models))}
    images = structures_of(picks, index)
    if not {pick.row["committee"] for pick in picks} <= set(members):
        raise InputError(OLD, hint="`mira collect` regenerates it")
    for rank, (pick, atoms) in enumerate(zip(picks, images, strict=True), 1):
        committee = pick.row["committee"]
        atoms.info |= {"structure_id": pick.row["structure_id"], "select_rank": rank, "select_by": by}
        atoms.info |= {key: pick.row[key] for key in TOLD if pick.row.get(key) is not None}
        if by in MINIMA_SCORES:
            continue  # forces at different minima are no forces on these atoms
        records = [models[m].records.read(index.hashes[pick.place : pick.place + 1])[0] for m in members[committee]]
        spread = force_spread([record.array("forces") if record else None for record in records])
        if spread is not None:
            atoms.arrays[spread_key(committee)] = spread
    return images


def _why_none(rows: Sequence[Mapping[str, Any]], by: str) -> str:
    if max((row["n_models"] for row in rows), default=0) < 2:
        return "this run has one model, and a committee needs two"
    most = max(row["n_energies" if by == "energy-spread" else "n_members"] for row in rows)
    if most < 2:
        return "no structure was answered by two of these models"
    if by == "outlier":
        return (
            "an outlier needs three models that answered the same structure"
            if most < 3
            else "in no structure is one model further from the others than the rest"
        )
    if by in MINIMA_SCORES:
        return "no structure has two such minima" if by == "rmsd-spread" else "no structure has a volume"
    reasons = {row["energy_refusal"] for row in rows} - {None}
    return f"energies of these models cannot be compared: {reasons.pop() if reasons else 'none could be aligned'}"
