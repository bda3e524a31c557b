"""A model in the place of references: its answers are what the others are compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.run.record_block import spans

if TYPE_CHECKING:
    from mira_cli.run.best_records import BestRecords
    from mira_cli.structures.packs import StructureIndex

    Array = np.ndarray[Any, Any]

AT_ONCE = 20_000  # structures


@dataclass(frozen=True, eq=False)
class ReferenceAnswers:
    """Forces of a model that stands for references."""

    records: BestRecords

    def forces(self, hashes: Array, sizes: Array) -> Array:
        """(Σ sizes, 3) eV/Å of structures (n,) S32 of so many atoms each; NaN where there is no answer."""
        block = self.records.read(hashes)
        found = np.full((int(sizes.sum()), 3), np.nan)
        starts = np.cumsum(sizes) - sizes
        there = np.flatnonzero(block.ok())
        own, numbers = block.rows("forces", there)
        same = own == sizes[there]
        fits = np.repeat(same, own)
        found[spans(starts[there[same]], own[same])] = numbers[fits]
        return found


def with_reference_model(index: StructureIndex, model: str, records: BestRecords) -> StructureIndex:
    """The structures with a model's answers for references; those that the input gives are gone."""
    import pyarrow as pa

    n, table = len(index), index.table
    energy, stress, has = np.full(n, np.nan), np.full((n, 6), np.nan), np.zeros(n, dtype=bool)
    for begin in range(0, n, AT_ONCE):
        end = min(n, begin + AT_ONCE)
        block = records.read(index.hashes[begin:end], arrays=())
        has[begin:end] = block.ok()
        energy[begin:end] = np.where(block.ok(), block.numbers("energy_ev"), np.nan)
        stress[begin:end] = np.where(block.ok()[:, None], block.lists("stress_ev_per_ang3", 6), np.nan)
    stresses = [row.tolist() if np.isfinite(row).all() else None for row in stress]
    columns: dict[str, Any] = {
        "reference_energy_ev": pa.array(energy, pa.float64(), from_pandas=True),
        "reference_forces": pa.array(has),
        "reference_stress_ev_per_ang3": stresses,
        "reference_energy_key": [model if each else None for each in np.isfinite(energy)],
        "reference_forces_key": [model if each else None for each in has],
        "reference_stress_key": [model if each else None for each in stresses],
        "references_left_out": [None] * n,
    }
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        kind = table.schema.field(place).type
        array = values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)
        table = table.set_column(place, table.schema.field(place), array)
    return replace(index, table=table, reference_answers=ReferenceAnswers(records))
