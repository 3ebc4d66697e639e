"""What of a vm is in use: programs keep the maps they name, as in the kernel.

What was closed goes when nothing names it any more: a map no program and no map of maps, a
program no prog array, no dispatcher and nobody who opened it. Until then it is there for those
that do.
"""

from __future__ import annotations

from osmia.object.uapi import MapType
from osmia.vm.maps.body import OUTER, MapBody

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.vm.engine import Vm
    from osmia.vm.programs import VmProgram


class Lifetimes:
    """All maps and programs of a vm, the closed ones too that something still names."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self.maps: dict[int, MapBody] = {}
        self.programs: dict[int, VmProgram] = {}
        self.linked: set[int] = set()
        """Handles of dispatchers that go with the last program that calls them."""
        self._unloaded: set[int] = set()
        self._closed_maps: set[int] = set()
        self._sweeping = False

    def close_map(self, number: int) -> None:
        """The user is done with a handle on a map; programs go on with the map itself."""
        self._closed_maps.add(number)
        self.sweep()

    def unload(self, programs: set[int]) -> None:
        """The user is done with programs."""
        self._unloaded |= programs & self.programs.keys()
        self.sweep()

    def release(self, handle: int) -> None:
        """The user is done with a dispatcher, which programs may call."""
        self.linked.add(handle)
        self.sweep()

    def sweep(self) -> None:
        """Free what is closed and not named any more; at another time while programs run, or
        where a signal came into it."""
        if not self._closed_maps and not self._unloaded and not self.linked:
            return
        with self._vm.lock, self._vm.cpus.paused() as idle:
            if not idle or self._vm.closed or self._sweeping:
                return
            self._sweeping = True
            try:
                # What a signal's handler closes meanwhile waits for the next time.
                closed = self._closed_maps.copy(), self._unloaded.copy(), self.linked.copy()
                used = self._in_use()
                self._free(*(each - those for each, those in zip(closed, used, strict=True)))
            finally:
                self._sweeping = False

    def _free(self, maps: set[int], programs: set[int], handles: set[int]) -> None:
        """Free maps, programs and dispatchers. Each is forgotten first, so never freed twice."""
        for number in programs:
            self._unloaded.discard(number)
            self._drop_program(self.programs.pop(number))
        for handle in handles:
            self.linked.discard(handle)
            self._vm.forget_dispatcher(handle)
        for number in maps:
            self._closed_maps.discard(number)
            self._vm.free_map(self.maps.pop(number))

    def _drop_program(self, program: VmProgram) -> None:
        self._vm.programs.remove(program)
        if self._vm.counting is not None:
            self._vm.counting.drop(program.number)
        if self._vm.jit_in_use is not None:
            self._vm.jit_in_use.drop(program)

    def _in_use(self) -> tuple[set[int], set[int], set[int]]:
        """The numbers of maps and programs and the handles that can still be reached."""
        vm = self._vm
        maps: set[int] = set()
        programs: set[int] = set()
        handles = vm.dispatchers.keys() - self.linked
        pending: list[MapBody | VmProgram] = [vm.dispatchers[handle].program for handle in handles]
        pending += (
            p for n, p in list(self.programs.items()) if n not in self._unloaded or p.handles
        )
        named = (
            each for each in list(self.maps.values()) if each.number in vm.handles or each.handles
        )
        pending += named
        while pending:
            this = pending.pop()
            if isinstance(this, MapBody):
                if this.number in maps:
                    continue
                maps.add(this.number)
                if this.type is MapType.PROG_ARRAY:
                    pending += (self.programs[number] for number in this.numbers())
                elif this.type in OUTER:
                    pending += (self.maps[n] for n in this.numbers() if n in self.maps)
            elif this.number not in programs:
                programs.add(this.number)
                pending += (self.maps[n] for n in this.code.map_numbers if n in self.maps)
                pending += (vm.dispatchers[handle].program for handle in this.calls)
                handles |= this.calls
        return maps, programs, handles
