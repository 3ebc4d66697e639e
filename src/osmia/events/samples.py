"""`SampleSource`: samples of CPUs, as perf buffers have them, kernels' and vms'."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from osmia.events.record_source import RecordSource, Rows
from osmia.events.source import Batch, EventCodec, RecordType

if TYPE_CHECKING:
    import numpy


class SampleSource(RecordSource[tuple[int, Any]]):
    """Events are pairs of a CPU and the value: of a codec, or bytes. Samples may have padding
    behind the record."""

    _tells_cpus = True

    def __init__(
        self, what: str, codec: EventCodec | None, close: Callable[[], None] | None = None
    ) -> None:
        super().__init__(what, close)
        self._codec = codec
        self._record_type = RecordType(codec, "perf buffer")
        self._cpus: Iterator[int] = iter(())
        self._records: Iterator[bytes] = iter(())

    def to_numpy(
        self, dtype: Any = None
    ) -> tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]:
        """What is there now as arrays of CPUs (u32) and of records; empty when nothing is.

        `dtype` is that of the codec unless given; what a sample has after it is cut off. The
        arrays end before the first sample that is shorter; when that is the very next one,
        ValueError says its length and it stays for `read`. TypeError without a dtype.
        Imports numpy.
        """
        self._check_open()
        rows = self._take(self._record_type.resolve(dtype))
        assert rows.cpus is not None
        return rows.cpus, rows.records

    def _take(self, dtype: numpy.dtype[Any], most: int | None = None) -> Rows:
        from osmia.numpy_extra import numpy

        size = dtype.itemsize

        def take() -> tuple[list[int], list[bytes], int]:
            cpus, records = self._take_all(most)
            fitting = records if most is None else records[:most]
            count = next((i for i, raw in enumerate(fitting) if len(raw) < size), len(fitting))
            left = iter(records[count:])
            self._serve(iter(cpus[count:]), left, left)
            return cpus, records, count

        cpus, records, count = self._while_open(take)
        if records and not count:
            raise ValueError(f"a sample of {len(records[0])} bytes, less than the dtype's {size}")
        data = bytearray().join(raw[:size] for raw in records[:count])
        taken = numpy.frombuffer(data, dtype) if data else numpy.empty(0, dtype)
        return Rows(taken, numpy.array(cpus[:count], numpy.uint32))

    def _take_all(self, enough: int | None) -> tuple[list[int], list[bytes]]:
        """All samples that are there, with their CPUs; no further ring when these are enough."""
        cpus: list[int] = []
        records: list[bytes] = []
        backlog = self._backlog()
        while True:
            found = list(self._records)
            records += found
            cpus += islice(self._cpus, len(found))
            if enough is not None and len(records) >= enough:
                return cpus, records
            if backlog <= 0 or not (taken := self._refill()):
                return cpus, records
            backlog -= taken

    def _serve(self, cpus: Iterator[int], records: Iterator[bytes], counter: Iterator[Any]) -> None:
        self._cpus, self._records = cpus, records
        values: Iterator[Any] = records
        if self._codec is not None:
            values = map(self._codec.decode, records)
        # The CPU may repeat for ever; the values end.
        self._batch = Batch(zip(cpus, values, strict=False), counter)
