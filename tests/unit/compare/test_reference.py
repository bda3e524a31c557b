"""Errors against the references of the input: by hand, by part, with what is missing, and how sure they are."""

import numpy as np
import pytest
from ase.build import bulk

from mira_cli.compare.bootstrap import intervals
from mira_cli.results.comparison_files import aligned_table
from mira_cli.units import EV_PER_ANG3_IN_GPA
from tests.unit.compare.compare_tables import answers, blocks, chain, statistics, theory


def reference(structures, energies, forces, reference_forces=None, *, seed=0, scheme="per-element", **options):
    found = statistics(
        answers(structures, energies, **options), blocks(structures, forces, reference_forces), seed=seed, scheme=scheme
    )
    return found.reference.to_pylist()


def none(models, structures):
    return {model: [None] * len(structures) for model in models}


def test_energies_by_hand() -> None:
    structures = chain(a="Cu2", b="Cu2", c="Cu4")
    facts = [theory("m", "PBE", dispersion="none", dtype="float64", conservative=False)]
    row, copper = reference(
        structures, {"m": [10.0, 12.0, 24.0]}, none("m", structures), reference=[0.0, 0.0, 0.0], facts=facts
    )
    assert row["subset"] == "all"
    assert (row["n_input"], row["n_ok"], row["n_energies"], row["n_energies_aligned"]) == (3, 3, 3, 3)
    assert row["energy_raw_mae_ev_per_atom"] == row["energy_raw_bias_ev_per_atom"] == pytest.approx(17 / 3)
    assert row["energy_raw_rmse_ev_per_atom"] == pytest.approx(np.sqrt((25 + 36 + 36) / 3))
    errors = np.array([-2, 1, 1]) / 3
    for kind in ("aligned", "relative"):
        assert row[f"energy_{kind}_mae_ev_per_atom"] == pytest.approx(np.abs(errors).mean())
        assert row[f"energy_{kind}_rmse_ev_per_atom"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert row["energy_aligned_left_out_rmse_ev_per_atom"] == pytest.approx(np.sqrt((errors**2).mean()) * 3 / 2)
    assert (row["energy_alignment_rows"], row["energy_alignment_rank"], row["energy_alignment_dof"]) == (3, 1, 2)
    assert row["energy_aligned_rmse_low_ev_per_atom"] is None  # three structures are too few for an interval
    assert (row["level_of_theory"], row["dispersion"], row["dtype"], row["conservative"]) == (
        "PBE",
        "none",
        "float64",
        False,
    )
    assert copper["energy_element_shift_ev"] == pytest.approx(17 / 3)
    assert copper["force_mae_ev_per_ang"] is None
    assert row["notes"] == "the reference's level of theory is not known here; forces are not a gradient"


def test_forces_by_hand() -> None:
    structures = chain(x="CuO")
    rows = reference(
        structures, {"m": [0.0]}, {"m": [[[1, 0, 0], [0, 0, 4]]]}, [[[2, 0, 0], [0, 0, 0.2]]], facts=[theory("m", None)]
    )
    by = {(row["subset"], row["subset_value"]): row for row in rows}
    everything = by["all", None]
    assert (everything["n_force_structures"], everything["n_force_atoms"]) == (1, 2)
    assert everything["force_mae_ev_per_ang"] == pytest.approx((1 + 3.8) / 6)
    assert everything["force_rmse_ev_per_ang"] == pytest.approx(np.sqrt((1 + 3.8**2) / 6))
    assert everything["force_norm_bias_ev_per_ang"] == pytest.approx((-1 + 3.8) / 2)
    assert everything["force_max_ev_per_ang"] == pytest.approx(3.8)
    assert everything["force_cosine_mean"] == pytest.approx(1)
    assert everything["softening"] == pytest.approx((2 + 0.8) / (4 + 0.04))
    assert by["element", "Cu"]["force_mae_ev_per_ang"] == pytest.approx(1 / 3)
    assert by["element", "O"]["force_rmse_ev_per_ang"] == pytest.approx(3.8 / np.sqrt(3))
    assert by["reference_force_ev_per_ang", "1-3"]["force_norm_bias_ev_per_ang"] == pytest.approx(-1)
    assert by["reference_force_ev_per_ang", "0.1-0.3"]["n_force_atoms"] == 1
    assert len(rows) == 5


def test_a_soft_model_against_the_reference() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(4, 3))
    rows = reference(chain(x="Cu4"), {"m": [0.0]}, {"m": [0.7 * true]}, [true])
    assert rows[0]["softening"] == pytest.approx(0.7)
    assert rows[0]["force_relative_rmse"] == pytest.approx(0.3 / np.sqrt((1 + 0.49) / 2))


