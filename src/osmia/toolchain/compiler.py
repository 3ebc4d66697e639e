"""Find a C compiler with the BPF target: a clang on this machine or the one in the ziglang wheel.

`zig clang` is a whole clang driver, so both kinds take the same arguments; only the
places of their headers differ.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from functools import lru_cache
from pathlib import Path

from osmia import cache
from osmia.errors import CompileError
from osmia.records import dataclass

# Older ones lack type tags, atomics or the 32-bit subregisters that verifiers expect.
_OLDEST = 14
_NEWEST_GUESS = 29

# Names of this machine in the kernel's build (arch/<name>) and in compilers' triples.
_ARCHITECTURES = {
    "x86_64": "x86",
    "aarch64": "arm64",
    "s390x": "s390",
    "ppc64le": "powerpc",
    "riscv64": "riscv",
    "loongarch64": "loongarch",
    "armv7l": "arm",
}
# What zig calls the directories of an architecture's headers, where it has another name.
_ZIG_NAMES = {"arm64": "aarch64", "s390": "s390x"}

_PROBE = b"struct s { int a; } v; int f(struct s *p) { return p->a + v.a; }\n"

_NOT_FOUND = (
    "no C compiler with the BPF target: install the one from PyPI with "
    "`pip install 'osmia[compile]'`, or clang 14 or newer, or name one in OSMIA_CLANG"
)


@dataclass(frozen=True, slots=True)
class Compiler:
    """A command that behaves as clang does and can compile for BPF.

    `kind` is "clang" or "zig"; `identity` changes whenever the compiler's file does.
    """

    kind: str
    command: tuple[str, ...]
    version: str
    identity: str

    @property
    def major(self) -> int:
        """The clang version's first number."""
        return int(self.version.split(".")[0])

    def system_includes(self, architecture: str) -> list[str]:
        """The arguments that make the Linux UAPI headers of `architecture` visible."""
        if self.kind == "zig":
            return _bundled_includes(Path(self.command[0]).parent, architecture)
        return _system_includes(architecture)


def find_compiler(which: str | None = None) -> Compiler:
    """The compiler to use.

    `which` is "zig", "clang" or a path; without it the environment variable OSMIA_CLANG
    decides, then a clang on PATH (the newest), then the ziglang wheel.

    Raises `CompileError` when there is none, or the one asked for cannot compile for BPF.
    """
    return _find(which or os.environ.get("OSMIA_CLANG") or "", os.environ.get("PATH", ""))


def host_architecture() -> str:
    """This machine's name in the kernel's build: "x86", "arm64", …"""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


@lru_cache(maxsize=16)
def _find(which: str, path: str) -> Compiler:
    if which == "zig":
        return _bundled() or _refuse("the ziglang wheel is not installed")
    if which == "clang":
        return _on_path(path) or _refuse("no clang with the BPF target on PATH")
    if which:
        return _named(which, path)
    return _on_path(path) or _bundled() or _refuse(_NOT_FOUND)


def _refuse(message: str) -> Compiler:
    raise CompileError(message)


def _named(which: str, path: str) -> Compiler:
    """The compiler at a path, or of a name on PATH."""
    found = shutil.which(which, path=path)
    if not found:
        raise CompileError(f"there is no compiler {which!r}")
    if Path(found).name == "zig":
        return _probe("zig", (found, "clang"))
    return _probe("clang", (found,))


def _on_path(path: str) -> Compiler | None:
    """The newest usable clang among `clang` and `clang-<version>`."""
    names = [f"clang-{version}" for version in range(_NEWEST_GUESS, _OLDEST - 1, -1)]
    candidates = []
    for name in ("clang", *names):
        found = shutil.which(name, path=path)
        if not found:
            continue
        try:
            candidates.append(_probe("clang", (found,)))
        except CompileError:
            continue
        if name != "clang":
            break
    usable = [one for one in candidates if one.major >= _OLDEST]
    return max(usable, key=lambda one: one.major, default=None)


def _bundled() -> Compiler | None:
    """The clang inside the ziglang wheel."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        return None
    zig = Path(spec.submodule_search_locations[0]) / "zig"
    return _probe("zig", (str(zig), "clang")) if zig.exists() else None


def _probe(kind: str, command: tuple[str, ...]) -> Compiler:
    """Ask the compiler for its version by compiling a few lines for BPF; remembered on disk."""
    identity = _identity(command)
    remembered = cache.read("compilers", identity)
    if remembered is not None:
        return Compiler(kind, command, json.loads(remembered)["version"], identity)
    version = _try(command)
    content = json.dumps({"version": version, "command": command})
    cache.write_if_possible("compilers", identity, content.encode())
    return Compiler(kind, command, version, identity)


def _identity(command: tuple[str, ...]) -> str:
    """A name for this very compiler file; replaced or updated, it gets another."""
    try:
        binary = Path(command[0]).resolve(strict=True)
        status = binary.stat()
    except OSError as error:
        raise CompileError(f"cannot use the compiler {command[0]}: {error.strerror}") from None
    parts = (*command, str(binary), status.st_size, status.st_mtime_ns, status.st_ino)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _try(command: tuple[str, ...]) -> str:
    arguments = ["-v", "-target", "bpf", "-O2", "-g", "-nostdinc", "-x", "c", "-c", "-", "-o", "-"]
    try:
        run = subprocess.run([*command, *arguments], input=_PROBE, capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError(f"cannot run the compiler {command[0]}: {error}") from None
    output = run.stderr.decode(errors="replace")
    if run.returncode or not run.stdout.startswith(b"\x7fELF"):
        raise CompileError(f"{command[0]} cannot compile for BPF", output=output)
    found = re.search(r"clang version (\d+(?:\.\d+)*)", output)
    if not found:
        raise CompileError(f"{command[0]} is no clang", output=output)
    return found[1]


def _bundled_includes(root: Path, architecture: str) -> list[str]:
    """The zig distribution's headers: clang's own, Linux UAPI, glibc."""
    name = _ZIG_NAMES.get(architecture, architecture)
    libc = root / "lib/libc/include"
    return [
        "-nostdinc",
        *("-isystem", str(root / "lib/include")),
        *("-isystem", str(libc / f"{name}-linux-any")),
        *("-isystem", str(libc / "any-linux-any")),
        *("-idirafter", str(libc / f"{name}-linux-gnu")),
        *("-idirafter", str(libc / "generic-glibc")),
    ]


def _system_includes(architecture: str) -> list[str]:
    """The system's headers, with Debian's directory for <asm/…>; without any, the wheel's."""
    machine = next((k for k, v in _ARCHITECTURES.items() if v == architecture), architecture)
    triple = f"{machine}-linux-gnu"
    if architecture == host_architecture():
        triple = sysconfig.get_config_var("MULTIARCH") or triple
    places = [Path("/usr/include", triple), Path("/usr/include")]
    if any((place / "linux/bpf.h").exists() for place in places):
        return [word for place in places for word in ("-idirafter", str(place))]
    wheel = _bundled()
    if wheel is None:
        return []
    bundled = _bundled_includes(Path(wheel.command[0]).parent, architecture)
    # Without -nostdinc and zig's copies of what this clang has itself.
    return bundled[3:]
