"""Programs that the verifier refuses, each for a reason of its own, and their fixes.

`programs/KIND.c` or `programs/KIND.WORD.c` is refused as it is, and loads with FIXED defined. Its
first lines may say more:

    // flags: …          for the compiler
    // without: CAP      the process lacks that capability (PERFMON: and what implies it)
    // program: FLAG     the program is loaded with that flag
    // refused: FLAG     and so is it, the fix is not
    // left out: MAP     that map is not made for it
    // since: 6.2        the first kernel that has the functions it calls
    // on 6.1: KIND      what it is refused for there
    // slow              it takes the verifier seconds
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import osmia
from osmia.errors import VerifierError
from osmia.records import dataclass, replace
from osmia.refusals import kinds
from osmia.toolchain.compilation import INCLUDES

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
LOGS = HERE / "logs"
COMPILED = HERE.parents[1] / "build/refusals"

_CAPABILITIES = {"CAP_PERFMON": (38, 21)}  # the second is CAP_SYS_ADMIN
_FLAGS = {"BPF_F_STRICT_ALIGNMENT": 1, "BPF_F_SLEEPABLE": 16}
_HEADER = 0x2008_0522  # _LINUX_CAPABILITY_VERSION_3
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Case:
    """A program, by the name of its file."""

    name: str

    @property
    def kind(self) -> str:
        return self.name.partition(".")[0]

    @property
    def text(self) -> str:
        return (PROGRAMS / f"{self.name}.c").read_text(encoding="utf-8")

    def said(self, key: str) -> str:
        """What the first lines say behind a word, "" when they have none of it."""
        found = re.search(rf"^// {re.escape(key)}(?:: (.*))?$", self.text, re.MULTILINE)
        return (found[1] or key) if found else ""

    @property
    def since(self) -> tuple[int, ...]:
        """The first kernel that has what the program uses, and refuses it so."""
        kind = next(each for each in kinds() if each.name == self.kind)
        return max(_version(kind.since), _version(self.said("since")))

    def compile(self, *, fixed: bool = False) -> osmia.Object:
        """The object; one that was compiled before is kept in build/, for slow machines too."""
        content = hashlib.sha256(self.text.encode() + _headers())
        kept = (
            COMPILED / f"{self.name}-{'fixed' if fixed else 'refused'}-{content.hexdigest()[:16]}.o"
        )
        if not kept.exists():
            obj = osmia.compile(
                PROGRAMS / f"{self.name}.c",
                includes=[PROGRAMS],
                defines=["FIXED"] if fixed else [],
                flags=["-include", "prologue.h", "-Wno-everything", *self.said("flags").split()],
                vmlinux=False,
            )
            COMPILED.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(f".{os.getpid()}")
            obj.save(part)
            part.rename(kept)
        obj = osmia.open(kept)
        if not fixed and (left_out := self.said("left out")):
            obj.set_autocreate(left_out, False)
        if flag := self.said("program") or (not fixed and self.said("refused")):
            programs = {
                name: replace(program, flags=program.flags | _FLAGS[flag])
                for name, program in obj.programs.items()
            }
            obj = obj.copy(programs=programs)
        return obj

    def load(self, *, fixed: bool = False) -> None:
        """Load it and unload it again; raises what `Object.load` raises."""
        obj = self.compile(fixed=fixed)
        with without(self.said("without")), obj.load():
            pass

    def refusal(self) -> VerifierError:
        """The error that loading it raises."""
        try:
            self.load()
        except VerifierError as error:
            return error
        raise AssertionError(f"{self.name} loads")


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("."))) if text else ()


@contextmanager
def without(capability: str) -> Iterator[None]:
    """This thread lacks a capability, and what implies it, inside the block."""
    if not capability:
        yield
        return
    header = ctypes.create_string_buffer(struct.pack("=Ii", _HEADER, 0))
    held = ctypes.create_string_buffer(24)
    assert _libc.capget(header, held) == 0, os.strerror(ctypes.get_errno())
    words = list(struct.unpack("=6I", held.raw[:24]))
    for bit in _CAPABILITIES[capability]:
        words[3 * (bit // 32)] &= ~(1 << bit % 32)  # of the effective ones only
    assert _libc.capset(header, struct.pack("=6I", *words)) == 0
    try:
        yield
    finally:
        assert _libc.capset(header, held) == 0


@cache
def _headers() -> bytes:
    headers = [PROGRAMS / "prologue.h", *sorted(INCLUDES.rglob("*.h"))]
    return b"".join(path.read_bytes() for path in headers)


@cache
def cases() -> tuple[Case, ...]:
    return tuple(Case(path.stem) for path in sorted(PROGRAMS.glob("*.c")))


def release() -> tuple[int, int]:
    """The running kernel's version."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(re.match(r"\d+", minor)[0])  # type: ignore[index]


def recorded(version: str) -> dict[str, str]:
    """The logs of a kernel's refusals, by the program's name (`record.py` wrote them)."""
    text = (LOGS / f"{version}.txt").read_text(encoding="utf-8")
    parts = re.split(r"^=== (\S+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
