"""Files that ASE's own readers read as they are, and once more where only the spelling was not known to them."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from io import StringIO
from typing import TYPE_CHECKING

from mira_cli.structures.formats.atomic_units import converted
from mira_cli.structures.formats.espresso import with_celldm
from mira_cli.structures.formats.fortran import EXPONENTS, with_e
from mira_cli.structures.formats.guessed import named_poscar, settle_elements
from mira_cli.structures.formats.labels import HYDROGEN
from mira_cli.structures.formats.not_read import not_read
from mira_cli.structures.formats.periodicity import repeated
from mira_cli.structures.formats.poscar import rest_of_poscar
from mira_cli.structures.formats.stated import stated
from mira_cli.structures.frame import Frame, UnreadableError
from mira_cli.structures.unpacked import PACKED, at_plain_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ase import Atoms

BOM = "\ufeff"
MOST_BYTES = 50_000_000  # of a file that is read again, into memory as a whole


def read(path: Path, form: str, elements: Sequence[str] = ()) -> Iterator[Frame]:
    """Yield what a file holds by the reader of a format; `elements` are those of types."""
    from ase.io import iread

    from mira_cli.structures.ase_formats import ioformats

    if path.name.endswith(PACKED) and form in ioformats and not ioformats[form].acceptsfd:
        with at_plain_path(path) as plain:  # ASE's reader would take the packed bytes for the file's
            yield from read(plain, form, elements)
        return
    number, state, source = 0, stated(path, form), None
    try:
        source = _source(path, form, elements)
        for atoms in iread(source or path, index=":", format=form, do_not_split_by_at_sign=True):
            atoms.info |= state
            yield Frame(atoms=atoms, notes=_understood(atoms, form, path, elements))
            number += 1
    except Exception as error:
        if isinstance(error, UnreadableError) or (isinstance(error, OSError) and error.strerror):
            raise
        if path.stat().st_size > MOST_BYTES:
            raise
        if reason := not_read(path, form, elements):
            raise UnreadableError(reason) from error
        images, notes = _otherwise(path, form, source)
        if len(images) <= number:
            raise
        for atoms in images[number:]:
            atoms.info |= state
            yield Frame(atoms=atoms, notes=(*notes, *_understood(atoms, form, path, elements)))
    if form == "vasp" and (second := rest_of_poscar(path)[1]):
        raise UnreadableError(second)


def _source(path: Path, form: str, elements: Sequence[str]) -> StringIO | None:
    """A file in other words, where ASE does not know the file's own."""
    if form == "vasp":
        return named_poscar(path, elements)
    return with_celldm(path) if form == "espresso-in" else None


def _understood(atoms: Atoms, form: str, path: Path, elements: Sequence[str]) -> tuple[str, ...]:
    """Notes on what a structure is taken for."""
    rest = rest_of_poscar(path)[0] if form == "vasp" else None
    notes = (*settle_elements(atoms, form, path, elements), *repeated(atoms, form), *converted(atoms, form))
    return (*notes, rest) if rest else notes


def _otherwise(path: Path, form: str, given: StringIO | None) -> tuple[list[Atoms], tuple[str, ...]]:
    """All structures of a file of which ASE has refused some, and notes on what made it take them; else none."""
    from ase.io import iread

    for source, notes in _spellings(path, form, given):
        for hydrogen in (False, True):
            # ASE's readers raise anything; why it refused the file as it is has been kept by who calls this
            with _isotopes() if hydrogen else nullcontext(), suppress(Exception):
                if isinstance(source, StringIO):
                    source.seek(0)
                images = list(iread(source, index=":", format=form, do_not_split_by_at_sign=True))
                return images, (*notes, HYDROGEN) if hydrogen else notes
    return [], ()


def _spellings(path: Path, form: str, given: StringIO | None) -> Iterator[tuple[Path | StringIO, tuple[str, ...]]]:
    """A file as it is, or in other words as it was `given` to ASE; then as ASE may read it, with notes on what is new.

    Without a mark at its begin, as Latin-1 where it is no UTF-8, without the exponents of Fortran.
    """
    from mira_cli.structures.ase_formats import ioformats, open_with_compression

    if form not in ioformats or ioformats[form].isbinary or not ioformats[form].acceptsfd:
        yield path, ()
        return
    notes: tuple[str, ...] = ()
    if given is not None:
        content = given.getvalue()
    else:
        with open_with_compression(str(path), "rb") as stream:
            raw: bytes = stream.read()
        try:
            content = raw.decode("utf-8")
        except UnicodeDecodeError:
            content, notes = raw.decode("latin-1"), ("the file is not UTF-8, and was read as Latin-1",)
        if content.startswith(BOM):
            content, notes = content.removeprefix(BOM), ("the mark at the begin of the file is left out",)
    yield StringIO(content) if notes or given else path, notes
    if (mended := with_e(content)) != content:
        yield StringIO(mended), (*notes, EXPONENTS)


@contextmanager
def _isotopes() -> Iterator[None]:
    """Let ASE know D and T as hydrogen."""
    from ase.data import atomic_numbers

    names = {"D": 1, "T": 1}
    atomic_numbers.update(names)
    try:
        yield
    finally:
        for name in names:
            del atomic_numbers[name]
