"""The normalised structures of a run, on disk: geometry in packs for the workers, one index for everyone.

`work/structures/00000.npz`, `00001.npz`, … hold the geometry (concatenated arrays, no pickles); `index.parquet` has a
row for every structure of the input, in input order, the invalid ones included; `parts.parquet` says which rows come
from which part of the input. A pack never changes: what is new goes into packs of its own, and jobs that still run
find theirs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import asdict, astuple, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mira_cli.arrow import keep_pandas_out
from mira_cli.files import content_sha256, read_json, replacing, write_json
from mira_cli.stamps import FIELDS as STAMP
from mira_cli.stamps import stamp_below, stamp_of
from mira_cli.structures.blocks import of_fragments, of_moving_atoms
from mira_cli.structures.choice import ALL, FrameChoice
from mira_cli.structures.pack_files import grouped, pack_path, whole_index_schema, write_pack
from mira_cli.structures.parts import Part, cut
from mira_cli.structures.readers import make_tasks, read_blocks
from mira_cli.structures.references import ReferenceKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from mira_cli.stamps import Stamp
    from mira_cli.structures.blocks import Block
    from mira_cli.structures.find import Source

    Array = np.ndarray[Any, Any]
    Written = dict[str, tuple[Stamp, str | None]]  # name -> its stamp and sha256

ANY_KEYS = ReferenceKeys()
CHOICE = "choice.json"
COUNTING = {"moves_atoms": of_moving_atoms, "takes_fragments": of_fragments}  # what else tasks make of identities
FORMAT = 19  # raise when packs or index change shape: a run directory then reads its input again


class ForcesOf(Protocol):
    """Who has reference forces of structures that are not in the packs."""

    def forces(self, hashes: Array, sizes: Array) -> Array:
        """(Σ sizes, 3) eV/Å of structures (n,) S32 of so many atoms each; NaN where there are none."""
        ...


@dataclass(frozen=True)
class StructureIndex:
    """Every structure of the input, in order; see `blocks.index_schema` for the columns, and `pack` and `row` in it."""

    folder: Path
    table: pa.Table
    choice: FrameChoice = ALL
    read: int | None = None  # rows before the choice, if there was one
    known: Path | None = None  # folder of packs that were there before, where what is new is written elsewhere
    reference_answers: ForcesOf | None = None  # in place of the reference forces in the packs

    def __len__(self) -> int:
        """Count of structures, invalid ones included."""
        return int(self.table.num_rows)

    @cached_property
    def hashes(self) -> Array:
        """(n,) identities as bytes; empty for invalid structures."""
        import pyarrow as pa
        import pyarrow.compute as pc

        padded = pc.utf8_rpad(self.table["hash"].combine_chunks(), 32, padding="\0")  # numpy's own way makes strings
        whole = padded.cast(pa.binary()).cast(pa.binary(32))
        return np.frombuffer(whole.buffers()[1], dtype="S32", count=len(whole), offset=32 * whole.offset)

    @cached_property
    def distinct(self) -> Array:
        """(m,) rows of the valid structures, in order, without those that equal an earlier one."""
        hashes, first = np.unique(self.hashes, return_index=True)
        return np.sort(first[hashes != b""])

    @cached_property
    def n_atoms(self) -> Array:
        """(n,) atoms of each structure; 0 for invalid ones."""
        return np.asarray(self.table["n_atoms"].to_numpy())

    @cached_property
    def places(self) -> Array:
        """(n, 2) the pack of each structure, and its row there; -1 for invalid ones."""
        return np.column_stack([self.table["pack"].to_numpy(), self.table["row"].to_numpy()])

    @cached_property
    def sources(self) -> Any:
        """What stands for the files that the structures were read from, as they were then."""
        sources = (read_json(self.folder / "sources.json") or {}).get("sources")
        return sources if self.choice.is_all else _digest([sources, asdict(self.choice)])

    def column(self, name: str) -> list[Any]:
        """One column as a list."""
        return list(self.table[name].to_pylist())

    def invalid(self) -> list[tuple[str, str]]:
        """Structures that cannot be computed: id and reason."""
        found = self.table.select(["id", "invalid"]).filter(self.table["invalid"].is_valid())
        return list(zip(found["id"].to_pylist(), found["invalid"].to_pylist(), strict=True))

    def notes(self) -> list[tuple[str, str]]:
        """Structures of which there is something to know: id and note."""
        found = self.table.select(["id", "note"]).filter(self.table["note"].is_valid())
        return list(zip(found["id"].to_pylist(), found["note"].to_pylist(), strict=True))

    def pack_path(self, pack: int) -> Path:
        """File of one pack; `known` has those that an index in another folder has taken over."""
        file = pack_path(self.folder, pack)
        return file if self.known is None or file.exists() else pack_path(self.known, pack)


@dataclass
class _Piece:
    """A part of the input, and the rows of an index that it gave; `begin` is None until it has been read."""

    part: Part
    stamp: Stamp  # of its file
    sha256: str | None  # of its file; None where that cannot be read
    begin: int | None = None
    rows: int = 0
    known_as: str | None = None  # the name that is in the ids of the rows


def load_structures(
    folder: Path,
    sources: list[Source],
    *,
    keys: ReferenceKeys = ANY_KEYS,
    choice: FrameChoice = ALL,
    moves_atoms: bool = False,
    takes_fragments: bool = False,
    scratch: Path | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> StructureIndex:
    """The index of what is chosen of these sources; only what is new or has changed since the last time is read.

    With other `keys` of references than the last time, everything is read, and so it is for a task that moves atoms
    (`moves_atoms`) after one that does not: then constraints are part of what a structure is, as are the fragments that
    the input names where a task asks for them (`takes_fragments`). With `scratch`, what must be written is put there,
    and the folder stays as it is. `told` is called with how many have been read so far.
    """
    keep_pandas_out()
    counts = {"moves_atoms": moves_atoms, "takes_fragments": takes_fragments}
    index = _load_all(folder, sources, keys, counts, scratch, told)
    if scratch is None:
        write_json(folder / CHOICE, asdict(choice))
    return _chosen(index, choice)


def _load_all(
    folder: Path,
    sources: list[Source],
    keys: ReferenceKeys,
    counts: dict[str, bool],
    scratch: Path | None,
    told: Callable[[int], None],
) -> StructureIndex:
    stamps = [stamp_below(source.path) if source.path.is_dir() else stamp_of(source.path) for source in sources]
    seen = _digest(
        [(source.name, str(source.path), source.given, *stamp) for source, stamp in zip(sources, stamps, strict=True)]
    )
    said = {"format": FORMAT, "keys": list(astuple(keys)), **counts}
    known = read_json(folder / "sources.json") or {}
    # the files of an earlier call are trusted only if they are what it wrote, as in a copy of the run
    written: Written | None = None
    if said.items() <= known.items():
        written = {name: ((*stamp,), sha256) for name, *stamp, sha256 in known["written"]}
    untouched = written is not None and all(stamp_of(folder / name) == stamp for name, (stamp, _) in written.items())
    if untouched and known["seen"] == seen:
        return _open_all(folder)
    if written and not untouched and any(_sha256(folder / name) != sha256 for name, (_, sha256) in written.items()):
        written = None
    return _read_what_is_new(folder, scratch or folder, sources, stamps, keys, {**said, "seen": seen}, written, told)


def open_index(folder: Path) -> StructureIndex:
    """The index that `load_structures` wrote, of what was chosen."""
    keep_pandas_out()
    return _chosen(_open_all(folder), FrameChoice(**(read_json(folder / CHOICE) or {})))


def _open_all(folder: Path) -> StructureIndex:
    import pyarrow.parquet as pq

    # not read_table: that imports pandas where it is installed, which takes a second
    return StructureIndex(folder, pq.ParquetFile(folder / "index.parquet").read())


def _chosen(index: StructureIndex, choice: FrameChoice) -> StructureIndex:
    import pyarrow as pa

    if choice.is_all:
        return index
    return replace(index, table=index.table.take(pa.array(choice.rows(index.table))), choice=choice, read=len(index))


def _read_what_is_new(
    known: Path,
    folder: Path,
    sources: list[Source],
    stamps: list[Stamp],
    keys: ReferenceKeys,
    said: dict[str, Any],
    trusted: Written | None,
    told: Callable[[int], None],
) -> StructureIndex:
    """Take over the rows of parts that have not changed, read the others, and write the index of all to `folder`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [whole_index_schema().empty_table() if trusted is None else _open_all(known).table]
    pieces = _pieces(sources, stamps, {} if trusted is None else _known_pieces(known))
    of_pieces = ((p.part.name, str(p.part.path), p.part.given, p.sha256 or p.stamp) for p in pieces)
    counting = [name for name in COUNTING if said[name]]
    said["sources"] = _digest([*said["keys"], *counting, *of_pieces])
    first_row = tables[0].num_rows
    found: Counter[Part] = Counter()
    broken: dict[Path, int] = {}  # file -> the offset of its part with the frame that cannot be read
    first_pack = 1 + max((int(pack.stem) for where in {known, folder} for pack in where.glob("*.npz")), default=-1)
    new = _read_new([piece.part for piece in pieces if piece.begin is None], keys, found, broken)
    for name in counting:
        new = map(COUNTING[name], new)
    read = _counted(new, told)
    tables += [write_pack(folder, pack, blocks) for pack, blocks in enumerate(grouped(read), first_pack)]
    for piece in pieces:
        if piece.begin is None:
            piece.begin, piece.rows = first_row, found[piece.part]
            first_row += piece.rows
    pieces = [p for p in pieces if p.part.path not in broken or p.part.offset <= broken[p.part.path]]
    order: list[Array] = [np.arange(p.begin, p.begin + p.rows) for p in pieces if p.begin is not None]
    table = _renamed(_rows(pa.concat_tables(tables), np.concatenate([np.zeros(0, int), *order])), pieces)
    del tables
    with replacing(folder / "index.parquet", "wb") as stream:
        pq.write_table(table, stream, compression="zstd")
    with replacing(folder / "parts.parquet", "wb") as stream:
        pq.write_table(_pieces_table(pieces), stream, compression="zstd")
    packs = {pack_path(folder, pack).name for pack in np.unique(table["pack"].to_numpy()).tolist()}
    names = sorted({*packs, "index.parquet", "parts.parquet"})
    written = [[name, *stamp, sha256] for name in names for stamp, sha256 in [_look(folder / name, trusted or {})]]
    write_json(folder / "sources.json", {**said, "written": written})
    if folder == known:
        _remove_unused(folder, packs)
    return StructureIndex(folder, table, known=known)


