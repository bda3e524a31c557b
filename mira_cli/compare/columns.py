"""The columns of the tables, in order, with their types and meanings; units are the ends of their names.

`docs/reference/columns.md` is made from them, and `docs/reference/comparison.md` explains what they rest on. In
meanings, F is the force on an atom, e an energy per atom, N the number of atoms.
"""

from __future__ import annotations

from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from mira_cli.compare.answers import ModelFacts

Kind: TypeAlias = Literal["text", "count", "real", "flag"]


class Described(NamedTuple):
    """A column: what it holds, and what that means."""

    kind: Kind
    meaning: str


text, whole, real, flag = (partial(Described, kind) for kind in ("text", "count", "real", "flag"))

FACTS: dict[str, Described] = {
    "level_of_theory": text("level of theory of the model's training data"),
    "dispersion": text("`none`, or `included` in the training data or added by the model"),
    "energy_correction": text("what was added to the training energies"),
    "dtype": text("floating-point precision of the model"),
    "conservative": flag("whether the model's forces are the gradient of its energy"),
}
ALIGNMENT: dict[str, Described] = {
    "energy_alignment": text("scheme by which energies were aligned"),
    "energy_alignment_rows": whole("different structures in the fit of the shifts"),
    "energy_alignment_rank": whole("shifts that they determine"),
    "energy_alignment_dof": whole("degrees of freedom that are left: rows − rank"),
}
ORDER: dict[str, Described] = {
    "rank_correlation": real(
        "Spearman's ρ of energies per atom within each composition of three structures and more, mean weighted by "
        "structures; no alignment is needed. Energies within 10⁻⁹ eV/atom are ties"
    ),
    "n_rank_structures": whole("structures in the rank correlation"),
    "n_rank_compositions": whole("compositions in the rank correlation"),
}
REFUSAL = text("why there are no aligned energies")
N_SMALL = whole("atoms left out of the cosines: both forces below 0.01 eV/Å, or one exactly 0")
THEORY = text("`same`, `different` or `unknown`: whether the models share level of theory and dispersion")
STRUCTURE: dict[str, Described] = {
    "structure_id": text("the structure, as in `comparison.csv`"),
    "formula": text("its chemical formula"),
    "n_atoms": whole("its atoms"),
}
PAIRS: dict[str, Described] = {
    "model_a": text("one model"),
    "model_b": text("the other"),
    "theory": THEORY,
    "n_input": whole("structures of the input"),
    "n_ok_a": whole("structures with an answer of a"),
    "n_ok_b": whole("structures with an answer of b"),
    "n_both": whole("structures with an answer of both"),
    "n_force_structures": whole("structures in the columns of forces"),
    "n_force_atoms": whole("atoms N in the columns of forces"),
    "force_mae_ev_per_ang": real("Σ|Fa − Fb|/(3N) over atoms and components"),
    "force_rmse_ev_per_ang": real("√(Σ|Fa − Fb|²/(3N))"),
    "force_rmse_structure_mean_ev_per_ang": real("mean over structures of their RMSE: large ones do not weigh more"),
    "force_max_ev_per_ang": real("largest |Fa − Fb| of an atom"),
    "force_relative_rmse": real(
        "√(Σ|Fa − Fb|²/½(Σ|Fa|² + Σ|Fb|²)): 0 for equal forces, √2 for unrelated ones of one size"
    ),
    "force_cosine_mean": real("mean over atoms of Fa·Fb/(|Fa||Fb|)"),
    "force_cosine_p05": real(
        "5th percentile of the same; exact up to four million cosines in all, beyond interpolated in a histogram of "
        "quarter degrees"
    ),
    "n_small_force_atoms": N_SMALL,
    "softening_a_on_b": real("slope through the origin of Fa on Fb, ΣFa·Fb/Σ|Fb|²: below 1, a is softer than b"),
    "softening_b_on_a": real("the other way round. Noise lowers both, so that their product is at most 1"),
    "n_energies": whole("structures with both energies"),
    "energy_raw_rmse_ev_per_atom": real("RMSE of ea − eb as they are; only where the zeros are known to be the same"),
    **ALIGNMENT,
    "n_energies_aligned": whole("structures in the aligned columns"),
    "energy_aligned_mae_ev_per_atom": real("MAE of the aligned differences"),
    "energy_aligned_rmse_ev_per_atom": real("RMSE of the aligned differences"),
    "energy_aligned_left_out_rmse_ev_per_atom": real("the same with each structure left out of the fit in turn"),
    "energy_refusal": REFUSAL,
    **ORDER,
    "n_stresses": whole("structures with both stresses"),
    "stress_mae_ev_per_ang3": real("MAE over the six components in Voigt order"),
    "stress_rmse_ev_per_ang3": real("RMSE over the six components"),
    "stress_rmse_gpa": real("the same × 160.21766208"),
    **{
        f"{name}_{side}": Described(kind, f"{said}, of {side}") for name, (kind, said) in FACTS.items() for side in "ab"
    },
    "notes": text("caveats"),
}
DISAGREEMENT: dict[str, Described] = {
    "committee": text("which models: `all`, or those of one level of theory"),
    "theory": THEORY,
    "rank": whole("1 for the largest `force_spread_max_ev_per_ang`; empty without one"),
    **STRUCTURE,
    "n_models": whole("models in the committee"),
    "n_members": whole("those of them with forces for this structure"),
    "force_spread_max_ev_per_ang": real("largest σ of an atom, σ = √(Σ|F − ⟨F⟩|²/(k − ddof)) over the k members"),
    "force_spread_mean_ev_per_ang": real("mean of σ over the atoms"),
    "force_spread_rms_ev_per_ang": real("root mean square of σ over the atoms"),
    "force_spread_relative": real(
        "`force_spread_rms_ev_per_ang` over the root mean square of |⟨F⟩|; empty where that is below 10⁻⁵ eV/Å"
    ),
    "worst_atom": whole("the atom with the largest σ, counted from 0"),
    "outlier_model": text(
        "the member farthest from the mean of the others; empty for fewer than three, or where two are equally far"
    ),
    "outlier_distance_ev_per_ang": real("how far: √(Σ|F − ⟨F⟩|²/N) over the atoms, ⟨F⟩ the mean of the others"),
    "n_energies": whole("members with an energy"),
    "n_energy_pairs": whole("pairs of them with an aligned difference here"),
    "energy_spread_ev_per_atom": real(
        "√(½ mean over pairs of d²), with d the aligned differences of each two members: for a full committee, the "
        "standard deviation of the energies after a fit against their mean. A missing model moves no zero"
    ),
    **{name: Described(kind, f"{said}; of the pair with the fewest degrees of freedom")
       for name, (kind, said) in ALIGNMENT.items()},
    "energy_refusal": text("why no pair could be aligned, at all or for this structure"),
    "n_stresses": whole("members with a stress"),
    "stress_spread_ev_per_ang3": real("root mean square over the six components of their standard deviation"),
    "stress_spread_gpa": real("the same × 160.21766208"),
    "ddof": whole("what is subtracted from k in standard deviations"),
}  # fmt: skip


