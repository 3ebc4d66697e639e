"""The native functions (see `osmia.vm.native`) of one module of compiled code.

A function is compiled once for each set of parameters that are known numbers: with a map's
header known, the fields that never change are constants, conditions on them disappear, and
so do the branches not taken. Operations on a map that is not known, with code for every type
of map, are compiled once for a vm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import osmia.vm.helpers.events  # whose functions are called by name
import osmia.vm.helpers.map_access
import osmia.vm.maps.lpm
import osmia.vm.maps.slots
import osmia.vm.sk_buff  # noqa: F401
from osmia.vm import native
from osmia.vm.jit import stubs
from osmia.vm.jit.constants import Constants
from osmia.vm.jit.emitter import Emitter, Value, VmLayout, function, text
from osmia.vm.jit.native_function import NativeFunction, parsed
from osmia.vm.memory import Memory


class NativeCode:
    """The native functions of one module, compiled as they are asked for."""

    def __init__(
        self,
        memory: Memory,
        layout: VmLayout,
        functions: frozenset[int] = frozenset(),
        entry_slot: Callable[[int], int] | None = None,
        shared: Mapping[str, int] | None = None,
    ) -> None:
        self.functions = functions  # the first slots of those that helpers may call back
        self.memory: Constants = Constants(memory)
        self.layout: VmLayout = layout
        self.entry_slot = entry_slot  # where a dispatcher's program's address is, by handle
        self.shared = shared or {}  # where the address of a map operation for any map is
        self.stubs = stubs.Stubs()
        self.texts: list[str] = []
        self.declarations: set[str] = set()
        self.has_callbacks = False
        self.interrupts = False  # whether what was called since this was reset may end the run
        self._interrupting: set[Value] = set()  # the versions that may
        self._versions: dict[tuple[str, tuple[int | None, ...]], Value] = {}

    def call(self, body: Emitter, name: str, arguments: list[Value], attributes: str = "") -> Value:
        """Emit a call; known arguments select a version of their own."""
        if name == "map_at" and isinstance(arguments[0], int):
            return self._map_at(arguments[0])
        if name in self.shared and not isinstance(arguments[0], int):
            entry = body.load(body.pointer(self.shared[name]), 8)
            target = body.value(f"inttoptr i64 {entry} to ptr")
            passed = [f"i64 {text(a)}" for a in arguments]
            joined = ", ".join(["ptr %base", *passed])
            return body.value(f"call i64 {target}({joined}) {attributes}")
        version = self.version(name, tuple(a if isinstance(a, int) else None for a in arguments))
        if isinstance(version, int):
            return version
        passed = [f"i64 {text(a)}" for a in arguments if not isinstance(a, int)]
        return body.value(f"call i64 @{version}({', '.join(['ptr %base', *passed])})")

    def version(self, name: str, known: tuple[int | None, ...]) -> Value:
        """The symbol of a native function for known parameters; or its result, where that is
        all there is to it: what the caller does with it is then known too."""
        key = (name, known)
        if key not in self._versions:
            symbol = f"{name}.{len(self._versions)}"
            self._versions[key] = symbol
            before, self.interrupts = self.interrupts, name == "interrupt"
            translation = NativeFunction(self, symbol, name, known)
            text = translation.text()
            result = translation.result()
            if result is None:
                self.texts.append(text)
            else:
                self._versions[key] = result
            if self.interrupts:
                self._interrupting.add(symbol)
            self.interrupts = before
        self.interrupts |= self._versions[key] in self._interrupting
        return self._versions[key]

    def exported(self, name: str, **known: int) -> str:
        """A function that Python calls: with all its parameters, by its own name. Those that
        are known it ignores."""
        parameters = [a.arg for a in parsed(native.NATIVE[name]).args.args]
        body = Emitter(["entry:"])
        body.ret(self.call(body, name, [known.get(p, f"%a_{p}") for p in parameters]))
        signature = ", ".join(["ptr %base", *(f"i64 %a_{p}" for p in parameters)])
        return function(f"native_{name}", signature, body, linkage="")

    def attached(self, body: Emitter, handle: int) -> str:
        """What to call for the program of a dispatcher."""
        assert self.entry_slot is not None
        slot = self.entry_slot(handle)
        if stubs.supported():
            return f"@{self.stubs.symbol((stubs.DISPATCHER, handle))}"
        entry = body.value(f"load atomic i64, ptr {body.pointer(slot)} acquire, align 8")
        return body.value(f"inttoptr i64 {entry} to ptr")

    def _map_at(self, handle: int) -> int:
        from osmia.vm.layout import MAP_HANDLE, MAP_HANDLE_SHIFT, MAX_MAPS

        number = (handle - MAP_HANDLE) >> MAP_HANDLE_SHIFT
        if not 0 <= number < MAX_MAPS:
            return 0
        return self.memory.load64(self.layout.map_table + 8 * number)
