"""What is told of relaxed references that are of other structures, or of none."""

from types import SimpleNamespace

import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write

from mira_cli.config import build_config
from mira_cli.errors import InputError
from mira_cli.planning.input import read_reference
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures


@pytest.fixture
def read(tmp_path):
    def made(inputs: dict[str, Atoms], references: dict[str, Atoms]) -> str | None:
        for name, files in (("in", inputs), ("reference", references)):
            (tmp_path / name).mkdir()
            for file, atoms in files.items():
                write(tmp_path / name / file, atoms)
        index = load_structures(tmp_path / "packs", find_sources([str(tmp_path / "in")]).sources)
        given = str(tmp_path / "reference")
        config = build_config({"structures": ["x"], "models": ["emt"], "task": "relax", "reference": given}, [])
        run = SimpleNamespace(reference=tmp_path / "reference-packs")
        return read_reference(config, find_sources([given]), index, run, None)

    return made


CU, AL = bulk("Cu", cubic=True), bulk("Al")


def test_references_of_other_atoms_are_named_with_both_formulas(read) -> None:
    with pytest.raises(InputError) as found:
        read({"a.cif": CU, "b.cif": AL}, {"a.cif": AL, "b.cif": bulk("Al", cubic=True)})
    assert str(found.value).endswith(
        "have other atoms than the structures: "
        "`a.cif#0` is Cu4, its reference `a.cif#0` Al; `b.cif#0` is Al, its reference `b.cif#0` Al4"
    )
    assert "structure_id" not in found.value.hint


def test_references_of_other_ids_are_named_with_what_to_write(read) -> None:
    with pytest.raises(InputError) as found:
        read({f"a{i}.cif": CU for i in range(5)}, {"x.cif": CU})
    assert str(found.value).endswith("than the structures: `x.cif#0` (Cu4), not `a0.cif#0` (Cu4), `a1.cif#0` (Cu4), "
                                     "`a2.cif#0` (Cu4) and 2 more")  # fmt: skip
    assert "`structure_id`" in found.value.hint


def test_what_of_a_reference_is_not_used_is_told(read, capsys) -> None:
    fused = CU.copy()
    fused.positions[1] = fused.positions[0]
    read({"a.cif": CU, "b.xyz": molecule("CO"), "c.cif": CU}, {"a.cif": CU, "b.xyz": molecule("N2"), "c.extxyz": fused,
                                                               "d.cif": AL})  # fmt: skip
    told = " ".join(capsys.readouterr().err.split())
    assert "relaxed references of 1 of 3 structures" in told
    others = "with other atoms than the structure of that id: `b.xyz#0` is CO, its reference `b.xyz#0` N2"
    assert f"1 reference left out, {others}" in told
    assert "1 reference of no structure here: `d.cif#0` (Al)" in told
    assert "1 reference cannot be used c.extxyz#0: " in told


def test_references_none_of_which_can_be_used_are_refused_as_such(read) -> None:
    fused = CU.copy()
    fused.positions[1] = fused.positions[0]
    with pytest.raises(InputError, match=r"no reference in .* can be used"):
        read({"a.cif": CU}, {"a.extxyz": fused})
