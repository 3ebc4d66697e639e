"""The compiled side of a vm: its programs' code, the natives', and the door to Python."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from functools import partial

from osmia.errors import NotSupportedError
from osmia.object.uapi import ProgramType
from osmia.vm import layout
from osmia.vm import native as natives
from osmia.vm.code import Code
from osmia.vm.contexts import FOLLOWING
from osmia.vm.jit import identity, kept, keys, stubs
from osmia.vm.jit.constants import still_hold
from osmia.vm.jit.door import Door, run_many
from osmia.vm.jit.emitter import VmLayout
from osmia.vm.jit.forks import Forks

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.vm.counting import Counters
    from osmia.vm.cpu import Cpu
    from osmia.vm.dispatcher import Dispatcher
    from osmia.vm.engine import Vm
    from osmia.vm.jit.calls import Context
    from osmia.vm.jit.native_code import NativeCode
    from osmia.vm.programs import VmProgram

_U64 = ctypes.c_uint64
_RUN = ctypes.CFUNCTYPE(_U64, ctypes.c_void_p, *[_U64] * 7)
_START = ctypes.CFUNCTYPE(_U64, _U64)

MAP_OPERATIONS = ("map_lookup", "map_peek", "map_update", "map_delete", "map_push", "map_take")
MAP_HELPERS = (
    "helper_map_lookup_elem",
    "helper_map_update_elem",
    "helper_map_delete_elem",
    "helper_map_push_elem",
    "helper_map_pop_elem",
    "helper_map_peek_elem",
    "helper_ringbuf_reserve",
    "helper_ringbuf_submit",
    "helper_ringbuf_discard",
    "helper_ringbuf_output",
    "helper_spin_lock",
    "helper_spin_unlock",
    "ring_reserve",
)
"""Helpers that take a map's lock, or a lock in it: interpreted programs take the same."""
SHARED = (*MAP_OPERATIONS, "refill")
"""The native functions that other modules call by an address."""
OF_MAPS = ("map_extract", "lpm_after")
"""What maps call beside the operations, and takes a map's lock."""
OTHERS = ("take_tail_call", "exchange32", "exchange64", "skb_place")
EXPORTED = frozenset((*SHARED, *OF_MAPS, *MAP_HELPERS, *OTHERS))
"""The native functions that Python calls most: compiled in one module. Others stay Python."""


Run = Callable[[int, int, int, int, int, int, int, int], int]


class Module:
    """Machine code, and where the stubs in it are."""

    def __init__(self, code: kept.Kept) -> None:
        self.code = code.load()
        self.stubs = {place: self.code.address(symbol) for place, symbol in code.stubs.items()}


class CompiledProgram(Module):
    """A program's machine code."""

    def __init__(self, code: kept.Kept) -> None:
        super().__init__(code)
        self.entry = self.code.address("program")
        self.run: Run = _RUN(self.code.address("run"))
        self.start: Callable[[int], int] = _START(self.code.address("start"))


