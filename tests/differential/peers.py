"""Those who load the same objects: bpftools as commands, libbpf as a library in this process."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

from osmia.kernel.sys import syscall

from .seen import Seen, see_map, see_program

NEWER_BPFTOOL = Path(__file__).parents[2] / "build/newer-bpftool"

T = TypeVar("T")


class PeerError(Exception):
    """The peer did not load an object; says what it printed."""


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
        types = ["kernel_btf", str(btf)] if btf else []
        done = subprocess.run(
            [self.command, "prog", "loadall", path, programs, "pinmaps", maps, *types],
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


def libbpf_path() -> str:
    files = importlib.metadata.files("pylibbpf") or []
    (path,) = [file.locate() for file in files if file.match("pylibbpf/*.so")]
    return str(path)


@cache
def _libbpf_library() -> ctypes.CDLL:
    library = ctypes.CDLL(libbpf_path())
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
