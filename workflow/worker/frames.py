"""What goes through the socket of a warm worker: frames of a JSON header and raw arrays, and nothing that can run code.

A frame is two little-endian 32-bit counts of bytes, of the header and of the body; the header, a JSON object; and the
body, the arrays that the header lists as `arrays`, `[name, type, shape]`, one after the other in C order.
`mira_cli/warm/frames.py` is the other end.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

COUNTS = struct.Struct("<II")
TYPES = ("<f8", "<i8", "|b1")
MOST_HEADER_BYTES = 1 << 28
MOST_BODY_BYTES = (1 << 32) - 1


class FrameError(ValueError):
    """What has arrived is no frame, as a sentence."""


def packed_frame(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a frame as bytes.

    Raises
    ------
    FrameError
        It is too large, or an array has a type that no frame has.
    """
    blocks = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    listed = [[name, block.dtype.str, list(block.shape)] for name, block in blocks.items()]
    if strange := [kind for _, kind, _ in listed if kind not in TYPES]:
        raise FrameError(f"a frame has no arrays of type {strange[0]}")
    text = json.dumps({**header, "arrays": listed}, separators=(",", ":"), allow_nan=False).encode()
    body = sum(block.nbytes for block in blocks.values())
    if len(text) > MOST_HEADER_BYTES or body > MOST_BODY_BYTES:
        raise FrameError(f"{(len(text) + body) / 1e9:.1f} GB are too much for one frame")
    return b"".join([COUNTS.pack(len(text), body), text, *(block.tobytes() for block in blocks.values())])


def read_frame(read: Callable[[int], bytes | bytearray]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays of the next frame.

    Parameters
    ----------
    read
        Returns exactly so many of the next bytes; raises `EOFError` where there are none.

    Raises
    ------
    FrameError
        What has arrived is no frame.
    """
    header_bytes, body_bytes = COUNTS.unpack(read(COUNTS.size))
    if header_bytes > MOST_HEADER_BYTES:
        raise FrameError(f"a header of {header_bytes:,} bytes")
    try:
        header = json.loads(bytes(read(header_bytes)))
        listed = [(str(name), str(kind), [int(n) for n in shape]) for name, kind, shape in header.pop("arrays")]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FrameError("a header that is not as headers are") from error
    if any(kind not in TYPES or min(shape, default=0) < 0 for _, kind, shape in listed):
        raise FrameError("an array that is not as arrays are")
    sizes = [np.dtype(kind).itemsize * math.prod(shape) for _, kind, shape in listed]
    if sum(sizes) != body_bytes:
        raise FrameError(f"a body of {body_bytes:,} bytes, where its arrays have {sum(sizes):,}")
    arrays = {
        name: np.frombuffer(read(size), dtype=kind).reshape(shape)
        for (name, kind, shape), size in zip(listed, sizes, strict=True)
    }
    return header, arrays


def receive_exactly(connection: socket.socket, n: int) -> bytearray:
    """Return so many of the next bytes; raises `EOFError` where the other end has hung up."""
    data = bytearray(n)
    view = memoryview(data)
    while view:
        got = connection.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return data
