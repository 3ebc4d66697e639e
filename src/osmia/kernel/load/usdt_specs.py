"""An object's `__bpf_usdt_specs` map: which of its entries say what about attached probes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from osmia.engine.maps import Map
from osmia.errors import NotSupportedError

#: The map's name in <bpf/usdt.bpf.h>.
SPECS_MAP = "__bpf_usdt_specs"


class UsdtSpecs:
    """Gives out the map's entries: each says where one probe's arguments are.

    A program learns by its attach cookie which entry is its. The map belongs to the
    caller, and must be open while entries are stored.
    """

    def __init__(self, specs: Map) -> None:
        self._map = specs
        # Changed in single steps: a handler may attach while its thread does, or a child of fork.
        self._unused = set(range(specs.max_entries))

    @property
    def argument_fields(self) -> frozenset[str]:
        """The members that the object's headers give to one argument, by name.

        Headers differ (libbpf's grew an index register in 1.7): the map's BTF tells how.
        """
        return frozenset(self._blank()["args"][0])

    def _blank(self) -> Mapping[str, Any]:
        blank = self._map.value_codec and self._map.value_codec.decode(bytes(self._map.value_size))
        if not isinstance(blank, Mapping) or not {"args", "usdt_cookie", "arg_cnt"} <= {*blank}:
            raise NotSupportedError(
                f"map {self._map.name!r} has no types of <bpf/usdt.bpf.h>: compile with BTF"
            )
        return blank

    def store(self, specs: Sequence[Mapping[str, Any]]) -> list[int]:
        """Put each into an entry that is free; the entries' numbers, to `free` later.

        Their "args" may be fewer than the entry has room for.
        """
        room = len(self._blank()["args"])
        taken: list[int] = []
        try:
            self._take(len(specs), taken)
            for number, spec in zip(taken, specs, strict=True):
                arguments = [*spec["args"], *[{}] * (room - len(spec["args"]))]
                self._map[number] = {**spec, "args": arguments}  # type: ignore[index]
        except BaseException:
            self.free(taken)
            raise
        return taken

    def free(self, numbers: Iterable[int]) -> None:
        """Let entries be used for others again."""
        self._unused.update(numbers)

    def _take(self, count: int, taken: list[int]) -> None:
        try:
            while len(taken) < count:
                taken.append(self._unused.pop())
        except KeyError:
            raise NotSupportedError(
                f"static probes of more than {self._map.max_entries} kinds at once; compile"
                " with a larger BPF_USDT_MAX_SPEC_CNT"
            ) from None
