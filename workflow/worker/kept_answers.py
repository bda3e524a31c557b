"""Answers that stories have had, as bytes: each a head with a checksum, and numbers as little-endian float64."""

from __future__ import annotations

import hashlib
import itertools
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from worker.contract import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms

# checksum, atoms, answers together, numbers of stress, of virial, of dispersion, batch size, s, hash
_HEAD = struct.Struct("<IIIHHHId16s")


class Had(NamedTuple):
    """An answer that a story has had, how many it got together, and what it cost."""

    configuration: bytes  # its hash
    answer: Answer
    together: int
    batch_size: int
    wall_s: float


def configuration_hash(atoms: Atoms) -> bytes:
    """Return what stands for a configuration, 16 bytes: the same only for the same numbers, to the last digit."""
    found = hashlib.blake2b(atoms.numbers.tobytes(), digest_size=16)
    found.update(atoms.positions.tobytes())
    found.update(atoms.cell.array.tobytes())
    found.update(f"{atoms.pbc.tolist()} {atoms.info.get('charge')} {atoms.info.get('spin')}".encode())
    return found.digest()


def packed(had: Had) -> bytes:
    """Return an answer as its file has it."""
    answer = had.answer
    stress, virial = (() if one is None else one for one in (answer.stress_ev_per_ang3, answer.virial_ev))
    forces, added = answer.forces_ev_per_ang, answer.dispersion_energy_ev
    of_dispersion = () if added is None else (added,)
    numbers = (
        np.concatenate([[answer.energy_ev], stress, virial, of_dispersion, forces.ravel()]).astype("<f8").tobytes()
    )
    sizes = len(forces), had.together, len(stress), len(virial), len(of_dispersion)
    content = _HEAD.pack(0, *sizes, had.batch_size, had.wall_s, had.configuration)[4:] + numbers
    return struct.pack("<I", zlib.crc32(content)) + content


def rounds(kept: bytes) -> Iterator[tuple[list[Had], int]]:
    """Yield answers that were given together, and where they end, as far as the file is whole."""
    answers = _answers(kept)
    for first, end in answers:
        rest = list(itertools.islice(answers, first.together - 1))
        if len(rest) < first.together - 1:
            return
        yield [first, *(one for one, _ in rest)], rest[-1][1] if rest else end


def _answers(kept: bytes) -> Iterator[tuple[Had, int]]:
    begin = 0
    while begin + _HEAD.size <= len(kept):
        checksum, n_atoms, together, n_stress, n_virial, n_added, *cost, of = _HEAD.unpack_from(kept, begin)
        end = begin + _HEAD.size + 8 * (1 + n_stress + n_virial + n_added + 3 * n_atoms)
        if end > len(kept) or zlib.crc32(memoryview(kept)[begin + 4 : end]) != checksum:
            return
        numbers = np.frombuffer(kept, "<f8", offset=begin + _HEAD.size, count=(end - begin - _HEAD.size) // 8).copy()
        energy, stress, virial, added, forces = np.split(numbers, np.cumsum([1, n_stress, n_virial, n_added]))
        tensors = (stress if n_stress else None, virial if n_virial else None)
        answer = Answer(float(energy[0]), forces.reshape(-1, 3), *tensors, float(added[0]) if n_added else None)
        yield Had(of, answer, together, *cost), end
        begin = end