def _rows(table: pa.Table, rows: Array) -> pa.Table:
    """Rows of a table; the table itself where these are all in order, since there may be millions."""
    import pyarrow as pa

    if len(rows) == len(table) and np.array_equal(rows, np.arange(len(rows))):
        return table
    return table.take(pa.array(rows, pa.int64()))


def _pieces(sources: list[Source], stamps: list[Stamp], known: dict[tuple[str, str], list[_Piece]]) -> list[_Piece]:
    """All parts of the input in order; those that were read before have their rows."""
    pieces: list[_Piece] = []
    for source, stamp in zip(sources, stamps, strict=True):
        before = known.get((str(source.path), source.given), [])
        untouched = before and before[0].stamp == stamp
        sha256 = before[0].sha256 if untouched else _sha256(source.path)
        if untouched or (before and sha256 and before[0].sha256 == sha256):  # the same, or a copy
            pieces += [replace(piece, part=replace(piece.part, name=source.name), stamp=stamp) for piece in before]
            continue
        same = {(p.part.content, p.part.first_frame): p for p in before if p.part.content}
        for part in cut(source):
            piece = same.get((part.content, part.first_frame))
            new = _Piece(part, stamp, sha256)
            pieces.append(replace(piece, part=part, stamp=stamp, sha256=sha256) if piece else new)
    return pieces


