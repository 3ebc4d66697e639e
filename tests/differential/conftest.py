"""What an object becomes in the kernel, loaded by osmia and by libbpf; and the corpus compiled.

There are three peers: Debian's bpftool (libbpf 1.1); the libbpf 1.6 inside the wheel
`pylibbpf`, of which only the C functions are used; and the bpftool of Debian testing
(libbpf 1.8), which tools/fetch-newer-bpftool puts into build/ where it can be had.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

import osmia
from osmia.btf import BTF
from osmia.kernel import info as program_info
from osmia.kernel import syscall
from osmia.kernel.btf_objects import btf_from_id
from osmia.kernel.maps.info import read_info
from osmia.object.model import DataKind
from osmia.object.uapi import MapType
from osmia.passes.target import Target
from osmia.toolchain import INCLUDES, find_compiler
from osmia.toolchain import compile as compile_source

CORPUS = Path(__file__).parent / "corpus"
NEWER_BPFTOOL = Path(__file__).parents[2] / "build/newer-bpftool"
#: Contents are compared of arrays up to so many entries and bytes a value.
MAX_ENTRIES, MAX_VALUE = 64, 1 << 16

T = TypeVar("T")


@dataclass(frozen=True)
class SeenMap:
    """A map as the kernel describes it; `contents` only where loading sets them."""

    name: str
    type: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    map_extra: int
    frozen: bool
    has_btf: bool
    key_type: int
    value_type: int
    kernel_value_type: int
    contents: tuple[object, ...] = field(repr=False)


@dataclass(frozen=True)
class SeenProgram:
    """A program as the kernel describes it; maps in no order."""

    name: str
    type: int
    tag: str
    instructions: int
    btf: bytes = field(repr=False)
    functions: bytes = field(repr=False)
    lines: bytes = field(repr=False)
    attach_btf_id: int
    gpl: bool
    maps: frozenset[str]


@dataclass(frozen=True)
class Seen:
    """All that one load made. `maps` is None where the peer does not show them."""

    programs: dict[str, SeenProgram]
    maps: list[SeenMap] | None


class PeerError(Exception):
    """The peer did not load an object; says what it printed."""


def see_map(fd: int) -> SeenMap:
    info = read_info(fd)
    return SeenMap(
        name=info.name,
        type=MapType(info.type).name,
        key_size=info.key_size,
        value_size=info.value_size,
        max_entries=info.max_entries,
        flags=int(info.flags),
        map_extra=info.map_extra,
        frozen=info.frozen,
        has_btf=bool(info.btf_id),
        key_type=info.btf_key_type_id,
        value_type=info.btf_value_type_id,
        kernel_value_type=info.btf_vmlinux_value_type_id,
        contents=_contents(fd, info),
    )


def _contents(fd: int, info: object) -> tuple[object, ...]:
    names: dict[int, Callable[[int], str]] = {
        MapType.ARRAY_OF_MAPS: _map_name,
        MapType.PROG_ARRAY: _program_name,
    }
    small = info.max_entries <= MAX_ENTRIES and info.value_size <= MAX_VALUE
    if not small or info.type not in (MapType.ARRAY, *names):
        return ()
    found: list[object] = []
    for key in range(info.max_entries):
        call = syscall.ElementCall(fd, 4, info.value_size)
        call.key.raw = key.to_bytes(4, "little")
        error = call(syscall.Command.MAP_LOOKUP_ELEM)
        value = None if error else bytes(call.value.raw)
        if value is not None and info.type in names:
            found.append(names[info.type](int.from_bytes(value, "little")))
        else:
            found.append(value and _without_addresses(value))
    return tuple(found)


def _without_addresses(value: bytes) -> bytes:
    """Heads of lists, as the kernel hands them out, point at its own copy of the value."""
    words = [value[start : start + 8] for start in range(0, len(value), 8)]
    return b"".join(bytes(8) if word[6:] == b"\xff\xff" else word for word in words)


def _map_name(identifier: int) -> str:
    fd = syscall.map_get_fd_by_id(identifier)
    try:
        return read_info(fd).name
    finally:
        os.close(fd)


def _program_name(identifier: int) -> str:
    fd = syscall.prog_get_fd_by_id(identifier)
    try:
        return program_info.program_info(fd).name
    finally:
        os.close(fd)


def see_program(fd: int) -> SeenProgram:
    info = program_info.program_info(fd)
    return SeenProgram(
        name=info.name,
        type=int(info.type),
        tag=info.tag,
        instructions=info.xlated_len // 8,
        btf=_btf(info.btf_id),
        functions=program_info.function_records(fd)[0],
        lines=program_info.line_records(fd)[0],
        attach_btf_id=info.attach_btf_id,
        gpl=info.gpl_compatible,
        maps=frozenset(map(_map_name, info.map_ids)),
    )


def _btf(identifier: int) -> bytes:
    """The types that the program was loaded with, as the kernel holds them."""
    return btf_from_id(identifier).to_bytes() if identifier else b""


def see_osmia(
    path: Path, bpffs: Path, *, btf: Path | None = None, without: Collection[str] = ()
) -> Seen:
    """What osmia's load makes; options as for `Libbpf.see`."""
    (bpffs / "osmia").mkdir()
    obj = osmia.open(path)
    for name in without:
        (obj.set_autoload if name in obj.programs else obj.set_autocreate)(name, False)
    target = Target(btf=BTF(btf.read_bytes())) if btf else None
    with obj.load(pin_root=bpffs / "osmia", target=target) as bpf:
        programs = {name: see_program(p.fileno()) for name, p in bpf.programs.items()}
        own = [s for s in bpf._sections.values() if s.section.kind is not DataKind.ARENA]
        sections = [section.fd.fileno() for section in own]
        fds = [held.fileno() for held in bpf.maps.values()] + sections
        return Seen(programs, sorted(map(see_map, fds), key=repr))


