"""The vm: one memory with its CPUs, the maps and programs in it, the helpers they call."""

from __future__ import annotations

import errno
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property

from osmia.arguments import names_wrong_arguments
from osmia.closing import ClosedByWith
from osmia.errors import ClosedError, CodecError, KernelError, NotSupportedError
from osmia.isa import opcodes as op
from osmia.isa.forms import Form
from osmia.isa.helper_functions import HELPERS
from osmia.isa.instruction import Instruction
from osmia.locks import Order, make_lock
from osmia.object.uapi import AttachType, MapFlag, MapType, ProgramType
from osmia.records import replace
from osmia.vm import layout
from osmia.vm.access import Areas
from osmia.vm.check import check
from osmia.vm.code import TAIL_CALL, Code
from osmia.vm.cpu import Cpu, Cpus
from osmia.vm.dispatcher import Dispatcher, check_depth, foreign
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers import KFUNCS, Helper, supported, variant
from osmia.vm.helpers.mocks import Mocks, mocked, unanswered
from osmia.vm.lifetimes import Lifetimes
from osmia.vm.maps import operations as _operations
from osmia.vm.maps import slots
from osmia.vm.maps.body import OUTER, MapBody
from osmia.vm.maps.build import Definition
from osmia.vm.maps.handles import handle_of
from osmia.vm.maps.raw import VmMap
from osmia.vm.maps.rules import FD_ACCESS, normalised
from osmia.vm.memory import DEFAULT_REGION, Memory
from osmia.vm.native_python import Natives
from osmia.vm.programs import VmProgram
from osmia.vm.tail_calls import check_tail_calls
from osmia.vm.tiers import Tiers
from osmia.vm.unresolved import UnresolvedCalls, is_unresolved

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.btf import BTF
    from osmia.engine.maps import Map
    from osmia.object.model import SourceLine
    from osmia.passes.target import Target
    from osmia.values import Codec
    from osmia.vm.counting import Counting
    from osmia.vm.deferred import Clock
    from osmia.vm.helpers.objects import Allocated
    from osmia.vm.helpers.timers import Queue
    from osmia.vm.jit.machine import Jit
    from osmia.vm.sockets import Sockets
    from osmia.vm.structures import Structure
    from osmia.vm.words import TailCalls

assert _operations  # imported for the native functions it registers
_MAP_LOADS = (op.LoadKind.MAP_FD, op.LoadKind.MAP_VALUE)