def _read_new(parts: list[Part], keys: ReferenceKeys, found: Counter[Part], broken: dict[Path, int]) -> Iterator[Block]:
    """Blocks of the parts in order, without what comes after a frame that cannot be read; counts their rows."""
    for task, block in read_blocks(list(make_tasks(parts)), keys):
        if task[0].path in broken and task[0].length is not None:
            continue
        for number, rows in enumerate(np.bincount(block.part)):
            found[task[number]] += int(rows)
        if block.unreadable:
            broken[task[-1].path] = task[-1].offset
        yield block


def _counted(blocks: Iterable[Block], told: Callable[[int], None]) -> Iterator[Block]:
    """The blocks; says how many structures they hold so far."""
    number = 0
    for block in blocks:
        told(number := number + len(block.part))
        yield block


def _renamed(table: pa.Table, pieces: list[_Piece]) -> pa.Table:
    """The index with ids that begin with the names that the files have now."""
    import pyarrow as pa

    if all(piece.known_as in {None, piece.part.name} for piece in pieces):
        return table
    ids, row = table["id"].to_pylist(), 0
    for piece in pieces:
        here = slice(row, row + piece.rows)
        if piece.known_as is not None:
            ids[here] = [piece.part.name + name[len(piece.known_as) :] for name in ids[here]]
        row += piece.rows
    return table.set_column(table.schema.get_field_index("id"), "id", pa.array(ids, pa.string()))