def _with_interval(name: str, unit: str, meaning: str) -> dict[str, Described]:
    ends = {f"{name}_{end}_{unit}": real(f"{word} end of its 95 % interval, by bootstrap of structures")
            for end, word in (("low", "lower"), ("high", "upper"))}  # fmt: skip
    return {f"{name}_{unit}": real(meaning), **ends}


REFERENCE: dict[str, Described] = {
    "model": text("the model"),
    "subset": text("`all`, `element`, `reference_force_ev_per_ang` or `group`"),
    "subset_value": text("the element, the range of the reference's force such as `0.3-1`, or the label"),
    **FACTS,
    "n_input": whole("structures of the input"),
    "n_ok": whole("structures with an answer"),
    "n_energies": whole("structures with an energy and a reference"),
    "energy_raw_mae_ev_per_atom": real("MAE of e − e(reference) as they are"),
    "energy_raw_rmse_ev_per_atom": real("RMSE of the same"),
    "energy_raw_bias_ev_per_atom": real("mean of the same"),
    **ALIGNMENT,
    "n_energies_aligned": whole("structures in the aligned columns"),
    **_with_interval("energy_aligned_mae", "ev_per_atom", "MAE of the aligned differences"),
    **_with_interval("energy_aligned_rmse", "ev_per_atom", "RMSE of the aligned differences"),
    "energy_aligned_bias_ev_per_atom": real("mean of the aligned differences"),
    "energy_aligned_left_out_rmse_ev_per_atom": real("RMSE with each structure left out of the fit in turn"),
    "energy_element_shift_ev": real(
        "in rows of elements: the element's shift in a `per-element` fit, the part of the energy's error that is "
        "linear in composition; empty where these compositions do not determine it. `energy_alignment…` of these rows "
        "are of this fit, whatever scheme was chosen"
    ),
    "energy_refusal": REFUSAL,
    "energy_relative_alignment": text("`mean-shift`, whatever scheme was chosen: of the relative energies"),
    "energy_relative_rows": whole("different structures in that fit"),
    "energy_relative_rank": whole("shifts that they determine"),
    "energy_relative_dof": whole("degrees of freedom that are left: rows − rank"),
    "n_energies_relative": whole("structures in the relative energies"),
    "energy_relative_mae_ev_per_atom": real("MAE of relative energies at one composition"),
    "energy_relative_rmse_ev_per_atom": real("RMSE of relative energies at one composition"),
    **ORDER,
    "n_force_structures": whole("structures in the columns of forces"),
    "n_force_atoms": whole("atoms N in the columns of forces"),
    **_with_interval("force_mae", "ev_per_ang", "Σ|F − F(reference)|/(3N) over atoms and components"),
    **_with_interval("force_rmse", "ev_per_ang", "√(Σ|F − F(reference)|²/(3N))"),
    "force_norm_bias_ev_per_ang": real("mean of |F| − |F(reference)|"),
    "force_max_ev_per_ang": real("largest |F − F(reference)| of an atom"),
    "force_relative_rmse": real("as in `pairs.csv`"),
    "force_cosine_mean": real("mean over atoms of the cosine between F and F(reference)"),
    "force_cosine_p05": real("5th percentile of the same"),
    "n_small_force_atoms": N_SMALL,
    "softening": real("slope of F on F(reference): below 1, the model is too soft"),
    "n_stresses": whole("structures with a stress and a reference"),
    "stress_mae_ev_per_ang3": real("MAE over the six components in Voigt order"),
    "stress_rmse_ev_per_ang3": real("RMSE over the six components"),
    **_with_interval("stress_mae", "gpa", "MAE over the six components"),
    **_with_interval("stress_rmse", "gpa", "RMSE over the six components"),
    "pressure_bias_gpa": real("mean of p − p(reference), p = −(σxx + σyy + σzz)/3"),
    "notes": text("caveats"),
}