class Bpftool:
    """Debian's bpftool: programs and maps are read through pins."""

    name = "bpftool"

    def __init__(self) -> None:
        command = shutil.which("bpftool")
        assert command, "bpftool is not installed; see tools/debian-packages.txt"
        self.command = command

    def see(self, path: Path, bpffs: Path, *, btf: Path | None = None) -> Seen:
        """Load everything in the object; `btf` (since bpftool 7.6) as for `Libbpf.see`."""
        programs, maps = bpffs / f"{self.name}-programs", bpffs / f"{self.name}-maps"
        done = subprocess.run(
            [self.command, "prog", "loadall", path, programs, "pinmaps", maps]
            + (["kernel_btf", btf] if btf else []),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise PeerError(done.stderr)
        return Seen(
            {pin.name: _with_pin(pin, see_program) for pin in programs.iterdir()},
            sorted((_with_pin(pin, see_map) for pin in maps.iterdir()), key=repr)
            if maps.is_dir()
            else [],
        )


class NewerBpftool(Bpftool):
    """The bpftool that tools/fetch-newer-bpftool fetched."""

    name = "newer bpftool"

    def __init__(self) -> None:
        self.command = str(NEWER_BPFTOOL / "bpftool")


def why_no_newer_bpftool() -> str:
    """Why there is no newer bpftool, "" where there is one."""
    if (NEWER_BPFTOOL / "bpftool").exists():
        return ""
    reason = NEWER_BPFTOOL / "why-not"
    return reason.read_text().strip() if reason.exists() else "`make packages` fetches it"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A peer that is missing is said, whatever the verbosity."""
    if why_no_newer_bpftool():
        terminalreporter.section("no comparison with libbpf 1.8", yellow=True)
        terminalreporter.line(why_no_newer_bpftool())


def _with_pin(pin: Path, see: Callable[[int], T]) -> T:
    fd = syscall.obj_get(str(pin))
    try:
        return see(fd)
    finally:
        os.close(fd)


class OpenOptions(ctypes.Structure):
    """struct bpf_object_open_opts of libbpf 1.6."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("object_name", ctypes.c_char_p),
        ("relaxed_maps", ctypes.c_bool),
        ("pin_root_path", ctypes.c_char_p),
        ("_unused", ctypes.c_uint32),
        ("kconfig", ctypes.c_char_p),
        ("btf_custom_path", ctypes.c_char_p),
        ("kernel_log_buf", ctypes.c_void_p),
        ("kernel_log_size", ctypes.c_size_t),
        ("kernel_log_level", ctypes.c_uint32),
        ("bpf_token_path", ctypes.c_char_p),
    )


PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class Libbpf:
    """The libbpf of a wheel, in this process."""

    name = "libbpf"

    def __init__(self) -> None:
        self.library = _libbpf_library()
        self.printed: list[str] = []
        self._print = PRINT(self._keep)
        self.library.libbpf_set_print(self._print)

    def _keep(self, level: int, text: bytes, arguments: int) -> int:
        if level < 2:
            line = ctypes.create_string_buffer(4096)
            ctypes.CDLL(None).vsnprintf(line, 4096, text, ctypes.c_void_p(arguments))
            self.printed.append(line.value.decode("utf-8", "replace"))
        return 0

    def see(
        self, path: Path, bpffs: Path, *, btf: Path | None = None, without: Collection[str] = ()
    ) -> Seen:
        """Load an object; `btf` is a file of another kernel's types.

        Programs and maps named in `without` are left out.
        """
        root = bpffs / "libbpf"
        root.mkdir()
        options = OpenOptions(pin_root_path=os.fsencode(root))
        options.btf_custom_path = os.fsencode(btf) if btf else None
        options.size = ctypes.sizeof(options)
        self.printed.clear()
        obj = self.library.bpf_object__open_file(os.fsencode(path), ctypes.byref(options))
        if not obj:
            raise PeerError("".join(self.printed))
        try:
            for kind, switch in (("program", "autoload"), ("map", "autocreate")):
                for each in self._each(kind, obj):
                    if self._name(kind, each) in without:
                        getattr(self.library, f"bpf_{kind}__set_{switch}")(each, False)
            if self.library.bpf_object__load(obj):
                raise PeerError("".join(self.printed))
            programs = {
                self._name("program", each): see_program(fd)
                for each, fd in self._each_loaded("program", obj)
            }
            maps = (see_map(fd) for _, fd in self._each_loaded("map", obj))
            return Seen(programs, sorted(maps, key=repr))
        finally:
            self.library.bpf_object__close(obj)

    def _name(self, kind: str, each: int) -> str:
        name: bytes = getattr(self.library, f"bpf_{kind}__name")(each)
        return name.decode()

    def _each(self, kind: str, obj: int) -> Iterator[int]:
        following = getattr(self.library, f"bpf_object__next_{kind}")
        each = following(obj, None)
        while each:
            yield each
            each = following(obj, each)

    def _each_loaded(self, kind: str, obj: int) -> Iterator[tuple[int, int]]:
        """Each program or map that was loaded, and its descriptor."""
        for each in self._each(kind, obj):
            fd = getattr(self.library, f"bpf_{kind}__fd")(each)
            if fd >= 0 and "anon_inode" in _what_is(fd):  # else a placeholder
                yield each, fd


def _what_is(fd: int) -> str:
    return str(Path(f"/proc/self/fd/{fd}").readlink())


def _libbpf_path() -> str:
    files = importlib.metadata.files("pylibbpf") or []
    (path,) = [file.locate() for file in files if file.match("pylibbpf/*.so")]
    return str(path)


