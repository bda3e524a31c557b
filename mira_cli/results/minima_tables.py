"""`minima.csv` and `relax.csv`: where models and references end from one start, and how they came there."""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.blocks import answer_blocks
from mira_cli.answers.given_scalars import geometry_of_rows
from mira_cli.compare import columns
from mira_cli.compare.minima import MOST_PAIRS, count_measured, minima_apart
from mira_cli.compare.relaxations import relaxation_row
from mira_cli.compare.scalars import MODEL, REFERENCE
from mira_cli.compare.theory import committees, relation, same_zero
from mira_cli.files import read_json, replacing, write_json
from mira_cli.results.read_tables import read_comparison
from mira_cli.structures.relaxed_references import match_references
from mira_cli.tasks import ends

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from mira_cli.answers.blocks import AnswerBlock
    from mira_cli.answers.load import LoadedRun
    from mira_cli.compare.answers import Answers
    from mira_cli.compare.minima import Known
    from mira_cli.tasks import Starts

    Array = np.ndarray[Any, Any]

MINIMA = "minima.csv"
RELAXATION = (
    *("status", "n_steps", "n_evaluations", "volume_change_percent", "energy_drop_per_atom_ev", "symmetry"),
    *("max_displacement_ang", "start_energy_ev", "energy_ev"),
)
FARTHEST, LOST_BY = columns.SPREADS_OF_MINIMA