def _known_pieces(folder: Path) -> dict[tuple[str, str], list[_Piece]]:
    """Path, and what a sheet gave with it -> what was read of it before."""
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(folder / "parts.parquet").read().to_pylist()
    known: dict[tuple[str, str], list[_Piece]] = {}
    begin = 0
    for row in rows:
        stamp, n = tuple(row.pop(name) for name in STAMP), row.pop("rows")
        sha256 = row.pop("sha256")
        row["path"] = os.fsdecode(row["path"])
        part = Part(**{**row, "path": Path(row["path"])})
        known.setdefault((row["path"], part.given), []).append(_Piece(part, stamp, sha256, begin, n, part.name))
        begin += n
    return known


def _pieces_table(pieces: list[_Piece]) -> pa.Table:
    import pyarrow as pa

    columns = {f.name: [getattr(piece.part, f.name) for piece in pieces] for f in fields(Part)}
    columns["path"] = [os.fsencode(path) for path in columns["path"]]  # a path need not be text
    columns |= {name: [piece.stamp[at] for piece in pieces] for at, name in enumerate(STAMP)}
    columns |= {"rows": [piece.rows for piece in pieces], "sha256": [piece.sha256 for piece in pieces]}
    whole = ("offset", "length", "first_frame", *STAMP, "rows")
    types = dict.fromkeys(whole, pa.int64()) | {"inode": pa.uint64(), "path": pa.binary()}
    return pa.table({name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()})


def _remove_unused(folder: Path, used: set[str]) -> None:
    """Remove packs that neither the index nor a job needs: one may still run that was planned for other structures."""
    unused = {pack.name for pack in folder.glob("*.npz")} - used
    for job in (folder.parent / "jobs").glob("*/*.json") if unused else ():
        text = job.read_text(encoding="utf-8")
        unused = {name for name in unused if name not in text}
    for name in unused:
        (folder / name).unlink(missing_ok=True)


def _look(file: Path, known: Written) -> tuple[Stamp, str | None]:
    """Stamp and sha256 of a file, which is not read if it is known."""
    stamp = stamp_of(file)
    before, sha256 = known.get(file.name, (None, None))
    return stamp, sha256 if before == stamp else _sha256(file)


def _sha256(file: Path) -> str | None:
    try:
        # a pipe would be waited for
        return content_sha256(file) if file.is_file() or file.is_dir() else None
    except OSError:
        return None


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()