def test_stress_and_pressure() -> None:
    structures = {"x": bulk("Cu"), "y": bulk("Cu")}
    stresses = {"m": [[0.1, 0.1, 0.1, 0, 0, 0], None]}
    (row,) = reference(
        structures, {"m": [0.0, 0.0]}, none("m", structures), stresses=stresses, reference_stress=[[0.0] * 6, [0.0] * 6]
    )
    assert row["n_stresses"] == 1
    assert row["stress_mae_gpa"] == pytest.approx(0.05 * EV_PER_ANG3_IN_GPA)
    assert row["stress_rmse_gpa"] == pytest.approx(0.1 / np.sqrt(2) * EV_PER_ANG3_IN_GPA)
    assert row["pressure_bias_gpa"] == pytest.approx(-0.1 * EV_PER_ANG3_IN_GPA)


def test_parts_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(5)
    structures = chain(**{f"s{i}": f for i, f in enumerate(["CuO", "Cu2O3", "Al4", "OAl"])})
    true = [rng.normal(0, 2, (len(s), 3)) for s in structures.values()]
    forces = {"m": [f + rng.normal(0, 0.1, f.shape) for f in true]}
    rows = reference(structures, {"m": [0.0] * 4}, forces, true)
    whole = rows[0]
    for subset in ("element", "reference_force_ev_per_ang"):
        parts = [row for row in rows if row["subset"] == subset]
        atoms = np.array([row["n_force_atoms"] for row in parts])
        assert atoms.sum() == whole["n_force_atoms"] == 13
        mae = np.average([row["force_mae_ev_per_ang"] for row in parts], weights=atoms)
        square = np.average([row["force_rmse_ev_per_ang"] ** 2 for row in parts], weights=atoms)
        assert mae == pytest.approx(whole["force_mae_ev_per_ang"])
        assert np.sqrt(square) == pytest.approx(whole["force_rmse_ev_per_ang"])
    assert {r["subset_value"]: r["n_force_structures"] for r in rows if r["subset"] == "element"} == {
        "Cu": 2,
        "O": 3,
        "Al": 2,
    }


def test_references_in_part_of_the_frames_and_not_finite() -> None:
    structures = chain(a="Cu", b="Cu", c="Cu", d="Cu")
    nan = float("nan")
    rows = reference(
        structures,
        {"m": [1.0, 2.0, 3.0, None]},
        {"m": [np.ones((1, 3))] * 3 + [None]},
        [np.zeros((1, 3)), np.full((1, 3), np.nan), None, np.zeros((1, 3))],
        reference=[0.0, nan, 0.0, 0.0],
        stresses={"m": [[1.0] * 6] * 4},
        reference_stress=[[0.0] * 6, [nan] * 6, None, [0.0] * 6],
    )
    assert (rows[0]["n_energies"], rows[0]["n_force_structures"], rows[0]["n_stresses"]) == (2, 1, 1)
    assert rows[0]["energy_raw_mae_ev_per_atom"] == pytest.approx(2)
    for row in (rows[0], *(row for row in rows if row["subset"] != "all")):
        assert row["force_mae_ev_per_ang"] == pytest.approx(1)
        assert row["force_rmse_ev_per_ang"] == pytest.approx(1)
        assert row["force_norm_bias_ev_per_ang"] == pytest.approx(np.sqrt(3))
        assert (row["n_force_structures"], row["n_force_atoms"]) == (1, 1)


def test_no_references_no_rows() -> None:
    structures = chain(a="Cu")
    assert reference(structures, {"m": [1.0]}, {"m": [np.ones((1, 3))]}) == []


