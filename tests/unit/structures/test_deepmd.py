"""DeePMD-kit's folders: one file with many frames, elements by names, stress = −virial/volume."""

import json

import numpy as np
import pytest

from mira_cli.structures.blocks import read_task
from mira_cli.structures.find import find_sources
from mira_cli.structures.given import of_options
from mira_cli.structures.packs import load_structures
from mira_cli.structures.parts import cut
from mira_cli.structures.references import ReferenceKeys
from tests.unit.structures.test_formats import told

N, SETS = 3, 2
VIRIAL = np.array([[1.0, 4.0, 6.0], [4.0, 2.0, 5.0], [6.0, 5.0, 3.0]])


@pytest.fixture
def water(tmp_path):
    """Two sets of three frames of OH2 in boxes of 64 Å³."""
    folder = tmp_path / "in" / "water"
    folder.mkdir(parents=True)
    (folder / "type.raw").write_text("0\n1\n1\n")
    (folder / "type_map.raw").write_text("O\nH\n")
    place = np.array([[0, 0, 0], [0, 0, 0.96], [0, 0.93, -0.24]])
    for number in range(SETS):
        one = folder / f"set.{number:03}"
        one.mkdir()
        shift = np.arange(N)[:, None, None] + N * number
        arrays = {
            "coord": place + 0.01 * shift, "box": np.tile(4 * np.eye(3), (N, 1, 1)),
            "energy": -10.0 - shift[:, 0, 0], "force": np.tile(place / 10, (N, 1, 1)),
            "virial": np.tile(VIRIAL, (N, 1, 1)),
        }  # fmt: skip
        for name, array in arrays.items():
            np.save(one / f"{name}.npy", array.reshape(N, -1) if name != "energy" else array)
    return folder


def rows(*paths, elements: str | None = None) -> list[dict]:
    """What is read, without packs."""
    sources = find_sources(map(str, paths), of_options(elements, None)).sources
    return [
        row for source in sources for block in read_task(cut(source), ReferenceKeys()) for row in block.rows.to_pylist()
    ]


def replaced(folder, name: str, array) -> None:
    for one in folder.glob("set.*"):
        np.save(one / f"{name}.npy", array)


def test_a_folder_is_one_file_with_the_frames_of_all_sets(water, tmp_path) -> None:
    for named in (water, water.parent):
        found = rows(named)
        assert [row["id"] for row in found] == [f"water#{i}" for i in range(N * SETS)]
        assert {row["formula"] for row in found} == {"H2O"}
        assert [row["reference_energy_ev"] for row in found] == [-10.0 - i for i in range(N * SETS)]
    index = load_structures(tmp_path / "packs", find_sources([str(water)]).sources)
    with np.load(index.pack_path(0)) as pack:
        assert pack["reference_forces"][2].tolist() == pytest.approx([0, 0.093, -0.024])
        assert pack["positions"][-1].tolist() == pytest.approx([0.05, 0.98, -0.19])


def test_stress_is_that_of_ase(water) -> None:
    row = rows(water)[0]
    assert row["reference_stress_key"] == "virial"
    assert row["reference_stress_ev_per_ang3"] == pytest.approx([-n / 64 for n in (1, 2, 3, 5, 6, 4)])


def test_a_changed_label_is_read_again(water, tmp_path) -> None:
    def energy():
        index = load_structures(tmp_path / "packs", find_sources([str(water)]).sources)
        return index.column("reference_energy_ev")[0]

    assert energy() == -10
    replaced(water, "energy", np.full(N, -20.0))
    assert energy() == -20


def test_what_is_not_periodic_needs_no_box(water) -> None:
    for box in water.glob("set.*/box.npy"):
        box.unlink()
    assert told(rows(water)) == [
        f"cannot be read: `set.00{i}` has no `box.npy`, and no file `nopbc` says that it needs none"
        for i in range(SETS)
    ]
    (water / "nopbc").touch()
    row = rows(water)[0]
    assert (row["periodic_directions"], row["references_left_out"]) == (0, "virial")


def test_types_without_names_are_refused_and_can_be_given(water) -> None:
    (water / "type_map.raw").write_text("Type_0\nType_1\n")
    (said,) = told(rows(water))
    assert said == (
        "cannot be read: types of atoms are no elements, and `Type_0` in its `type_map.raw` is no element: "
        "give those of types 0, 1, … by `--elements O,H`"
    )
    assert told(rows(water, elements="S,H")) == ["H2S"] * N * SETS
    assert told(rows(water, elements="S")) == [
        "cannot be read: a frame has the type 1, and only 1 are named (from 0 on)"
    ] * N * SETS  # fmt: skip
    (water / "type_map.raw").unlink()
    assert "and it has no `type_map.raw`" in told(rows(water))[0]
    (water / "type_map.raw").write_text("O H")
    assert told(rows(water, elements="S,H"))[0] == "H2O | `elements` is not used: the file names its own"


def test_frames_of_mixed_types_have_their_own(water) -> None:
    (water / "type.raw").write_text("0\n0\n0\n")
    replaced(water, "real_atom_types", np.array([[0, 1, 1], [1, 0, 1], [0, 1, -1]]))
    found = rows(water)
    assert [row["formula"] for row in found] == ["H2O", "H2O", "HO"] * SETS
    assert [row["n_atoms"] for row in found[:N]] == [3, 3, 2]
    assert found[0]["hash"] != found[1]["hash"]
    assert all(row["reference_forces"] for row in found)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("energy", np.zeros(N - 1), "has a `energy.npy` of 2 numbers, not of 1 for each of 3 frames"),
        ("coord", np.zeros((N, 6)), "has a `coord.npy` of 18 numbers, not of 9 for each of 3 frames"),
        ("force", np.array(["x"] * N * 9), "is damaged, or no array of numbers"),
    ],
)
def test_arrays_that_do_not_fit_cost_their_set(water, name, array, said) -> None:
    np.save(water / "set.000" / f"{name}.npy", array)
    assert told(rows(water)) == [f"cannot be read: `set.000` {said}"] + ["H2O"] * N


def test_an_array_that_is_cut_costs_its_set(water) -> None:
    file = water / "set.001" / "force.npy"
    file.write_bytes(file.read_bytes()[:-8])
    assert told(rows(water)) == ["H2O"] * N + ["cannot be read: `set.001` is damaged, or no array of numbers"]


def test_inspect_shows_it(water, mira) -> None:
    said = json.loads(mira("inspect", water, "--json").stdout)["summary"]
    assert said["structures"] == N * SETS
