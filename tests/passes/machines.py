"""A machine that never was, like one with Linux 6.1, and an object that asks about all of it."""

from __future__ import annotations

from pathlib import Path

from osmia.btf import BTF, BTFBuilder, IntEncoding
from osmia.isa import assemble
from osmia.object.model import (
    CoreKind,
    CoreRelocation,
    Extern,
    ExternKind,
    Function,
    Object,
    Program,
    Relocation,
    RelocationKind,
)
from osmia.object.uapi import ProgramType

RELEASE = "6.1.76-made-up"
CONFIG = 'CONFIG_HZ=250\nCONFIG_NET=y\n# CONFIG_SMP is not set\nCONFIG_CC="made up"\n'
SYMBOLS = (
    "ffffffff81000000 T _stext\n"
    "ffffffff81000080 T __x64_sys_bpf\n"
    "ffffffff81234560 T jiffies_64\n"
    "ffffffff81000100 t twice\n"
    "ffffffff81000200 t twice\n"
    "ffffffffc0001000 t in_module\t[extra]\n"
)


def kernel_types(pid_at: int = 2464) -> BTF:
    """The kernel's types: a task_struct with `pid` at so many bytes, functions, a variable."""
    b = BTFBuilder()
    number = b.add_int("int", 4, True)
    b.add_struct("task_struct", 9000, [("pid", number, 8 * pid_at)])
    pointer = b.add_ptr(0)
    prototype = b.add_func_proto(number, [("data", pointer)])
    for name in ("bpf_count", "__x64_sys_bpf"):
        b.add_func(name, prototype)
    b.add_var("a_variable", number, 1)
    return b.build("vmlinux")


def module_types(base: BTF, name: str = "extra") -> BTF:
    """The types of a module: another function, another variable."""
    b = BTFBuilder(base)
    number = base.find("int")
    b.add_func("bpf_extra", b.add_func_proto(number, [("flags", number)]))
    b.add_var("extra_variable", number, 1)
    return b.build(name)


def files_in(directory: Path) -> dict[str, Path]:
    """The machine's files, as `Target.from_files` takes them."""
    types = kernel_types()
    contents = {
        "btf": types.to_bytes(),
        "extra": module_types(types).to_bytes(),
        "config": CONFIG.encode(),
        "kallsyms": SYMBOLS.encode(),
    }
    for name, data in contents.items():
        (directory / name).write_bytes(data)
    return {name: directory / name for name in contents}


class Asking:
    """Builds an object of one program, whose code uses externs and fields."""

    def __init__(self) -> None:
        self.builder = b = BTFBuilder()
        self.number = b.add_int("int", 4, True)
        self.bool = b.add_int("_Bool", 1, IntEncoding.BOOL)
        self.pointer = b.add_ptr(0)
        self.task = b.add_struct("task_struct", 8, [("pid", self.number, 0)])
        self.lost = b.add_struct("task_struct", 16, [("pid", self.number, 0), ("warp", 1, 32)])
        self.code = b""
        self.externs: dict[str, Extern] = {}
        self.relocations: list[Relocation] = []
        self.core: list[CoreRelocation] = []

    def line(self, text: str) -> Asking:
        self.code += assemble(text)
        return self

    def address(self, name: str, kind: ExternKind, type_id: int, *, weak: bool = False) -> Asking:
        """Take the address of an extern variable."""
        return self._extern(name, kind, type_id, weak, RelocationKind.EXTERN, "r1 = 0 ll")

    def call(self, name: str, parameter: int, *, weak: bool = False) -> Asking:
        """Call an extern function with one parameter."""
        prototype = self.builder.add_func_proto(self.number, [("p", parameter)])
        kind = RelocationKind.EXTERN_CALL
        return self._extern(name, ExternKind.KFUNC, prototype, weak, kind, "call 0")

    def _extern(
        self,
        name: str,
        kind: ExternKind,
        type_id: int,
        weak: bool,
        relocation: RelocationKind,
        text: str,
    ) -> Asking:
        self.externs[name] = Extern(name, kind, type_id, weak)
        self.relocations.append(Relocation(len(self.code), relocation, name))
        return self.line(text)

    def field(self, text: str, struct: int, access: str = "0:0") -> Asking:
        """An instruction that depends on where a field is."""
        kind = CoreKind.FIELD_BYTE_OFFSET
        self.core.append(CoreRelocation(len(self.code), kind, struct, access))
        return self.line(text)

    def object(self) -> Object:
        """The object; the program `p` is of a type that every kernel and vm loads."""
        function = Function(
            "p",
            "raw_tp/x",
            self.code,
            tuple(self.relocations),
            core_relocations=tuple(self.core),
        )
        program = Program("p", "p", "raw_tp/x", ProgramType.RAW_TRACEPOINT)
        return Object(
            "asking",
            license="GPL",
            functions={"p": function},
            programs={"p": program},
            externs=self.externs,
            btf=self.builder.build(),
        )


def asking_everything() -> Object:
    """An object that asks about types, modules, symbols, configuration, version and features."""
    a = Asking()
    kconfig, ksym = ExternKind.KCONFIG, ExternKind.KSYM
    a.address("LINUX_KERNEL_VERSION", kconfig, a.number)
    a.address("CONFIG_HZ", kconfig, a.number)
    a.address("CONFIG_SMP", kconfig, a.bool, weak=True)
    a.address("LINUX_HAS_SYSCALL_WRAPPER", kconfig, a.bool)
    a.address("LINUX_HAS_BPF_COOKIE", kconfig, a.bool)
    a.address("jiffies_64", ksym, 0)
    a.address("no_such_symbol", ksym, 0, weak=True)
    a.address("a_variable", ksym, a.number)
    a.address("extra_variable", ksym, a.number)
    a.call("bpf_count", a.pointer)
    a.call("bpf_extra", a.number)
    a.call("bpf_gone", a.number, weak=True)
    a.field("r1 = *(u32 *)(r1 +0)", a.task)
    a.field("r1 = *(u32 *)(r1 +4)", a.lost, "0:1")
    a.line("r0 = 0\nexit")
    return a.object()
