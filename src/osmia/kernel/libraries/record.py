"""An object's bytes as a library keeps them: a frozen array of chunks, the first one a header.

Whoever reads takes nothing for granted: a map of another shape, lengths that do not fit, a
digest that is another are ObjectFormatErrors.
"""

from __future__ import annotations

import struct
import time
from array import array

from osmia.engine.maps import Map
from osmia.engine.maps.errors import Operation, element_error
from osmia.engine.raw_map import RawMap
from osmia.errors import ObjectFormatError
from osmia.kernel.maps.opening import create_map
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import MapFlag, MapType

#: Bytes of one element.
CHUNK = 4096
#: What an object's file may have, in bytes.
MAX_LENGTH = 64 << 20
#: Of the layout below.
FORMAT = 1

_MAGIC = b"osmialib"
#: Magic, format, chunk size, length of the object's file, its SHA-256, seconds since 1970,
#: osmia's version that published it, the object's name.
_HEADER = struct.Struct("<8sIIQ32sQ32s256s")


class Header(NamedTuple):
    """What is told of a published object; `length` in bytes, `published` in seconds since 1970."""

    object_name: str
    length: int
    digest: str
    publisher: str
    published: int


def describe(data: bytes, object_name: str) -> Header:
    """The header for an object's file that is published now. ObjectFormatError for one that is
    too large."""
    if len(data) > MAX_LENGTH:
        size = f"{len(data):,} bytes; a library has up to {MAX_LENGTH:,}"
        raise ObjectFormatError(f"object {object_name!r} has {size}")
    from osmia import __version__

    return Header(object_name, len(data), _digest(data), __version__, int(time.time()))


def store(header: Header, data: bytes) -> Map:
    """A new map with the object in it, which nobody changes any more (since 5.2); the caller
    closes it."""
    first = _HEADER.pack(
        _MAGIC,
        FORMAT,
        CHUNK,
        header.length,
        bytes.fromhex(header.digest),
        header.published,
        header.publisher.encode()[:32],
        header.object_name.encode("utf-8", "surrogateescape")[:256],
    )
    values = first.ljust(CHUNK, b"\0") + data + bytes(-len(data) % CHUNK)
    count = len(values) // CHUNK
    made = create_map(
        MapType.ARRAY,
        key_size=4,
        value_size=CHUNK,
        max_entries=count,
        flags=MapFlag.RDONLY_PROG,
        name="osmia_object",
    )
    try:
        _, error = made.raw.update_many(array("I", range(count)).tobytes(), values)
        if error:
            raise element_error(made.raw, Operation.UPDATE, error)
        made.freeze()
    except BaseException:
        made.close()
        raise
    return made


def read_header(stored: RawMap, what: str) -> Header:
    """The header in a map; `what` names it in errors. The object is not looked at."""
    shape = (stored.type, stored.key_size, stored.value_size)
    if shape != (MapType.ARRAY, 4, CHUNK) or stored.max_entries > 1 + MAX_LENGTH // CHUNK:
        raise ObjectFormatError("the map is not one that osmia keeps objects in", file=what)
    values = _HEADER.unpack_from(_chunk(stored, 0))
    magic, version, chunk, length, digest, published, publisher, object_name = values
    if magic != _MAGIC:
        raise ObjectFormatError("the map does not begin as osmia's do", file=what, offset=0)
    if (version, chunk) != (FORMAT, CHUNK):
        by = _text(publisher) or "another version"
        problem = f"format {version} with chunks of {chunk}: it was published by osmia {by}"
        raise ObjectFormatError(problem, file=what, offset=8)
    if length > (stored.max_entries - 1) * CHUNK:
        problem = f"{length:,} bytes do not fit into {stored.max_entries - 1:,} chunks"
        raise ObjectFormatError(problem, file=what, offset=16)
    return Header(_text(object_name), length, digest.hex(), _text(publisher), published)


def read(stored: RawMap, what: str) -> tuple[Header, bytes]:
    """The header and the object's file, which is what the header says."""
    header = read_header(stored, what)
    count = -(-header.length // CHUNK)
    data = b"".join(_chunk(stored, index) for index in range(1, 1 + count))[: header.length]
    if _digest(data) != header.digest:
        raise ObjectFormatError("its digest is not that of its bytes", file=what)
    return header, data


def _chunk(stored: RawMap, index: int) -> bytes:
    value = stored.lookup(struct.pack("=I", index))
    if isinstance(value, int):
        raise element_error(stored, Operation.LOOK_UP, value)
    return value


def _digest(data: bytes) -> str:
    import hashlib  # brings OpenSSL along, 3 ms

    return hashlib.sha256(data).hexdigest()


def _text(padded: bytes) -> str:
    return padded.partition(b"\0")[0].decode("utf-8", "replace")