def test_mixed_compositions_only_leave_raw_energies_and_a_reason() -> None:
    structures = chain(a="Cu", b="CuO", c="Al2")
    (row,) = reference(structures, {"m": [1.0, 2.0, 3.0]}, none("m", structures), reference=[0.0, 0.0, 0.0])
    assert row["energy_raw_rmse_ev_per_atom"] is not None
    assert row["energy_aligned_rmse_ev_per_atom"] is None
    assert row["energy_refusal"] == "3 structures cannot set 3 element shifts and leave something to compare"
    assert row["rank_correlation"] is None
    assert row["n_energies_relative"] == 0


def contradicting():
    """Seven rows of six structures, the last one there twice with references that are 0.6 eV/atom apart."""
    structures = chain(a="Cu", b="CuO", c="Cu2O", d="CuO2", e="Cu3O", f="Cu4O", g="Cu4O")
    energies = [3.0, 1.0, 4.5, -2.0, 9.0, 8.0, 8.0]
    return structures, energies, {"reference": [0.0] * 6 + [3.0], "hashes": [*"abcdeff"]}


@pytest.mark.parametrize("scheme", ["per-element", "none"])
def test_a_structure_with_two_references_is_one_row_of_every_fit(scheme) -> None:
    structures, energies, options = contradicting()
    made = answers(structures, {"m": energies}, **options)
    whole, *elements = reference(structures, {"m": energies}, none("m", structures), scheme=scheme, **options)
    table = [row for row in aligned_table(made, scheme).to_pylist() if row["aligned_with"] == "reference"]
    used = {"per-element": (6, 2, 4), "none": (6, 0, 6)}[scheme]
    for row in (whole, *table):
        assert tuple(row[f"energy_alignment_{name}"] for name in ("rows", "rank", "dof")) == used
    of_elements = [row for row in elements if row["subset"] == "element"]
    assert {row["energy_alignment_rows"] for row in of_elements} == {6}

    counts, target = np.array([[1, 0], [1, 1], [2, 1], [1, 2], [3, 1], [4, 1]]), np.array([0.0] * 5 + [1.5])
    fractions = counts / counts.sum(axis=1, keepdims=True)
    shifts = np.linalg.lstsq(fractions, (np.array(energies[:6]) - target) / counts.sum(axis=1), rcond=None)[0]
    assert [row["energy_element_shift_ev"] for row in of_elements] == pytest.approx(shifts[::-1])  # O, Cu
    taken = np.zeros(7) if scheme == "none" else fractions[[*range(6), 5]] @ shifts
    atoms = np.array([len(one) for one in structures.values()])
    own = np.array(energies) / atoms - taken
    assert [row["energy_aligned_ev_per_atom"] for row in table] == pytest.approx(own)
    errors = own - np.array(options["reference"]) / atoms  # each row with its own reference
    assert whole["energy_aligned_mae_ev_per_atom"] == pytest.approx(np.abs(errors).mean())
    assert whole["n_energies"] == whole["n_energies_aligned"] == 7
    assert whole["notes"].endswith("1 structure has different references, up to 0.3 eV/atom from their mean, "
                                   "which fits meet")  # fmt: skip


def test_the_order_of_contradicting_references_does_not_matter() -> None:
    structures, energies, options = contradicting()
    turned = {**options, "reference": [0.0] * 5 + [3.0, 0.0]}
    one, two = (reference(structures, {"m": energies}, none("m", structures), **o) for o in (options, turned))
    for row, other in zip(one, two, strict=True):
        for name, value in row.items():
            wanted = pytest.approx(value) if isinstance(value, float) else value
            assert other[name] == wanted or "_low_" in name or "_high_" in name, name  # resamples are of rows in order