class Vm(ClosedByWith):
    """A userspace BPF machine.

    `memory` is the region's size in bytes (a power of two, 8 MiB to 4 GiB): all maps,
    stacks and packets must fit; pages are only taken when used. `cpus` is the number of
    virtual CPUs: that many runs are possible at a time, and per-CPU maps have as many
    copies. `tail_calls` says what a tail call in a subprogram replaces: that subprogram's
    frame ("subprogram", as kernels do), or the whole program ("program"). `helpers` maps
    names of helpers, without "bpf_", to Python callables that replace them or add to them. A
    helper or kfunc that nobody answers is a fault of the run that calls it; with
    `strict_helpers` no program that has such a call is loaded. With `interruptible` Ctrl-C and
    `close` end every compiled run within 50 ms; without, a single one goes on until it returns or
    has used up its budget (2 s, unless one is given), and repeats and batches end between runs.
    It costs nested loops up to half of their speed again.
    `trace` holds the last 10,000 lines that programs printed.
    """

    @names_wrong_arguments
    def __init__(
        self,
        *,
        memory: int = DEFAULT_REGION,
        cpus: int | None = None,
        tail_calls: TailCalls = "subprogram",
        jit: bool | None = None,
        retpoline: bool = False,
        strict_helpers: bool = False,
        interruptible: bool = False,
    ) -> None:
        if tail_calls not in ("subprogram", "program"):
            raise ValueError(f"tail_calls={tail_calls!r}: 'subprogram' or 'program'")
        self.memory = Memory(memory)
        self.cpus = Cpus(self.memory, cpus or min(os.cpu_count() or 1, 64))
        self.tail_calls: TailCalls = tail_calls
        self._jit_wanted = jit
        self.jit_in_use: Jit | None = None
        """The compiler once something was compiled: what it must be told of changes."""
        self.retpoline = retpoline
        self.strict_helpers = strict_helpers
        self.interruptible = interruptible
        self.areas = Areas()
        self.map_table = self.memory.control.allocate(8 * layout.MAX_MAPS, 64)
        self.natives = Natives(self.memory, self.map_table, self.cpus.state_of)
        self.handles: dict[int, VmMap] = {}
        """Of each open map the handle that came with it."""
        self.programs: list[VmProgram] = []
        self.lifetimes = Lifetimes(self)
        self._map_numbers = itertools.count(1)
        self._program_numbers = itertools.count(1)
        self.slot_changes = 0
        self.helper_changes = 0
        self.dispatchers: dict[int, Dispatcher] = {}
        self._handles = itertools.count(1)
        self.unresolved = UnresolvedCalls()
        self.helpers = Mocks(self.recompile)
        self._functions = [f"bpf_{name}" for name in sorted(KFUNCS)]
        self.trace: deque[str] = deque(maxlen=10_000)
        self.lock = make_lock(Order.ENGINE)
        self.tiers = Tiers(self)
        self._supported = supported()
        self.deferred: Queue | None = None
        self.clock: Clock | None = None
        """The clock that a test moves; None for the machine's own."""
        """What its programs put off: timers and work."""
        self.lists: dict[str, Sequence[Structure]] = {}
        """What iterators that programs open go over, by their names: "task", "css", …"""
        self.sequences: dict[int, bytearray] = {}
        """What iterators that are being read have written, by the address of the seq_file."""
        self.objects: dict[int, Allocated] = {}
        """What programs allocated and did not drop, by address."""
        self.sockets: Sockets | None = None
        """The sockets of a test, for programs that look some up."""
        self.tell_types: Callable[[], tuple[Target | None, BTF | None]] = lambda: (None, None)
        """What `target` and `types` are, where nobody has set them."""
        self.counting: Counting | None = None
        """What counts its programs' runs, from the first time that something asked for it on."""

    @cached_property
    def target(self) -> Target | None:
        """What the last object was loaded for; of its types are structures."""
        return self.tell_types()[0]

    @cached_property
    def types(self) -> BTF | None:
        """The last object's own types, of which structures are, too."""
        return self.tell_types()[1]

    @property
    def jit(self) -> Jit | None:
        """The compiler, where it is wanted and installed."""
        if self.jit_in_use is None and self._jit_wanted is not False:
            try:
                return self.need_jit()
            except NotSupportedError:
                if self._jit_wanted:
                    raise
                self._jit_wanted = False
        return self.jit_in_use

    def need_jit(self, *, only_kept: bool = False) -> Jit:
        """The compiler; NotSupportedError where llvmlite is not installed. With `only_kept` it is
        not made where that takes compiling: `osmia.vm.jit.kept.NotKeptError`."""
        from osmia.vm.jit.machine import Jit

        with self.lock:
            if self.jit_in_use is None:
                self.jit_in_use = Jit(self, only_kept)
            return self.jit_in_use

    @property
    def compiles(self) -> bool:
        """Whether hot programs are compiled: not where llvmlite is found to be missing."""
        return self._jit_wanted is not False

    def lacks_compiler(self) -> None:
        """llvmlite is missing: raises NotSupportedError where it was asked for."""
        if self._jit_wanted:
            self.need_jit()
        self._jit_wanted = False

    def close(self) -> None:
        """Give everything back. Maps and programs of this vm are closed with it. Ends
        programs that run (ClosedError there); KernelError (EBUSY) from a helper or hook of one."""
        self.cpus.close()
        with self.lock, ExitStack() as held:
            for each in self.lifetimes.maps.values():
                held.enter_context(each.lock)
                each.let_go()
            if self.counting is not None and not self.closed:
                self.counting.close()
            self.memory.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.memory.closed

    # Maps.

    @names_wrong_arguments
    def create_map(
        self,
        type: MapType,  # noqa: A002 - the field's word
        *,
        key_size: int = 4,
        value_size: int = 4,
        max_entries: int = 1,
        flags: int = 0,
        map_extra: int = 0,
        name: str = "",
        lock_offset: int | None = None,
        special: tuple[tuple[int, int], ...] = (),
        inner: Map | None = None,
        key_codec: Codec | None = None,
        value_codec: Codec | None = None,
    ) -> Map:
        """Make a map; sizes in bytes. `inner` is the template of a map in maps: without one the
        first map that is stored; `special` are offsets and sizes of fields that updates do not
        copy (`osmia.vm.maps.special_fields`), the lock's among them. Raises KernelError with the
        errno value that a kernel would give, NotSupportedError for types that the vm lacks."""
        if lock_offset is not None and not special:
            special = ((lock_offset, 4),)
        sizes = (key_size, value_size, max_entries)
        wanted = Definition(type, *sizes, flags, map_extra, lock_offset, special)

        def typed(handle: VmMap) -> Map:
            made = handle.typed(key_codec, value_codec)
            if inner is not None and type in OUTER:
                handle.reference(inner)  # the template
            return made

        return self.make_map(wanted, name, typed).face

    @names_wrong_arguments
    def make_map(
        self, wanted: Definition, name: str, typed: Callable[[VmMap], Map] | None = None
    ) -> VmMap:
        """Make a map: the handle that is the vm's own. What `typed` makes of it is its face; the
        map is not made where that fails."""
        self._check_open()
        allowed = normalised(wanted, len(self.cpus))
        access = MapFlag(allowed.flags) & FD_ACCESS
        definition = replace(allowed, flags=allowed.flags & ~FD_ACCESS)
        with self.lock:
            self._check_open()
            self.lifetimes.sweep()
            number = next(self._map_numbers)
            if number >= layout.MAX_MAPS:
                hint = f"it had {layout.MAX_MAPS - 1}; numbers are not used again"
                raise KernelError(24, "create one more map in this vm", hint=hint)
            body = MapBody(self, number, name, definition)
            try:
                handle = handle_of(body, access)
                if typed is not None:
                    handle.face = typed(handle)
            except BaseException:
                body.release()
                raise
            self.handles[number], self.lifetimes.maps[number] = handle, body
            self.memory.store64(self.map_table + 8 * number, body.header)
            if body.values_size:
                self.areas.add(body.values_address, body.values_size, body)
        return handle

    @property
    def maps(self) -> dict[int, Map]:
        """The open maps by number."""
        return {number: handle.face for number, handle in list(self.handles.items())}

    @names_wrong_arguments
    def open_map(self, number: int) -> Map:
        """Another handle on a map by its number, also on one that was closed and that programs
        or other maps still have; the caller closes it. KernelError (ENOENT): there is none."""
        with self.lock:
            self._check_open()
            body = self.lifetimes.maps.get(number)
            if body is None:
                raise KernelError(errno.ENOENT, f"open map {number} of this vm")
            known = self.handles.get(number)
            face = known.face if known is not None else None
            codecs = (face.key_codec, face.value_codec) if face is not None else (None, None)
            handle = handle_of(body)
            opened = handle.face = handle.typed(*codecs)
            body.handles.add(handle)
        return opened

    def forget_map(self, handle: VmMap) -> None:
        """A handle was closed. The map's memory is free again once nothing names it."""
        with self.lock:
            if self.handles.get(handle.id) is handle:
                del self.handles[handle.id]
            handle.body.handles.discard(handle)
            if not self.closed:
                self.lifetimes.close_map(handle.id)

    def free_map(self, gone: MapBody) -> None:
        """Give back the memory of a map that nothing names any more."""
        self.memory.store64(self.map_table + 8 * gone.number, 0)
        if gone.values_size:
            self.areas.remove(gone.values_address)
        gone.release()

    def number_of(self, program: object) -> int:
        """The number that stands for a program in prog arrays; CodecError for what is none of
        this vm, ClosedError for one that is closed."""
        if not isinstance(program, VmProgram) or program.vm is not self:
            raise CodecError(f"a program of this vm is needed, not {program!r:.80}")
        program.check_open()
        return program.number

    def fill_slot(self, array: MapBody, index: int, program: VmProgram) -> None:
        """Point a slot of a prog array at a program. KernelError (EINVAL) for one that does not
        agree with the array's owner."""
        with self.lock:
            program.check_open()
            self._claim(array, program)
            self.slot_changes += 1
            self.memory.store64(array.slot(index) + slots.SLOT_PROGRAM, program.number)
            if self.jit_in_use is not None:
                self._refresh(array, index)

    def empty_slot(self, array: MapBody, index: int) -> None:
        """Point a slot of a prog array at nothing."""
        with self.lock:
            self.slot_changes += 1
            # What sites test goes first; where they would jump to stays, for those who
            # tested just before.
            self.memory.store64(array.slot(index) + slots.SLOT_ENTRY, 0)
            self.memory.store64(array.slot(index) + slots.SLOT_PROGRAM, 0)

    def _refresh(self, array: MapBody, index: int) -> None:
        """Let compiled code go where a slot says; again where a signal's handler stored another
        program in the middle."""
        entered = -1
        while (now := array.program_number(index)) != entered:
            self._enter(array, index, now)
            entered = now

    def refresh_slots(self, entered: Mapping[int, int]) -> None:
        """See that compiled code goes where all slots say; by the address of a slot's entry the
        program that it goes to now, if any."""
        for array in self._prog_arrays():
            for index in range(array.max_entries):
                word = array.slot(index) + slots.SLOT_ENTRY
                if array.program_number(index) != entered.get(word, 0):
                    self._refresh(array, index)

    def _enter(self, array: MapBody, index: int, number: int) -> None:
        """Let compiled code go to the program of a slot; 0 is none."""
        assert self.jit_in_use is not None
        if not number:
            self.memory.store64(array.slot(index) + slots.SLOT_ENTRY, 0)
            return
        entry = self.jit_in_use.program(self.lifetimes.programs[number]).entry
        self.jit_in_use.point((array.header, index), entry)
        self.memory.store64(array.slot(index) + slots.SLOT_ENTRY, entry)

    def _prog_arrays(self) -> list[MapBody]:
        return [
            each for each in list(self.lifetimes.maps.values()) if each.type is MapType.PROG_ARRAY
        ]

    def filled_slots(self) -> Iterator[tuple[int, int, int, VmProgram]]:
        """The programs in all prog arrays: the array's header, the index, where in its slot the
        program's entry belongs, the program."""
        for array in self._prog_arrays():
            for index in range(array.max_entries):
                if number := array.program_number(index):
                    word = array.slot(index) + slots.SLOT_ENTRY
                    yield array.header, index, word, self.lifetimes.programs[number]

    @staticmethod
    def _claim(array: MapBody, program: VmProgram) -> None:
        """Make a program the array's owner, or see that it agrees with the owner."""
        wanted = (program.type, program.expected_attach_type)
        if array.owner is None:
            array.owner = wanted
        elif array.owner != wanted:
            hint = f"its owner is of type {array.owner[0]}, attach type {array.owner[1]}"
            what = f"store program {program.name!r} in map {array.name!r}"
            raise KernelError(errno.EINVAL, what, hint=hint)

    @names_wrong_arguments
    def dispatcher(self, program: VmProgram) -> Dispatcher:
        """A place with this program attached, to run it, or call it from others, and to replace
        it meanwhile."""
        self._check_open()
        if not isinstance(program, VmProgram) or program.vm is not self:
            raise foreign(program, "make a dispatcher for")
        with self.lock:
            program.check_open()
            made = Dispatcher(self, next(self._handles), program)
            self.dispatchers[made.handle] = made
        return made

    def forget_dispatcher(self, handle: int) -> None:
        """Take a dispatcher away that no program calls."""
        self.memory.control.free(self.dispatchers.pop(handle).slot)

    def map_of(self, handle: int) -> MapBody | None:
        """The map that a program's pointer names."""
        if handle & ((1 << layout.MAP_HANDLE_SHIFT) - 1):
            return None
        return self.lifetimes.maps.get((handle - layout.MAP_HANDLE) >> layout.MAP_HANDLE_SHIFT)

    # Programs.

    @names_wrong_arguments
    def load_program(
        self,
        code: bytes,
        *,
        type: ProgramType | None = None,  # noqa: A002 - the field's word
        name: str = "",
        expected_attach_type: AttachType | None = None,
        function_names: Mapping[int, str] | None = None,
        lines: Mapping[int, SourceLine] | None = None,
        jumps: Mapping[int, Sequence[int]] | None = None,
        signature: str = "",
        exception_callback: int = 0,
    ) -> VmProgram:
        """Load packed code whose relocations are numbers of this vm's maps.

        Without a `type` the program is "raw": r1 is the address of the run's data, r2 its
        length. `jumps` are the slots that each gotox may go to, by its own slot, and
        `exception_callback` is the first one of what is called when it throws. Raises
        VerifierError for code that no executor runs, and NotSupportedError for a helper that
        there is not, or not for this type; with `strict_helpers` for one that the vm lacks.
        """
        self._check_open()
        checked = check(
            name or "program",
            code,
            names=function_names,
            lines=lines,
            jumps=jumps,
            callback=exception_callback,
        )
        with self.lock:
            self._check_open()
            self._check_uses(checked, type)
            program = VmProgram(
                self,
                next(self._program_numbers),
                checked,
                type,
                expected_attach_type=expected_attach_type,
                signature=signature,
            )
            program.exception_callback = exception_callback
            check_depth(program)
            self._claim_arrays(program)
            self.programs.append(program)
            self.lifetimes.programs[program.number] = program
        return program

    @names_wrong_arguments
    def open_program(self, number: int) -> VmProgram:
        """Another reference to a program by its number, also to one that was closed and that prog
        arrays or dispatchers still have; the caller closes it. KernelError (ENOENT): there is
        none."""
        with self.lock:
            self._check_open()
            program = self.lifetimes.programs.get(number)
            if program is None:
                raise KernelError(errno.ENOENT, f"open program {number} of this vm")
            return program.another()

    @names_wrong_arguments
    def unload(self, programs: Iterable[VmProgram]) -> None:
        """Drop programs, each as soon as no prog array and no dispatcher has it and nothing
        runs."""
        with self.lock:
            self.lifetimes.unload({self._own(program).number for program in programs})

    def _own(self, program: object) -> VmProgram:
        if not isinstance(program, VmProgram) or program.vm is not self:
            raise foreign(program, "unload")
        return program

    def forget_programs(self) -> None:
        """Drop all programs: prog arrays are emptied, dispatchers are gone. For long sessions that
        load many; nothing may be running. Programs are closed: ClosedError."""
        with self.lock:
            for array in self._prog_arrays():
                for index in range(array.max_entries):
                    self.empty_slot(array, index)
                array.owner = None
            for handle in list(self.dispatchers):
                self.forget_dispatcher(handle)
            self.lifetimes.linked.clear()
            for program in self.programs:
                program.handles.clear()
            self.lifetimes.unload({program.number for program in self.programs})
            if self.jit_in_use is not None:
                self.jit_in_use.forget()

    @names_wrong_arguments
    def struct(self, name: str, /, **fields: Any) -> Structure:
        """A structure in the vm's memory for programs to follow, of the kernel's types that the
        last object was loaded for, or of its own: `vm.struct("task_struct", comm="ls", pid=3)`.

        What a pointer leads to is another structure, the fields of one (`real_parent={"pid": 1}`),
        a list of elements, text (with a NUL behind it), bytes, or an address; all else is 0.
        Raises CodecError for a type or field that is not there and for what does not fit.
        """
        from osmia.vm.structures import build

        self._check_open()
        return build(self, name, fields)

    def need_counting(self) -> Counting:
        """What counts its programs' runs."""
        from osmia.vm.counting import Counting

        with self.lock:
            if self.counting is None:
                self.counting = Counting(self)
            return self.counting

    def recompile(self) -> None:
        """Have every program compiled and generated anew when it is next needed."""
        with self.lock:
            self.helper_changes += 1
            if self.jit_in_use is not None:
                self.jit_in_use.forget()

    def _claim_arrays(self, program: VmProgram) -> None:
        """A program that tail-calls through an array owns it, or agrees with its owner."""
        if program.code.has_tail_calls:
            for number in program.code.map_numbers:
                array = self.lifetimes.maps[number]
                if array.type is MapType.PROG_ARRAY:
                    self._claim(array, program)

    def _check_uses(self, code: Code, program_type: ProgramType | None) -> None:
        for slot, i in enumerate(code.instructions):
            if i is None or code.forms[slot] is not Form.CALL:
                continue
            if i.is_helper_call and i.imm == TAIL_CALL:
                continue
            if i.src == op.CallKind.PROGRAM and i.imm not in self.dispatchers:
                raise KernelError(9, f"load program {code.name!r}: no program {i.imm} to call")
            if i.src in (op.CallKind.HELPER, op.CallKind.KFUNC):
                self.resolve(i, program_type, slot)
        for number in code.map_numbers:
            body = self.lifetimes.maps.get(number)
            if body is None or not (number in self.handles or body.handles):
                raise KernelError(9, f"load program {code.name!r}: no map has number {number}")
        check_tail_calls(self, code)

    def resolve(
        self, i: Instruction, program_type: ProgramType | None = None, slot: int | None = None
    ) -> Helper:
        """The helper that a call instruction names: a Python one registered under its name,
        else the vm's own for that program type. Raises NotSupportedError."""
        known = HELPERS.get(i.imm) if i.src == op.CallKind.HELPER else None
        is_kfunc = i.src == op.CallKind.KFUNC and 0 < i.imm <= len(self._functions)
        if is_kfunc:
            full_name = self._functions[i.imm - 1]
        else:
            full_name = known.name if known else _unknown(i.imm)
        name = full_name.removeprefix("bpf_")
        own = variant(name, program_type) or self._supported.get(name)
        mock = self.helpers.get(name)
        if mock is not None:
            return mocked(name, mock, own, known)
        if own is None and (known or is_kfunc) and not self.strict_helpers:
            return unanswered(full_name, "kfunc" if is_kfunc else "helper")
        if own is None:
            at = f" (instruction {slot})" if slot is not None else ""
            kind = "kfunc" if is_kfunc else "helper"
            raise NotSupportedError(f"the vm has no {kind} {full_name}{at}")
        if own.types and program_type is not None and program_type not in own.types:
            at = f" (instruction {slot})" if slot is not None else ""
            raise NotSupportedError(f"{program_type.name} programs cannot call bpf_{name}{at}")
        return own

    def has_function(self, name: str) -> bool:
        """Whether a kfunc is here: the vm's own, or a Python callable in `helpers`."""
        return name.removeprefix("bpf_") in KFUNCS or name.removeprefix("bpf_") in self.helpers

    def function_number(self, name: str) -> int:
        """The number by which call instructions (source register 2) name a kfunc."""
        if name not in self._functions:
            self._functions.append(name)
        return self._functions.index(name) + 1

    def immediate(self, i: Instruction, slot: int) -> int:
        """The value that an ld_imm64 at a slot leaves in its register."""
        if i.src in _MAP_LOADS:
            target = self.lifetimes.maps.get(i.imm)
            if target is None:
                raise ProgramFault(f"map {i.imm} is closed")
            if i.src == op.LoadKind.MAP_FD:
                return target.handle
            return target.values_address + (i.imm_high & 0xFFFF_FFFF)
        if i.src == op.LoadKind.FUNCTION:
            start = slot + 1 + i.imm
            return layout.FUNCTION_HANDLE + (start << layout.FUNCTION_HANDLE_SHIFT)
        return i.imm64

    def packet_bounds(self, cpu: Cpu) -> tuple[int, int]:
        """Where the packet of a CPU's run starts and ends; (0, 0) when there is none."""
        load = self.memory.load32
        if load(cpu.state + layout.STATE_DATA) == layout.NO_PACKET:
            return 0, 0
        start = load(cpu.context + load(cpu.state + layout.STATE_DATA))
        end = load(cpu.context + load(cpu.state + layout.STATE_DATA_END))
        end += load(cpu.state + layout.STATE_PAGED)
        size = max(end - start, 0)
        start = self.reachable(start, size)
        return start, start + size

    def reachable(self, address: int, size: int) -> int:
        """A program's address for `size` bytes, masked; ProgramFault if it leaves the region."""
        masked = address & self.memory.mask
        if size < 0 or masked + size > self.memory.size:
            raise ProgramFault(f"memory at {address:#x} ({size} bytes) is outside the region")
        return masked

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedError("the vm is closed")


def _unknown(number: int) -> str:
    """The name of a helper that has none: what relocations without an answer leave can be
    called where nobody comes by."""
    return "poison" if is_unresolved(number) else f"bpf_#{number}"
