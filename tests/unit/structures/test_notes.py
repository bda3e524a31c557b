"""Notes of many structures are told in few sentences, and none is lost among them."""

from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from mira_cli.structures.notes import alike


def test_notes_that_differ_in_numbers_are_one() -> None:
    notes = [("a", "it is 1.5 eV off"), ("b", "lonely"), ("c", "it is -2e-3 eV off"), ("d", "it is 3 eV off")]
    assert [(one.note, one.first, one.structures) for one in alike(notes)] == [
        ("it is -2e-3 to 3 eV off", "a", 3),
        ("lonely", "b", 1),
    ]


def test_how_far_numbers_with_a_unit_go_is_told_and_others_are_those_of_the_first() -> None:
    notes = [(name, f"atoms {n} and {n + 1} are only {d} Å apart") for name, n, d in [("a", 4, 1.3), ("b", 0, 1.02)]]
    assert [one.note for one in alike(notes)] == ["atoms 4 and 5 are only 1.02 to 1.3 Å apart"]
    assert [one.note for one in alike([notes[0]] * 2)] == ["atoms 4 and 5 are only 1.3 Å apart"]


def test_a_note_on_one_structure_is_seen_among_many(tmp_path, mira) -> None:
    images = [bulk("Cu").repeat((i, 1, 1)) for i in range(1, 9)]
    for i, atoms in enumerate(images, 1):
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0 * i, free_energy=-1.5 * i - 0.01 * i**2)
    images.append(bulk("Al"))
    images[-1].set_initial_charges([0.4])
    write(tmp_path / "x.traj", images)
    said = mira("run", tmp_path / "x.traj", "-m", "emt", "-n", cwd=tmp_path).stderr
    assert "x.traj#0 and 7 more: ASE's own `free_energy` is" in said
    assert "initial charges sum to +0.4 e" in said
