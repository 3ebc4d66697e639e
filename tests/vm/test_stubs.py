"""Stubs of arm64: written as an assembler writes them, and executed by an emulator."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from osmia.elf import ElfFile
from osmia.vm.jit.stub_code import ARM64, FLUSH, SIZE, THROUGH, WORD, X86_64, StubCode

BASE = 0x1000_0000  # where the program that is executed lies
NEAR = 128 << 20  # bytes that a direct jump of arm64 reaches
FAR = BASE + 2 * NEAR


def assembled(directory: Path, *lines: str) -> ElfFile:
    """An object file of arm64 with these lines of assembly as its code."""
    source, made = directory / "code.S", directory / "code.o"
    source.write_text("\n".join((".text", *lines, "")))
    target = ("-target", "aarch64-linux-none")
    command = [sys.executable, "-m", "ziglang", "cc", *target, "-c", str(source), "-o", str(made)]
    subprocess.run(command, check=True)
    return ElfFile.parse(made.read_bytes())


def code_of(file: ElfFile) -> bytes:
    text = file.section(".text")
    assert text is not None
    return bytes(text.data)


def test_jumps_are_the_assemblers(tmp_path: Path) -> None:
    distances = (4, -4, 8, 4096, -4096, NEAR - 4, -NEAR)
    lines = [line for distance in distances for line in (f"b . + {distance}", "nop")]
    words = struct.unpack(f"<{len(distances)}Q", code_of(assembled(tmp_path, *lines)))
    assert [ARM64.jump(BASE, BASE + distance) for distance in distances] == list(words)


@pytest.mark.parametrize("code", [ARM64, X86_64], ids=["arm64", "x86-64"])
def test_what_is_too_far_is_reached_through_the_word(code: StubCode) -> None:
    through = code.jump(BASE, BASE + THROUGH)
    reach = code.unit << (code.bits - 1)
    first, last = BASE + code.origin - reach, BASE + code.origin + reach - code.unit
    assert through not in (code.jump(BASE, first), code.jump(BASE, last))
    for target in (first - code.unit, last + code.unit, BASE + (1 << 40)):
        assert code.jump(BASE, target) == through


def test_a_stub_traps_until_it_is_pointed_somewhere(tmp_path: Path) -> None:
    stub = code_of(assembled(tmp_path, *ARM64.assembly))
    assert len(stub) == SIZE
    assert stub[:8] == code_of(assembled(tmp_path, "brk #0", "nop"))
    assert stub[WORD:] == bytes(8)


PROGRAM = """
_start: adr x19, table
    adr x20, stub
    adr x21, seen
next: ldp x1, x2, [x19], #16
    cbz x1, done
    str x2, [x20, #16]
    str x1, [x20]
    {flush}
    bl stub
    strb w0, [x21], #1
    b next
done: adr x1, seen
    sub x2, x21, x1
    mov x0, #1
    mov x8, #64 // write
    svc #0
    mov x0, #0
    mov x8, #93 // exit
    svc #0
    .p2align 3
stub: {stub}
one: mov w0, #'1'
    ret
two: mov w0, #'2'
    ret
    .p2align 3
table: .quad {table}, 0, 0
seen: .skip 16
"""
"""It points the stub as a table of (jump, target) says, calls it, and prints what came back."""


@pytest.mark.skipif(not shutil.which("qemu-aarch64-static"), reason="qemu-user-static runs arm64")
def test_a_stub_goes_where_it_is_pointed_while_the_program_runs(tmp_path: Path) -> None:
    stub = "\n".join(ARM64.assembly)
    flush = FLUSH.replace("$0", "x20").replace("\\0A", "\n")

    def program(table: list[int]) -> ElfFile:
        text = PROGRAM.format(flush=flush, stub=stub, table=", ".join(map(str, table)))
        return assembled(tmp_path, text)

    order = ["one", "far", "two", "two", "far", "one"]
    places = {each.name: BASE + each.value for each in program([0] * 12).symbols}
    places["far"] = FAR
    targets = [places[name] for name in order]
    table = [number for to in targets for number in (ARM64.jump(places["stub"], to), to)]
    far = code_of(assembled(tmp_path, "mov w0, #'f'", "ret"))
    made = tmp_path / "program"
    made.write_bytes(executable({BASE: code_of(program(table)), FAR: far}))
    made.chmod(0o755)
    done = subprocess.run(["qemu-aarch64-static", made], check=True, capture_output=True)
    assert done.stdout == b"1f22f1"


def executable(parts: dict[int, bytes]) -> bytes:
    """A static program of arm64: its parts by address, entered at the first, all writable."""
    machine, size, header = 183, 64, 56
    offset = 4096
    headers, contents = b"", b""
    for address, code in parts.items():
        at = offset + len(contents)
        headers += struct.pack("<2I6Q", 1, 7, at, address, address, len(code), len(code), 4096)
        contents += code + bytes(-len(code) % 4096)
    identity = b"\x7fELF\2\1\1".ljust(16, b"\0")
    head = struct.pack("<2HI3QI6H", 2, machine, 1, next(iter(parts)), size, 0, 0, size, header,
                       len(parts), 0, 0, 0)  # fmt: skip
    return (identity + head + headers).ljust(offset, b"\0") + contents