def test_the_error_left_out_leaves_both_references_out() -> None:
    structures, energies, options = contradicting()
    whole = reference(structures, {"m": energies}, none("m", structures), scheme="mean-shift",
                      **options | {"hashes": [*"abcdefg"]})[0]  # fmt: skip
    assert whole["energy_aligned_left_out_rmse_ev_per_atom"] == pytest.approx(0.6)  # of two that differ by so much
    structures = chain(a="Cu", b="Cu", c="Cu")
    args = structures, {"m": [1.0, 2.0, 2.0]}, none("m", structures)
    (row, _) = reference(*args, reference=[0.0, 0.0, 0.4], hashes=["h", "i", "i"], scheme="mean-shift")
    errors = [1 - 1.8, 2 - 1, 1.6 - 1]
    assert row["energy_aligned_left_out_rmse_ev_per_atom"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))


def test_two_references_are_no_two_structures_to_set_a_shift() -> None:
    structures = chain(a="Cu", b="Cu", c="Cu")
    same = {"hashes": ["h", "h", "h"]}
    (row,) = reference(structures, {"m": [1.0] * 3}, none("m", structures), reference=[0.0, 0.0, 1e-7], **same)
    assert row["energy_refusal"] == "1 structure cannot set 1 element shift and leave something to compare"
    assert (row["energy_alignment_rows"], row["energy_alignment_dof"]) == (1, 0)


def test_composition_scheme_takes_the_reference_ground_state() -> None:
    structures = chain(a="Cu", b="Cu", c="Cu")
    row, _ = reference(
        structures,
        {"m": [-9.0, -9.3, -8.0]},
        none("m", structures),
        reference=[-1.0, -0.9, -0.5],
        scheme="composition",
    )
    assert row["energy_alignment"] == "composition"
    assert row["n_energies_aligned"] == 2
    assert row["energy_aligned_mae_ev_per_atom"] == pytest.approx(np.mean([abs(-0.3 - 0.1), abs(1 - 0.5)]))


def test_intervals_are_seeded_and_hold_the_estimate() -> None:
    rng = np.random.default_rng(2)
    structures = chain(**{f"s{i}": "Cu3" for i in range(40)})
    true = [rng.normal(size=(3, 3)) for _ in structures]
    forces = {m: [f + rng.normal(0, s, f.shape) for f in true] for m, s in (("m", 0.1), ("n", 0.3))}
    energies = {m: list(rng.normal(size=40)) for m in "mn"}
    args = (structures, energies, forces, true)
    one, again, other = (reference(*args, reference=[0.0] * 40, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    for row in [row for row in one if row["subset"] == "all"]:
        for name in ("energy_aligned_{}_ev_per_atom", "force_{}_ev_per_ang"):
            for kind in ("mae", "rmse"):
                low, middle, high = (row[name.format(k)] for k in (f"{kind}_low", kind, f"{kind}_high"))
                assert low < middle < high < 2 * low


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    values = np.abs(rng.normal(size=(50, 300)))  # 300 experiments of 50 structures
    low, high = intervals(values, np.ones_like(values), seed=3)
    truth = np.sqrt(2 / np.pi)
    assert 0.88 < ((low < truth) & (truth < high)).mean() < 0.99


def test_intervals_of_few_or_equal_structures() -> None:
    weights = np.array([[1, 1], [1, 1], [1, 1], [1, 1], [1, 0]])
    low, high = intervals(np.full((5, 2), 4.0), weights, power=2)
    assert (low[0], high[0]) == (2, 2)
    assert np.isnan([low[1], high[1]]).all()
    assert [len(end) for end in intervals(np.zeros((0, 3)), np.zeros((0, 3)))] == [3, 3]


def test_shifts_of_elements_are_found_again() -> None:
    structures = chain(a="CuO", b="Cu2O", c="Cu3O2", d="AlN", e="Al2N2")
    shifts = {"Cu": 3.0, "O": -5.0, "Al": 1.0, "N": 1.0}
    energies = [sum(shifts[s] for s in atoms.symbols) for atoms in structures.values()]
    rows = reference(structures, {"m": energies}, none("m", structures), reference=[0.0] * 5)
    found = {row["subset_value"]: row["energy_element_shift_ev"] for row in rows if row["subset"] == "element"}
    assert found == {"Cu": pytest.approx(3), "O": pytest.approx(-5)}  # Al and N always come together
    assert rows[0]["energy_alignment_rank"] == 3