REFERENCE_ERRORS: dict[str, Described] = {
    "structure_id": STRUCTURE["structure_id"],
    "model": text("the model"),
    "group": text("the structure's label under the key of `--group-by`"),
    "formula": STRUCTURE["formula"],
    "n_atoms": STRUCTURE["n_atoms"],
    "energy_raw_error_ev_per_atom": real("e − e(reference) as they are, with whatever zeros they have"),
    "energy_aligned_error_ev_per_atom": real(
        "the same, aligned; empty where it is 0 by construction, or the scheme is refused"
    ),
    "force_mae_ev_per_ang": real("mean |difference| of the components of the structure's forces"),
    "force_rmse_ev_per_ang": real("root mean square of the same"),
    "force_max_ev_per_ang": real("largest |F − F(reference)| of an atom"),
    "stress_mae_gpa": real("mean |difference| of the six components"),
    "stress_rmse_gpa": real("root mean square of the same"),
    "pressure_error_gpa": real("p − p(reference)"),
    "energy_alignment": ALIGNMENT["energy_alignment"],
}
ALIGNED: dict[str, Described] = {
    "structure_id": STRUCTURE["structure_id"],
    "model": text("the model"),
    "aligned_with": text(
        "`committee mean`: the mean energy per atom of all models, over structures that all answered (models that "
        "answered nothing at all do not count); or `reference`"
    ),
    "energy_aligned_ev_per_atom": real("energy per atom less the shift that the scheme takes from its difference"),
    "determined": flag("whether the structure took part in the fit and does not by itself set a shift"),
    **ALIGNMENT,
    "energy_refusal": REFUSAL,
}

