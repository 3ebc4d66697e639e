"""C from BTF: the compiler must agree with the BTF about every size and offset."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from osmia.btf import (
    BTF,
    COMPOSITES,
    ENUMS,
    Kind,
    Struct,
    Union,
    definition,
    dump_c,
    format_type,
    kernel_btf,
)

needs_kernel_btf = pytest.mark.skipif(
    not Path("/sys/kernel/btf/vmlinux").exists(), reason="this kernel shows no BTF"
)

_KEYWORDS = {Kind.STRUCT: "struct", Kind.UNION: "union"}


def compile_for_bpf(source: Path) -> None:
    """Compile to nothing; fails the test with what the compiler says."""
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "bpfel-freestanding", "-O2", "-g"]
    command += ["-fno-sanitize=all", "-fno-stack-protector", "-ferror-limit=20", "-c"]
    command += ["-Werror", str(source), "-o", str(source.with_suffix(".o"))]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def offsets(btf: BTF, composite: Struct | Union, base: int = 0) -> Iterator[tuple[str, int]]:
    """The members that C can take the offset of, with those of anonymous members."""
    for member in composite.members:
        offset = base + member.bit_offset // 8
        inner = btf.type(btf.resolve(member.type_id))
        if member.name and not member.bitfield_size:
            yield member.name, offset
        elif not member.name and isinstance(inner, Struct | Union):
            yield from offsets(btf, inner, offset)


def assertions(btf: BTF) -> Iterator[str]:
    """What the compiler shall confirm of every type whose name is its own."""
    kinds = (*COMPOSITES, *ENUMS)
    named = [i for i in btf if btf.kind_of(i) in kinds and btf.name_of(i)]
    uses = Counter(btf.name_of(type_id) for type_id in named)
    for type_id in named:
        found = btf.type(type_id)
        if uses[found.name] > 1:
            continue
        tag = f"{_KEYWORDS.get(found.kind, 'enum')} {found.name}"
        yield f'_Static_assert(sizeof({tag}) == {btf.size_of(type_id)}, "{tag}");\n'
        yield f'_Static_assert(_Alignof({tag}) == {btf.alignment_of(type_id)}, "{tag}");\n'
        if isinstance(found, Struct | Union):
            for name, offset in offsets(btf, found):
                field = f"{tag}, {name}"
                yield f'_Static_assert(__builtin_offsetof({field}) == {offset}, "{field}");\n'


@needs_kernel_btf
def test_the_compiler_lays_out_the_kernels_types_as_its_btf_does(tmp_path: Path) -> None:
    (tmp_path / "vmlinux.h").write_text("".join(dump_c(kernel_btf())))
    checks = list(assertions(kernel_btf()))
    assert len(checks) > 50_000
    source = tmp_path / "check.c"
    source.write_text('#include "vmlinux.h"\n' + "".join(checks))
    compile_for_bpf(source)


@needs_kernel_btf
def test_a_few_types_come_with_what_they_need_and_no_more(tmp_path: Path) -> None:
    btf = kernel_btf()
    wanted = [btf.find("sk_buff", Kind.STRUCT), btf.find("tcp_v4_connect", Kind.FUNC)]
    text = "".join(dump_c(btf, wanted, header=False))
    assert "struct sk_buff {" in text
    assert "extern int tcp_v4_connect(struct sock *" in text
    assert "struct task_struct {" not in text
    source = tmp_path / "check.c"
    source.write_text(text + "int size = sizeof(struct sk_buff);\n")
    compile_for_bpf(source)


@needs_kernel_btf
def test_a_type_reads_as_in_the_kernels_source() -> None:
    btf = kernel_btf()
    assert definition(btf, btf.find("list_head", Kind.STRUCT)) == (
        "struct list_head {\n\tstruct list_head *next;\n\tstruct list_head *prev;\n};"
    )
    assert definition(btf, btf.find("atomic_t")) == "typedef struct {\n\tint counter;\n} atomic_t;"
    assert format_type(btf, btf.find("list_head")) == "struct list_head"
