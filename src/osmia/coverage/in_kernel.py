"""What runs in the kernel, from one time on, of objects that were loaded with counters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from osmia.coverage.functions import function_counts
from osmia.coverage.model import FunctionCounts
from osmia.errors import NotSupportedError
from osmia.isa import walk

if TYPE_CHECKING:
    from osmia.isa.packing import ByteOrder
    from osmia.kernel.load.loaded import KernelObject


class KernelCounts:
    """What is counted of a loaded object; the counters in its code go on for ever."""

    def __init__(self, loaded: KernelObject) -> None:
        if loaded.counters is None:
            raise NotSupportedError(
                f"coverage of object {loaded.name!r}: the kernel counts nothing by itself;"
                " load(cover=True) puts counters into the code"
            )
        self._counters = loaded.counters
        self._before = loaded.counters.read()

    def functions(self) -> Iterator[FunctionCounts]:
        """What ran until now."""
        counted = list(self._counters.differences(self._before))
        obj = self._counters.object
        for key, each in self._counters.functions.items():
            slots, ways = each.counts(counted)
            yield function_counts(
                key,
                walk(each.function.code, cast("ByteOrder", obj.byteorder)),
                {line.slot: line for line in obj.source_lines(key)},
                slots,
                ways,
            )

    def stop(self) -> None:
        """Nothing: there is no code without counters to go back to."""
