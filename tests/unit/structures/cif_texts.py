"""Small CIFs, and what is read of them."""

from mira_cli.structures.formats.cif import read_cif
from mira_cli.structures.frame import Frame

COLUMNS = ("label", "type_symbol", "fract_x", "fract_y", "fract_z")
HEXAGONAL = (3.2, 3.2, 5.2, 90, 90, 120)
CUBIC = (5, 5, 5, 90, 90, 90)


def cif(
    *sites: str, cell: tuple[float, ...] | None = CUBIC, tags: str = "_symmetry_space_group_name_H-M 'P 1'",
    columns: tuple[str, ...] = COLUMNS, name: str = "x", operations: tuple[str, ...] = (),
) -> str:  # fmt: skip
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [
        f"data_{name}",
        *(f"_cell_{name} {value}" for name, value in zip(names, cell or (), strict=bool(cell))),
        tags,
    ]
    if operations:
        lines += ["loop_", "_space_group_symop_operation_xyz", *(f"'{one}'" for one in operations)]
    return "\n".join([*lines, "loop_", *(f"_atom_site_{column}" for column in columns), *sites, ""])


def one(text: str) -> Frame:
    (found,) = all_of(text)
    return found


def all_of(text: str) -> list[Frame]:
    return list(read_cif(text.encode()))


def formula(text: str) -> str:
    found = one(text)
    assert found.unreadable is None
    assert found.atoms is not None
    return str(found.atoms.symbols)


def refusal(text: str) -> str:
    found = one(text)
    assert found.atoms is None
    assert found.unreadable is not None
    return found.unreadable
