"""Any number that a task gives of each structure: how far models are apart in it, and how far from a reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare import columns
from mira_cli.compare.alignment import Refusal
from mira_cli.compare.energy_pairs import EnergySpread, aligned_pairs, alignment_columns, mean, root_mean_square
from mira_cli.compare.rank_correlation import Order
from mira_cli.compare.reference import residuals
from mira_cli.compare.relaxations import TIE_EV
from mira_cli.compare.spread import DDOF
from mira_cli.compare.theory import committees, relation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mira_cli.compare.alignment import Aligned
    from mira_cli.compare.answers import Answers
    from mira_cli.compare.forces import Array
    from mira_cli.compare.schemes import Scheme
    from mira_cli.compare.theory import Committee
    from mira_cli.tasks import Distance

REFERENCE, MODEL = "reference", "model"
SIZES = ("_ang", "_ang3", "modulus_gpa")  # of which differences in per cent mean something
ROUNDED = 1e-12  # of the largest difference: a mean that is smaller is what rounding left
ROUNDING = 9  # significant digits: numbers that agree in so many have one rank


@dataclass(frozen=True, eq=False)
class Scalar:
    """One number of s structures by m models, NaN where there is none, and what the input gives of it.

    Energies are per atom, and are aligned before they are compared, since each model has a zero of its own.
    """

    name: str
    values: Array  # (s, m)
    reference: Array  # (s,)
    is_energy: bool = False


def scalars_table(
    answers: Answers, scalars: Sequence[Scalar], scheme: Scheme, distances: Sequence[Distance] = ()
) -> pa.Table:
    """For each scalar each two models, then each model against the reference, where there is one; then distances."""
    rows = [row for scalar in scalars for row in _rows(answers, scalar, scheme)]
    rows += [row for distance in distances for row in _rows_of_distance(answers, scalars, distance)]
    return columns.make_table(rows, columns.SCALARS)


def scalar_errors_table(
    answers: Answers, scalars: Sequence[Scalar], scheme: Scheme, distances: Sequence[Distance] = ()
) -> pa.Table:
    """Each structure, model and quantity of which there is a reference; energies differ after they were aligned."""
    import pyarrow as pa

    parts, last = [columns.make_table([], columns.SCALAR_ERRORS)], len(answers.models)
    for scalar in scalars:
        for a, b, difference, _ in _differences(answers, scalar, scheme):
            if b == last:
                parts.append(_errors(answers, scalar.name, a, (scalar.values[:, a], scalar.reference, difference)))
    for distance in distances:
        parts += [
            _errors(answers, distance.name, a, (apart, np.zeros(len(apart)), apart))
            for a, b, apart in _distances(answers, scalars, distance)
            if b == last
        ]
    return pa.concat_tables(parts).combine_chunks()


def _errors(answers: Answers, quantity: str, model: int, numbers: tuple[Array, Array, Array]) -> pa.Table:
    """Rows of one model: value, reference and difference, (s,) each, where there is a difference."""
    import pyarrow as pa

    has = np.isfinite(numbers[2])
    which, n = pa.array(has), int(has.sum())
    told = [answers.structures.filter(which), answers.formulas.filter(which)]
    told += [pa.array([answers.models[model].name] * n, pa.string()), pa.array([quantity] * n, pa.string())]
    schema = columns.make_table([], columns.SCALAR_ERRORS).schema
    return pa.table([*(one.cast(pa.string()) for one in told), *(pa.array(one[has]) for one in numbers)], schema=schema)


def _distances(answers: Answers, scalars: Sequence[Scalar], distance: Distance) -> Iterator[tuple[int, int, Array]]:
    """Models a < b (the reference is the last), and (s,) how far they are apart, NaN where one says nothing."""
    by_name, models = {scalar.name: scalar for scalar in scalars}, len(answers.models)
    own = [by_name[name] for name in distance.of]
    values = np.stack([np.column_stack([one.values, one.reference]) for one in own], axis=-1)
    has = np.isfinite(values).all(axis=-1)
    against = range(models) if has[:, models].any() else ()
    for a, b in [*combinations(range(models), 2), *((a, models) for a in against)]:
        both, apart = has[:, a] & has[:, b], np.full(len(answers), np.nan)
        apart[both] = distance.between(values[both, a], values[both, b])
        yield a, b, apart


def _rows_of_distance(answers: Answers, scalars: Sequence[Scalar], distance: Distance) -> Iterator[dict[str, Any]]:
    models = answers.models
    for a, b, apart in _distances(answers, scalars, distance):
        other = None if b == len(models) else models[b]
        first = _different(answers, None if other else apart)
        yield {
            "quantity": distance.name,
            "against": MODEL if other else REFERENCE,
            "model_a": models[a].name,
            "model_b": other.name if other else None,
            "theory": relation([models[a], other]) if other else None,
            **{name: value for name, value in _statistics(apart[first], None).items() if name != "mean_difference"},
        }


def _rows(answers: Answers, scalar: Scalar, scheme: Scheme) -> Iterator[dict[str, Any]]:
    models, with_reference = answers.models, np.column_stack([scalar.values, scalar.reference])
    groups = answers.made_of.groups if scalar.is_energy else np.zeros(len(answers), int)
    order = Order(groups, tie_ev=TIE_EV if scalar.is_energy else 0.0)
    ranked = with_reference if scalar.is_energy else _significant(with_reference)
    for a, b, difference, said in _differences(answers, scalar, scheme):
        other = None if b == len(models) else models[b]
        first = _different(answers, None if other else scalar.reference)
        once = np.full_like(ranked, np.nan)
        once[first] = ranked[first]
        rho, n_rank, _ = order.correlation(once, a, b)
        yield {
            "quantity": scalar.name,
            "against": MODEL if other else REFERENCE,
            "model_a": models[a].name,
            "model_b": other.name if other else None,
            "theory": relation([models[a], other]) if other else None,
            **_statistics(difference[first], with_reference[first, b] if scalar.name.endswith(SIZES) else None),
            "rank_correlation": rho,
            "n_rank_structures": n_rank,
            **said,
        }


def _different(answers: Answers, told: Array | None) -> Array:
    """Rows of different structures; where (s,) numbers are `told`, such as references, each different one of each."""
    if told is None:
        return answers.made_of.one_of_each
    both = np.column_stack([answers.made_of.identity, told])
    return np.sort(np.unique(both, axis=0, return_index=True)[1])


def _differences(answers: Answers, scalar: Scalar, scheme: Scheme) -> Iterator[tuple[int, int, Array, dict[str, Any]]]:
    """Models a < b (the reference is the last), (s,) a − b, NaN where one says nothing, and how it was aligned."""
    models = len(answers.models)
    against = range(models) if np.isfinite(scalar.reference).any() else ()
    if scalar.is_energy:
        own = _with_energies(answers, scalar)
        for a, b, aligned in aligned_pairs(own, scheme):
            yield a, b, _of_aligned(aligned, len(answers)), alignment_columns(aligned)
        for a in against:
            aligned = residuals(own, a, scheme)
            yield a, models, _of_aligned(aligned, len(answers)), alignment_columns(aligned)
    else:
        values = np.column_stack([scalar.values, scalar.reference])
        for a, b in [*combinations(range(models), 2), *((a, models) for a in against)]:
            yield a, b, values[:, a] - values[:, b], {}


def _with_energies(answers: Answers, scalar: Scalar) -> Answers:
    """The same models and structures with other energies, eV/atom."""
    return replace(answers, energy=scalar.values, reference_energy=scalar.reference)


def _of_aligned(aligned: Aligned | Refusal, n: int) -> Array:
    if isinstance(aligned, Refusal):
        return np.full(n, np.nan)
    return np.where(aligned.determined, aligned.values, np.nan)


def _statistics(difference: Array, against: Array | None) -> dict[str, Any]:
    """Of (s,) differences: MAE, RMSE, bias, largest; and in per cent of the (s,) sizes to compare with."""
    has = np.isfinite(difference)
    own = difference[has]
    base = None if against is None else against[has]
    middle, largest = mean(own), float(np.abs(own).max(initial=0.0))
    return {
        "n": len(own),
        "mae": mean(np.abs(own)),
        "rmse": root_mean_square(own),
        "mean_difference": 0.0 if abs(middle) < ROUNDED * largest else middle,  # aligned energies have none
        "largest_difference": largest if len(own) else None,
        "mean_absolute_percent": None if base is None or not base.all() else mean(100 * np.abs(own / base)),
    }


def _significant(values: Array) -> Array:
    """(s, m) values over the largest of their column: those that agree but for rounding are equal, in any unit."""
    sizes = np.abs(np.nan_to_num(values)).max(axis=0, initial=0.0)
    return np.asarray(np.round(values / np.where(sizes > 0, sizes, 1.0), ROUNDING))


def spreads_table(answers: Answers, scalars: Sequence[Scalar], scheme: Scheme) -> pa.Table:
    """Committees in order, in each all structures: how many members answered, and their spread in each scalar.

    The spread is the standard deviation with ddof 1; of energies, of aligned ones.
    """
    import pyarrow as pa

    schema = columns.make_table([], columns.SPREADS).schema
    for scalar in scalars:
        schema = schema.append(pa.field(spread_name(scalar.name), pa.float64()))
    parts, n = [schema.empty_table()], len(answers)
    for committee in committees(answers.models) if len(answers.models) > 1 else []:
        members = list(committee.members)
        same = {"committee": committee.name, "theory": committee.theory}
        own: dict[str, Any] = {name: pa.array([text] * n, pa.string()) for name, text in same.items()}
        own |= {"structure_id": answers.structures, "formula": answers.formulas, "n_atoms": pa.array(answers.n_atoms)}
        own["n_models"] = pa.array(np.full(n, len(members)))
        own["n_members"] = pa.array(answers.ok[:, members].sum(axis=1))
        for scalar in scalars:
            spread = _energy_spread if scalar.is_energy else _spread
            own[spread_name(scalar.name)] = pa.array(spread(answers, scalar, committee, scheme), from_pandas=True)
        parts.append(pa.table({name: own[name].cast(schema.field(name).type) for name in schema.names}))
    return pa.concat_tables(parts).combine_chunks()


def spread_name(scalar: str) -> str:
    """The column of `spread.csv` that holds the spread of a scalar."""
    return f"spread_{scalar}"


def _energy_spread(answers: Answers, scalar: Scalar, committee: Committee, scheme: Scheme) -> Array:
    """(s,) eV/atom, as `disagreement.csv` has it."""
    own = _with_energies(answers, scalar)
    spread = EnergySpread(committee, own)
    for a, b, aligned in aligned_pairs(own, scheme):
        spread.add(a, b, aligned)
    return spread.spread


def _spread(_: Answers, scalar: Scalar, committee: Committee, __: Scheme) -> Array:
    """(s,) standard deviation over the members with a number, NaN for fewer than two."""
    values = scalar.values[:, list(committee.members)]
    has = np.isfinite(values)
    count = has.sum(axis=1)
    filled = np.where(has, values, 0.0)
    deviations = np.where(has, values - (filled.sum(axis=1) / np.maximum(count, 1))[:, None], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count > 1, np.sqrt(np.square(deviations).sum(axis=1) / (count - DDOF)), np.nan)