@cache
def _libbpf_library() -> ctypes.CDLL:
    library = ctypes.CDLL(_libbpf_path())
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    signatures = {
        "libbpf_set_print": (pointer, [PRINT]),
        "bpf_object__open_file": (pointer, [text, pointer]),
        "bpf_object__load": (ctypes.c_int, [pointer]),
        "bpf_object__close": (None, [pointer]),
        "bpf_object__next_program": (pointer, [pointer, pointer]),
        "bpf_object__next_map": (pointer, [pointer, pointer]),
        "bpf_program__name": (text, [pointer]),
        "bpf_program__fd": (ctypes.c_int, [pointer]),
        "bpf_map__name": (text, [pointer]),
        "bpf_map__fd": (ctypes.c_int, [pointer]),
        "bpf_program__set_autoload": (ctypes.c_int, [pointer, ctypes.c_bool]),
        "bpf_map__set_autocreate": (ctypes.c_int, [pointer, ctypes.c_bool]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Peers:
    """The peers by name; a test that asks for one that is not here is skipped, and says why."""

    def __init__(self) -> None:
        self._here = {peer.name: peer() for peer in (Bpftool, Libbpf, NewerBpftool)}

    def __getitem__(self, name: str) -> Bpftool | Libbpf:
        if name == NewerBpftool.name and why_no_newer_bpftool():
            pytest.skip(f"no libbpf 1.8: {why_no_newer_bpftool()}")
        return self._here[name]


@pytest.fixture(scope="session")
def peers() -> Peers:
    return Peers()


@pytest.fixture(scope="session")
def libraries() -> dict[str, str]:
    """Libraries that can be loaded into this process, by libbpf's version."""
    return {"1.1": "libbpf.so.1", "1.6": _libbpf_path()}


@pytest.fixture(scope="session")
def by_osmia() -> Callable[..., Seen]:
    """`by_osmia(path, bpffs, **options)`: what osmia's load makes."""
    return see_osmia


@pytest.fixture(scope="session")
def corpus_object(pytestconfig: pytest.Config) -> Callable[[str], Path]:
    """`corpus_object("name")`: the compiled object of corpus/name.bpf.c.

    Objects stay in pytest's cache directory, apart by kernel release: those that include
    vmlinux.h are different on every kernel. Under the second kernel, which sees this
    machine's files, the first one's objects are taken: that is what CO-RE is for.
    """
    store = pytestconfig.cache.mkdir("differential")
    second = "vm" in pytestconfig.getoption("markexpr")

    def find(name: str) -> Path:
        source = CORPUS / f"{name}.bpf.c"
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
        if second:
            made = store.glob(f"*/{digest}-*/{name}.bpf.o")
            latest = max(made, key=lambda path: path.stat().st_mtime, default=None)
            assert latest, "compiled under the first kernel: run tests/differential there before"
            return latest
        place = f"{digest}-{_tools_digest()}"
        path = store / platform.release() / place / f"{name}.bpf.o"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = _flags(source)
            path.write_bytes(compile_source(source, flags=flags, cpu=_cpu(source)).data)
        return path

    return find


@pytest.fixture
def compile_text(tmp_path: Path) -> Callable[[str], Path]:
    """`compile_text(source)`: an object of C text, behind the headers that all need."""
    headers = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
    license_text = 'char LICENSE[] SEC("license") = "GPL";\n'

    def compiled(source: str) -> Path:
        path = tmp_path / "text.bpf.o"
        path.write_bytes(compile_source(headers + license_text + source).data)
        return path

    return compiled


@cache
def _tools_digest() -> str:
    headers = sorted(INCLUDES.rglob("*.h"))
    contents = b"".join(path.read_bytes() for path in headers)
    return hashlib.sha256(contents + find_compiler().identity.encode()).hexdigest()[:16]


def _flags(source: Path) -> list[str]:
    """Arguments for the compiler: what follows "// flags:" in the source."""
    return _said(source, "flags").split()


def _cpu(source: Path) -> str:
    return _said(source, "cpu") or "v3"


def _said(source: Path, what: str) -> str:
    for line in source.read_text().splitlines():
        if line.startswith(f"// {what}:"):
            return line.partition(":")[2].strip()
    return ""