SCALARS: dict[str, Described] = {
    "quantity": text("the column of `comparison.csv`, or the distance, by which models are compared"),
    "against": text("`model`, or `reference`"),
    "model_a": text("one model"),
    "model_b": text("the other; empty against the reference"),
    "theory": THEORY,
    "n": whole("structures in the row"),
    "mae": real("mean |a − b|, in the unit of the quantity; the mean of a distance"),
    "rmse": real("root mean square of a − b"),
    "mean_difference": real("mean of a − b, or of a − reference; none of a distance"),
    "largest_difference": real("the largest |a − b|"),
    "mean_absolute_percent": real("mean of |a − b| in % of b or of the reference, for sizes and moduli"),
    "rank_correlation": real("Spearman's ρ"),
    "n_rank_structures": whole("structures in the rank correlation, at least 3"),
    **ALIGNMENT,
    "energy_refusal": REFUSAL,
}
SCALAR_ERRORS: dict[str, Described] = {
    "structure_id": STRUCTURE["structure_id"],
    "formula": STRUCTURE["formula"],
    "model": text("the model"),
    "quantity": text("the column of `comparison.csv`, or the distance"),
    "value": real("the model's"),
    "reference": real("that of the input"),
    "difference": real("value − reference; of energies after alignment, of a distance the distance"),
}
MINIMA: dict[str, Described] = {
    **STRUCTURE,
    "against": text("`model`, or `reference`"),
    "model_a": text("one model"),
    "model_b": text("the other; empty against the reference"),
    "theory": THEORY,
    "same_minimum": flag("whether the two minima are one, by volume, lengths and displacement"),
    "differs_in": text("which of these differ"),
    "energy_difference_ev_per_atom": real("ea − eb, between models whose energies are known to have one zero"),
    "volume_difference_percent": real("difference of the volumes, a over b"),
    "length_difference_percent": real("largest difference of a length of the cell, a over b"),
    "rms_displacement_ang": real(
        "how far atoms are apart: root mean square, in the mean of the two cells, without drift"
    ),
    "rmsd": real("that of pymatgen's StructureMatcher, as Matbench Discovery has it, in units of (V/N)^(1/3)"),
    "rmsd_ang": real("the same in Å"),
    "rmsd_status": text("whether it was measured, and why not"),
}
RELAX: dict[str, Described] = {
    "model": text("the model"),
    "n_input": whole("different structures of the input"),
    "n_ok": whole("those that came to rest"),
    "n_not_converged": whole("those whose steps ran out"),
    "n_blown_up": whole("those that fused, burst or fell apart"),
    "n_without": whole("those without an answer"),
    "median_steps": real("median of the steps, as all medians and counts below over those that came to rest"),
    "median_evaluations": real("median of the evaluations"),
    "evaluations": whole("evaluations of the model, of all structures"),
    "median_volume_change_percent": real("median change of the volume"),
    "median_energy_drop_per_atom_ev": real("median of the energy per atom that was released"),
    "largest_displacement_ang": real("largest displacement of an atom"),
    "n_symmetry_kept": whole("structures whose space group is that of the start"),
    "n_symmetry_lost": whole("structures with fewer operations than at the start"),
    "n_symmetry_gained": whole("structures with more"),
    "n_symmetry_changed": whole("structures with as many and another space group"),
    "order_rank_correlation": real("Spearman's ρ of energies within compositions, before and after"),
    "n_order_structures": whole("structures in it"),
    "n_order_compositions": whole("compositions of several structures"),
    "n_order_changed": whole("compositions in which another structure is lowest than before"),
}
SPREADS_OF_MINIMA: dict[str, Described] = {
    "displacement_max_ang": real("largest `rms_displacement_ang` between two members' minima"),
    "symmetry_lost_by": text("members whose minimum has lost symmetry"),
}
SPREADS: dict[str, Described] = {  # and a column `spread_…` for each scalar of the task
    "committee": text("which models: `all`, or those of one level of theory"),
    "theory": THEORY,
    **STRUCTURE,
    "n_models": whole("models in the committee"),
    "n_members": whole("those of them with an answer for this structure"),
}
TABLES = {  # by file name
    "pairs.csv": PAIRS,
    "disagreement.csv": DISAGREEMENT,
    "reference.csv": REFERENCE,
    "reference_errors.csv": REFERENCE_ERRORS,
    "energies_aligned.csv": ALIGNED,
    "scalars.csv": SCALARS,
    "scalar_errors.csv": SCALAR_ERRORS,
    "spread.csv": SPREADS | SPREADS_OF_MINIMA,
    "minima.csv": MINIMA,
    "relax.csv": RELAX,
}


def fact_columns(model: ModelFacts, side: str = "") -> dict[str, Any]:
    """Facts about a model by the names of their columns."""
    return {f"{name}{side}": getattr(model, name) for name in FACTS}


def make_table(rows: Iterable[Mapping[str, Any]], known: Mapping[str, Described]) -> pa.Table:
    """A table of the given columns; what a row lacks is empty, and so is what is not a number.

    Raises
    ------
    KeyError
        A row has a column that is not there.
    """
    import pyarrow as pa

    types = {"text": pa.string(), "count": pa.int64(), "real": pa.float64(), "flag": pa.bool_()}
    columns: dict[str, list[Any]] = {name: [] for name in known}
    for row in rows:
        if unknown := row.keys() - known.keys():
            raise KeyError(f"no such columns: {unknown}")
        for name, column in columns.items():
            value = row.get(name)
            column.append(None if isinstance(value, float) and isnan(value) else value)
    return pa.table(
        {name: pa.array(column, types[known[name].kind]) for name, column in columns.items()},
        schema=pa.schema([(name, types[one.kind]) for name, one in known.items()]),
    )