def write_minima(loaded: LoadedRun, answers: Answers, made: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Write `minima.csv`, some structures after the other; returns tables by the names of their files.

    These are `relax.csv`, and `spread.csv` of those `made` with what minima say beside it.
    """
    import pyarrow.csv as pc

    farthest, known = Farthest(answers), _remembered(loaded)
    options, schema = pc.WriteOptions(quoting_style="needed"), columns.make_table([], columns.MINIMA).schema
    whole = replacing(loaded.run.root / MINIMA, "wb")
    with whole as stream, pc.CSVWriter(stream, schema, write_options=options) as file:
        for part in _parts(loaded, answers, known):
            file.write_table(part)
            farthest.add(part)
    with suppress(OSError):  # it only saves time
        write_json(loaded.run.rmsd, dict(list(known.items())[-2 * MOST_PAIRS :]))
    of_model = _columns_by_model(loaded)
    rows = [relaxation_row(answers, m, of_model[m]) for m in range(len(answers.models))]
    tables = {"relax.csv": columns.make_table(rows, columns.RELAX)}
    if (spread := made.get("spread.csv")) is not None and len(spread):
        tables["spread.csv"] = _with_minima(spread, farthest, answers, [one["symmetry"] for one in of_model])
    return tables


def _remembered(loaded: LoadedRun) -> Known:
    """RMSD that an earlier collect has measured; none where that file is none of ours."""
    said = read_json(loaded.run.rmsd)
    entries = said.items() if isinstance(said, dict) else ()
    return {key: value for key, value in entries if value is None or isinstance(value, float)}


def _columns_by_model(loaded: LoadedRun) -> list[dict[str, Array]]:
    """(s,) columns about relaxations of each model; those that the task does not have are empty."""
    table, m = read_comparison(loaded.run, RELAXATION), len(loaded.models)
    nothing = np.full(len(table), np.nan)
    whole = {
        name: table[name].to_numpy(zero_copy_only=False) if name in table.column_names else nothing
        for name in RELAXATION
    }
    return [{name: values[k::m] for name, values in whole.items()} for k in range(m)]


def _parts(loaded: LoadedRun, answers: Answers, known: Known) -> Iterator[pa.Table]:
    """Rows of `minima.csv` for some structures after the other, of all pairs of models and then of references."""
    places = None if loaded.reference is None else match_references(loaded.index, loaded.reference).places
    left = MOST_PAIRS
    for block in answer_blocks(loaded.index, loaded.models):
        minima = [_of_model(block, k) for k in range(len(loaded.models))]
        pairs = list(combinations(range(len(minima)), 2))
        if places is not None and loaded.reference is not None:
            own = places[block.begin : block.begin + len(block.structures)]
            minima.append(_of_reference(loaded, own))
            pairs += [(a, len(minima) - 1) for a in range(len(loaded.models))]
        for a, b in pairs:
            part, measured = _pair(block, answers, minima, (a, b), left, known)
            left -= measured
            yield part


def _of_model(block: AnswerBlock, k: int) -> tuple[Starts, Array]:
    """Where the structures of a block ended that are at rest, and (n,) energies, eV/atom."""
    found = block.found[k]
    ok = found.ok()
    ok &= block.starts.sizes > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return ends(found, ok, block.starts), found.numbers("energy_ev") / found.numbers("n_atoms")


def _of_reference(loaded: LoadedRun, places: Array) -> tuple[Starts, Array]:
    assert loaded.reference is not None
    energy = np.append(loaded.reference.table["reference_energy_ev"].to_numpy().astype(float), np.nan)
    geometry = geometry_of_rows(loaded.reference, places)
    with np.errstate(divide="ignore", invalid="ignore"):
        return geometry, np.where(geometry.sizes > 0, energy[places] / geometry.sizes, np.nan)


def _pair(
    block: AnswerBlock,
    answers: Answers,
    minima: list[tuple[Starts, Array]],
    pair: tuple[int, int],
    left: int,
    known: Known,
) -> tuple[pa.Table, int]:
    """Rows of one pair, and how many RMSD were measured for it."""
    import pyarrow as pa

    models = answers.models
    (one, energy), (other, other_energy) = (minima[place] for place in pair)
    first, second = models[pair[0]], models[pair[1]] if pair[1] < len(models) else None
    both = (one.sizes > 0) & (one.sizes == other.sizes)
    if not both.any():
        return columns.make_table([], columns.MINIMA), 0
    apart = minima_apart(one.take(both), other.take(both), measured=left, remembered=known)
    own, n = block.structures.filter(pa.array(both)), int(both.sum())
    has_zero = second is not None and same_zero(first, second)  # of references nobody knows it
    told = {
        "structure_id": own["id"],
        "formula": own["formula"],
        "n_atoms": own["n_atoms"],
        "against": [MODEL if second else REFERENCE] * n,
        "model_a": [first.name] * n,
        "model_b": [second.name if second else None] * n,
        "theory": [relation([first, second]) if second else None] * n,
        "same_minimum": apart.same,
        "differs_in": apart.differs_in,
        "energy_difference_ev_per_atom": (energy - other_energy)[both] if has_zero else np.full(n, np.nan),
        "volume_difference_percent": apart.volume_percent,
        "length_difference_percent": apart.length_percent,
        "rms_displacement_ang": apart.displacement_ang,
        "rmsd": apart.rmsd,
        "rmsd_ang": apart.rmsd_ang,
        "rmsd_status": apart.rmsd_status,
    }
    schema = columns.make_table([], columns.MINIMA).schema
    cast = {name: _column(values, schema.field(name).type) for name, values in told.items()}
    return pa.table(cast, schema=schema), count_measured(apart.rmsd_status)


def _column(values: Any, kind: pa.DataType) -> Any:
    import pyarrow as pa

    return values.cast(kind) if isinstance(values, pa.ChunkedArray) else pa.array(values, kind, from_pandas=True)


class Farthest:
    """The largest displacement between two members' minima, for each committee and structure, from rows of pairs."""

    def __init__(self, answers: Answers) -> None:
        self.structures = answers.structures
        self.committees = committees(answers.models)
        self.names = [{answers.models[k].name for k in committee.members} for committee in self.committees]
        self.displacement = np.full((len(self.committees), len(answers)), np.nan)

    def add(self, part: pa.Table) -> None:
        """Count rows of `minima.csv` about one pair."""
        import pyarrow.compute as pc

        if not len(part) or (second := part["model_b"][0].as_py()) is None:
            return
        place = pc.index_in(part["structure_id"], self.structures).to_numpy()
        apart, pair = part["rms_displacement_ang"].to_numpy(), {part["model_a"][0].as_py(), second}
        for own, names in zip(self.displacement, self.names, strict=True):
            if pair <= names:
                own[place] = np.fmax(own[place], apart)


def _with_minima(spread: pa.Table, farthest: Farthest, answers: Answers, symmetry: list[Array]) -> pa.Table:
    """`spread.csv` with the largest displacement between two members' minima, and with who lost symmetry."""
    import pyarrow as pa

    lost, losers = np.column_stack(symmetry) == "lost", []
    for committee in farthest.committees:
        chosen = list(committee.members)
        names = [answers.models[k].name for k in chosen]
        losers += [", ".join(name for name, is_one in zip(names, row, strict=True) if is_one) or None
                   for row in lost[:, chosen].tolist()]  # fmt: skip
    largest = pa.array(farthest.displacement.ravel(), pa.float64(), from_pandas=True)
    return spread.append_column(FARTHEST, largest).append_column(LOST_BY, pa.array(losers, pa.string()))
