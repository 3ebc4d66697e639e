"""Records of one size out of a ring into a numpy array: headers checked, data copied, in C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osmia.events.ordering import barrier
from osmia.events.ring import HEADER_SIZE, Ring, record_stride
from osmia.numpy_extra import numpy

if TYPE_CHECKING:
    from collections.abc import Sequence

    Array = numpy.ndarray[Any, numpy.dtype[Any]]

# Headers are checked and records copied by so many bytes at a time: what the check
# brought into the cache is still there for the copy.
_CHUNK_BYTES = 512 * 1024

# Shorter runs (discarded records between, a producer just ahead) are cheaper one by one.
_SHORT = 32


def take_array(
    ring: Ring, dtype: numpy.dtype[Any], before: Sequence[bytes], most: int | None = None
) -> tuple[Array, list[bytes]]:
    """The records that are in the ring now, and `before` them some that were taken already;
    `most` of them at most.

    Also gives what was taken and does not belong into the array: from the first record of
    another size than `dtype`'s on, and what is too much.
    """
    size, stride = dtype.itemsize, record_stride(dtype.itemsize)
    fitting, rest = _split(before, size, most)
    end = ring.produced
    if most is not None:
        end = min(end, ring.position + (most - len(fitting)) * stride)
    # As void, records are copied as bytes whatever their fields; faster than by field.
    void = numpy.dtype(("V", size))
    array = numpy.empty(len(fitting) + (end - ring.position) // stride + 1, void)
    count = _append(array, 0, fitting, size)
    while not rest and ring.position < end:
        array = _with_room(array, count, (end - ring.position) // stride + 1)
        copied = _copy_run(ring, array[count:], end)
        count += copied
        if copied:
            continue
        run = ring.take()
        if run is None:
            break
        fitting, rest = _split(list(run.records), size, most and most - count)
        array = _with_room(array, count, len(fitting))
        count = _append(array, count, fitting, size)
    return array[:count].view(dtype), rest


def _split(
    records: Sequence[bytes], size: int, most: int | None
) -> tuple[Sequence[bytes], list[bytes]]:
    for index, record in enumerate(records):
        if len(record) != size or index == most:
            return records[:index], list(records[index:])
    return records, []


def _with_room(array: Array, count: int, more: int) -> Array:
    """The array, or a larger one with its first `count` records."""
    if count + more <= len(array):
        return array
    larger = numpy.empty(count + more, array.dtype)
    larger[:count] = array[:count]
    return larger


def _append(array: Array, count: int, records: Sequence[bytes], size: int) -> int:
    if records:
        array[count : count + len(records)] = numpy.frombuffer(b"".join(records), array.dtype)
    return count + len(records)


def _copy_run(ring: Ring, array: Array, end: int) -> int:
    """Copy the records of the array's size that come next in one piece, before `end`; how many.

    Short runs are left alone, and so is whatever is not a committed record of that size.
    """
    size = array.dtype.itemsize
    stride = record_stride(size)
    room = -(-min(ring.reachable(), end - ring.position) // stride)
    if room < _SHORT:
        return 0
    offset = ring.position & ring.mask
    headers = numpy.frombuffer(ring.data, numpy.uint32)[offset >> 2 :: stride >> 2][:room]
    # A view of the size bytes after each header.
    records = numpy.ndarray(
        room, array.dtype, buffer=ring.data, offset=offset + HEADER_SIZE, strides=(stride,)
    )
    copied = 0
    chunk = max(_SHORT, _CHUNK_BYTES // stride)
    while copied < room:
        upto = min(copied + chunk, room)
        equal = headers[copied:upto] == size
        whole = bool(equal.all())
        run = upto - copied if whole else int(equal.argmin())
        if run < _SHORT and not whole:
            break
        barrier()
        array[copied : copied + run] = records[copied : copied + run]
        copied += run
        ring.advance(run * stride)
        if not whole:
            break
    return copied