class Jit:
    """Compiles for one vm; programs at LLVM's optimisation `level`, see `compiler.compile_fresh`.

    With `only_kept` nothing is compiled to make it: NotKeptError where the cache lacks it.
    """

    level = 2

    def __init__(self, vm: Vm, only_kept: bool = False) -> None:
        if vm.retpoline and identity.machine() not in ("x86_64", "AMD64"):
            raise NotSupportedError(f"retpolines are for x86-64, this is {identity.machine()}")
        identity.llvmlite_files()
        self.vm = vm
        self._only_kept = only_kept
        self.layout = VmLayout(
            vm.memory.size,
            vm.map_table,
            vm.cpus.first_block,
            vm.cpus.first_state,
            vm.tail_calls,
            vm.retpoline,
            vm.interruptible,
        )
        self._compiled: dict[int, CompiledProgram] = {}
        self._loops: dict[tuple[int, int], tuple[Module, Callable[..., int]]] = {}
        self._retired: list[Module] = []
        self._targets: dict[stubs.Place, int] = {}
        self._doors: dict[int, Door] = {}
        self._shared: dict[str, int] = {}
        self._ready: dict[str, kept.Kept] = {}
        self._natives = self._natives_of({name: {} for name in sorted(EXPORTED)}, 1).load()
        self._shared = {name: self._share(name) for name in SHARED}
        self._forks = Forks(vm, self._doors)
        self._extra: dict[str, Callable[..., int]] = {}
        self._only_kept = False
        vm.natives.use_compiled(self._native)

    # Programs.

    def program(self, program: VmProgram) -> CompiledProgram:
        """A program's code, compiled at the first call."""
        found = self._compiled.get(program.number)
        if found is None:
            with self.vm.lock:
                if program.number not in self._compiled:
                    self._build(program)
                found = self._compiled[program.number]
        return found

    def has(self, number: int) -> bool:
        """Whether a program's code is there."""
        return number in self._compiled

    def kept_program(self, program: VmProgram) -> CompiledProgram | None:
        """The same where nothing is left to compile; None where the cache lacks some of it."""
        with self.vm.lock:
            before, self._only_kept = self._only_kept, True
            try:
                return self.program(program)
            except kept.NotKeptError:
                return None
            finally:
                self._only_kept = before

    def prepare(self, program: VmProgram) -> None:
        """Compile a program without keeping others from the vm; `program` then takes that."""
        counters, level = program.counters, self.level
        decides = keys.of_program(self.vm, program, counters)
        name = self._name_of(decides, level)
        if name is None or program.number in self._compiled or name in self._ready:
            return
        if kept.find(name, self.vm.memory) is None:
            translate = partial(self._translate, program, counters)
            retpoline = self.vm.retpoline
            self._ready[name] = kept.make(name, translate, retpoline=retpoline, level=level)

    def _build(self, program: VmProgram) -> None:
        """Compile a program and all that it can get to, then let jumps go there: nobody comes
        to code whose own jumps lead nowhere yet."""
        made: dict[int, CompiledProgram] = {}
        words: dict[int, int] = {}  # what callers without stubs load: by address, the program
        places: dict[stubs.Place, int] = {}
        pending = [program]
        with_arrays, changes = False, self.vm.slot_changes
        while pending:
            this = pending.pop()
            if this.number in self._compiled or this.number in made:
                continue
            made[this.number] = self._compile(this)
            for handle in this.calls:
                dispatcher = self.vm.dispatchers[handle]
                places[stubs.DISPATCHER, handle] = dispatcher.program.number
                words[dispatcher.slot] = dispatcher.program.number
                pending.append(dispatcher.program)
            if this.code.has_tail_calls and not with_arrays:
                with_arrays = True
                for header, index, slot, target in self.vm.filled_slots():
                    places[header, index] = words[slot] = target.number
                    pending.append(target)
        self._publish(made, places, words)
        if changes != self.vm.slot_changes:  # a signal's handler did it
            self.vm.refresh_slots(words)
        for handle in [handle for kind, handle in places if kind == stubs.DISPATCHER]:
            dispatcher = self.vm.dispatchers[handle]
            if dispatcher.program.number != words[dispatcher.slot]:
                self.attach(dispatcher, dispatcher.program)

    def _compile(self, program: VmProgram) -> CompiledProgram:
        counters = program.counters
        decides = keys.of_program(self.vm, program, counters)
        translate = partial(self._translate, program, counters)
        return CompiledProgram(self._made(decides, translate, self.level))

    def _translate(self, program: VmProgram, counters: Counters | None) -> kept.Translation:
        from osmia.vm.jit.module import module_text

        context = self.context(program.type, program.code)
        context.counters, context.program = counters, program.number
        text = module_text(context, program.code)
        natives = context.natives
        return kept.Translation(text, natives.stubs.symbols, natives.memory.reads)

    def _name_of(self, decides: object, level: int) -> str | None:
        return kept.name_of(self.layout, self._shared, stubs.supported(), decides, level)

    def _made(
        self, decides: object, translate: Callable[[], kept.Translation], level: int
    ) -> kept.Kept:
        """A module, from the cache or compiled."""
        name = self._name_of(decides, level)
        found = self._ready.pop(name, None) if name is not None else None
        if found is None or not still_hold(self.vm.memory, found.reads):
            found = kept.find(name, self.vm.memory)
        if found is not None:
            return found
        if self._only_kept:
            raise kept.NotKeptError
        return kept.make(name, translate, retpoline=self.vm.retpoline, level=level)

    def _publish(
        self,
        made: dict[int, CompiledProgram],
        places: dict[stubs.Place, int],
        words: dict[int, int],
    ) -> None:
        """New code becomes what its callers jump to; of its own jumps first."""
        compiled = self._compiled | made
        targets = {place: compiled[number].entry for place, number in places.items()}
        known = self._targets | targets
        for module in made.values():
            for place, stub in module.stubs.items():
                stubs.point(stub, known.get(place, module.entry))
        for place, entry in targets.items():
            if self._targets.get(place) != entry:
                self.point(place, entry)
        for address, number in words.items():
            self.vm.memory.store64(address, compiled[number].entry)
        # What a signal's handler compiled meanwhile may be jumped to.
        self._retired += (self._compiled[number] for number in made if number in self._compiled)
        self._compiled.update(made)

    def drop(self, program: VmProgram) -> None:
        """Give back the code of a program that is closed and that nothing leads to."""
        self._compiled.pop(program.number, None)

    def forget(self) -> None:
        """Compile all programs anew. Whoever runs the old code may go on, and where it jumps to
        stays until there is new code: it is kept until a next time when nobody runs anything."""
        if self.vm.cpus.idle:
            self._retired.clear()
        self._retired += self._compiled.values()
        self._retired += (module for module, _ in list(self._loops.values()))
        self._compiled.clear()
        self._loops.clear()
        self._targets.clear()

    def context(self, program_type: ProgramType | None, code: Code | None = None) -> Context:
        """What a new module needs to know."""
        from osmia.vm.jit.calls import Context

        return Context(
            self.layout,
            self._native_code(frozenset(code.functions if code else ()) - {0}),
            self.vm.immediate,
            lambda i: self.vm.resolve(i, program_type),
            layout.CPU_STACK_SIZE - layout.FRAME_SIZE,
            program_type is not None,
            program_type in FOLLOWING,
        )

    def _native_code(self, functions: frozenset[int] = frozenset()) -> NativeCode:
        from osmia.vm.jit.native_code import NativeCode

        return NativeCode(self.vm.memory, self.layout, functions, self._entry_slot, self._shared)

    def _share(self, name: str) -> int:
        """Where other modules find the address of an exported native function."""
        slot = self.vm.memory.control.allocate(8)
        self.vm.memory.store64(slot, self._natives.address(f"native_{name}"))
        return slot

    def point(self, place: stubs.Place, entry: int) -> None:
        """Make every direct jump of a place go to an entry, also in code that is retired but
        may still run."""
        self._targets[place] = entry
        loops = (module for module, _ in list(self._loops.values()))
        for module in (*self._compiled.values(), *loops, *self._retired):
            stub = module.stubs.get(place)
            if stub is not None:
                stubs.point(stub, entry)

    # Dispatchers.

    def attach(self, dispatcher: Dispatcher, program: VmProgram) -> None:
        """Make all that call a dispatcher call a program."""
        entry = self.program(program).entry
        self.vm.memory.store64(dispatcher.slot, entry)
        self.point((stubs.DISPATCHER, dispatcher.handle), entry)

    def _entry_slot(self, handle: int) -> int:
        """Where the entry of a dispatcher's program is put."""
        return self.vm.dispatchers[handle].slot

    def batch(self, dispatcher: Dispatcher, kind: int) -> Callable[..., int]:
        """The native function `batch_run`, with calls of a dispatcher in it."""
        key = dispatcher.handle, kind
        with self.vm.lock:
            if key not in self._loops:
                if (stubs.DISPATCHER, dispatcher.handle) not in self._targets:
                    self.attach(dispatcher, dispatcher.program)
                known = {"entry": dispatcher.handle, "kind": kind}
                module = Module(self._natives_of({"batch_run": known}, 2))
                for place, stub in module.stubs.items():
                    stubs.point(stub, self._targets[place])
                self._loops[key] = module, self._callable(module.code, "batch_run")
            return self._loops[key][1]

    def run(self, program: VmProgram, cpu: Cpu, arguments: tuple[int, ...], budget: int) -> int:
        """Run a compiled program; the caller looks for an interrupt afterwards."""
        code = self._compiled.get(program.number) or self.program(program)
        door = self._doors.get(cpu.number) or self.door(cpu)
        return code.start(door.enter(arguments, budget))

    def repeat(
        self, program: VmProgram, cpu: Cpu, arguments: tuple[int, ...], budget: int, times: int
    ) -> int:
        """Run it a number of times."""
        code = self._compiled.get(program.number) or self.program(program)
        door = self._doors.get(cpu.number) or self.door(cpu)
        a, b = arguments if len(arguments) > 1 else (arguments[0], 0)
        base, top, left = self.vm.memory.base, cpu.stack_top, cpu.state + layout.STATE_LEFT
        result = 0

        def some(done: int, left_to_do: int, first: int, rest: int, deadline: int) -> int:
            nonlocal result
            result = code.run(base, top, a, b, first, rest, left_to_do, deadline)
            return left_to_do - self.vm.memory.load64(left)

        run_many(door, times, budget, some)
        return result

    # Natives for Python.

    def _natives_of(self, names: Mapping[str, Mapping[str, int]], level: int) -> kept.Kept:
        """A module of native functions, each with the parameters that are known."""

        def translate() -> kept.Translation:
            code = self._native_code()
            exported = [code.exported(name, **known) for name, known in names.items()]
            head = "".join(f"{declaration}\n" for declaration in sorted(code.declarations))
            text = "".join([code.stubs.text(), head, *exported, *code.texts])
            return kept.Translation(text, code.stubs.symbols, code.memory.reads)

        slots = [self._entry_slot(k["entry"]) for k in names.values() if "entry" in k]
        return self._made(("natives", names, slots), translate, level)

    def _native(self, name: str) -> Callable[..., int] | None:
        """A native function for Python, None for those that are not worth compiling."""
        return self._callable(self._natives, name) if name in EXPORTED else None

    def native(self, name: str) -> Callable[..., int]:
        """A native function that only compiled code has a use for, compiled when needed."""
        with self.vm.lock:
            if name not in self._extra:
                self._extra[name] = self._callable(self._natives_of({name: {}}, 2).load(), name)
        return self._extra[name]

    def _callable(self, code: kept.Loaded, name: str) -> Callable[..., int]:
        if name not in natives.NATIVE:
            import osmia.vm.jit.native_code  # noqa: F401  # with it, all of EXPORTED
        count = natives.NATIVE[name].__code__.co_argcount
        prototype = ctypes.CFUNCTYPE(_U64, ctypes.c_void_p, *[_U64] * count)
        function = prototype(code.address(f"native_{name}"))
        base = self.vm.memory.base

        def call(*arguments: int, keep: kept.Loaded = code) -> int:
            return int(function(base, *arguments))

        return call

    def door(self, cpu: Cpu) -> Door:
        """The door to Python of a CPU that the caller has."""
        found = self._doors.get(cpu.number)
        if found is None:
            found = self._doors[cpu.number] = Door(self.vm, cpu)
        return found
