"""Images of arm64 code, on any machine: LLVM compiles for it, and qemu runs what comes out."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from osmia.isa import assemble
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.engine import Vm
from osmia.vm.jit import stubs
from osmia.vm.jit.image import Image, image_of

llvm = pytest.importorskip("llvmlite.binding")

_BASE = 0x40_0000
_QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")

#: Calls, constants, a table to jump through, an address in data, a function of the system.
SOURCE = """
@odd = private constant [4 x i64] [i64 3, i64 5, i64 7, i64 11]
@bytes = private constant [4 x i8] c"\\01\\02\\03\\04"
@where = private constant ptr @twice
declare i64 @of_the_system(i64)

define i64 @given(i64 %a) noinline { %b = add i64 %a, 20 ret i64 %b }
define i64 @twice(i64 %a) noinline { %b = mul i64 %a, 2 ret i64 %b }

define i64 @choose(i64 %a) noinline {
  switch i64 %a, label %none [
    i64 0, label %zero i64 1, label %one i64 2, label %two i64 3, label %three i64 4, label %four ]
zero:
  ret i64 50
one:
  %b = call i64 @twice(i64 4)
  ret i64 %b
two:
  %c = call i64 @of_the_system(i64 2)
  ret i64 %c
three:
  %d = load ptr, ptr @where
  %e = call i64 %d(i64 8)
  ret i64 %e
four:
  ret i64 9
none:
  ret i64 1
}

define i64 @run() noinline {
  br label %loop
loop:
  %i = phi i64 [ 0, %0 ], [ %next, %loop ]
  %sum = phi i64 [ 0, %0 ], [ %total, %loop ]
  %chosen = call i64 @choose(i64 %i)
  %at = and i64 %i, 3
  %place = getelementptr [4 x i64], ptr @odd, i64 0, i64 %at
  %value = load volatile i64, ptr %place
  %small = getelementptr [4 x i8], ptr @bytes, i64 0, i64 %at
  %byte = load volatile i8, ptr %small
  %wide = zext i8 %byte to i64
  %some = add i64 %chosen, %value
  %more = add i64 %some, %wide
  %total = add i64 %sum, %more
  %next = add i64 %i, 1
  %done = icmp eq i64 %next, 6
  br i1 %done, label %end, label %loop
end:
  ret i64 %total
}
"""
#: choose: 50 + 8 + 22 + 16 + 9 + 1; odd: 3 + 5 + 7 + 11 + 3 + 5; bytes: 1 + 2 + 3 + 4 + 1 + 2.
RESULT = 106 + 34 + 13


def compiled(text: str, level: int = 2) -> bytes:
    """The object file of IR, compiled for arm64."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    target = llvm.Target.from_triple("aarch64-linux-gnu").create_target_machine(
        opt=level, reloc="pic", codemodel="small", jit=True
    )
    module = llvm.parse_assembly(
        f'target datalayout = "{target.target_data}"\ntarget triple = "aarch64-linux-gnu"\n{text}'
    )
    code: bytes = target.emit_object(module)
    return code


def executable(image: Image) -> bytes:
    """A program of an image alone, at a fixed place; `given` stands for the system's function."""
    content = bytearray(image.content)
    for at, name in image.words:
        assert name == "of_the_system"
        struct.pack_into("<Q", content, at, _BASE + image.symbols["given"])
    for at in image.places:
        (offset,) = struct.unpack_from("<Q", content, at)
        struct.pack_into("<Q", content, at, _BASE + offset)
    start = len(content)
    calls = 0x9400_0000 | (image.symbols["run"] - start) >> 2 & 0x3FF_FFFF
    content += struct.pack("<3I", calls, 0xD280_0BA8, 0xD400_0001)  # bl run; mov x8, #93; svc #0
    head = struct.pack("<4sBBBBQ", b"\x7fELF", 2, 1, 1, 0, 0)
    head += struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, _BASE + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = len(content)
    head += struct.pack("<IIQQQQQQ", 1, 7, 0x1_0000, _BASE, _BASE, size, size, 0x1_0000)
    return head.ljust(0x1_0000, b"\0") + bytes(content)


@pytest.mark.skipif(_QEMU is None, reason="qemu-user runs arm64 code")
@pytest.mark.parametrize("level", [0, 2])
def test_an_image_runs(level: int, tmp_path: Path) -> None:
    image = image_of(compiled(SOURCE, level))
    assert image is not None and image.words and image.places
    program = tmp_path / "program"
    program.write_bytes(executable(image))
    program.chmod(0o700)
    assert subprocess.run([str(_QEMU), str(program)], check=False).returncode == RESULT


def test_there_is_an_image_of_all_that_a_vm_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for stubs: LLVM reads assembly for the machine it is on alone."""
    texts: list[str] = []
    monkeypatch.setattr(stubs, "supported", lambda: False)
    with Vm(memory=1 << 23, cpus=1) as vm:
        jumps = vm.create_map(MapType.PROG_ARRAY, max_entries=2)
        hashed = vm.create_map(MapType.HASH, max_entries=8, value_size=8)
        code = assemble(
            f"""r6 = r1
            r2 = 0
            *(u32 *)(r10 -4) = r2
            r1 = map[fd:{hashed.id}]
            r2 = r10
            r2 += -4
            call bpf_map_lookup_elem
            r1 = r6
            r2 = map[fd:{jumps.id}]
            r3 = 1
            call bpf_tail_call
            r0 = 0
            exit"""
        )
        program = vm.load_program(code, type=ProgramType.XDP)
        jit = vm.need_jit()
        texts.append(jit._translate(program, None).text)
        native = jit._native_code()
        exported = [native.exported(name) for name in ("map_update", "map_lookup", "map_delete")]
        texts.append("".join([*sorted(native.declarations), *exported, *native.texts]))
    for text in texts:
        image = image_of(compiled(text))
        assert image is not None
        assert len(image.content) > image.executable or image.symbols
