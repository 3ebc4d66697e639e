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
    BTFBuilder,
    Kind,
    Struct,
    Union,
    declaration,
    definition,
    dump_c,
    format_type,
    kernel_btf,
)
from osmia.elf import ElfFile

pytestmark = pytest.mark.slow

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


def unusual() -> BTF:
    """Layouts that C has to be talked into."""
    b = BTFBuilder()
    char, short = b.add_int("char", 1), b.add_int("short int", 2, 1)
    number, wide = b.add_int("int", 4, 1), b.add_int("long unsigned int", 8)
    huge, truth = b.add_int("__int128", 16, 1), b.add_int("_Bool", 1, 4)
    b.add_struct("packed", 7, [("a", char, 0), ("b", number, 8), ("c", short, 40)])
    b.add_struct("odd_size", 9, [("a", wide, 0), ("b", char, 64)])
    b.add_struct("gap", 64, [("a", char, 0), ("b", number, 8 * 32)])
    b.add_struct("long_gap", 4096, [("a", char, 0), ("b", wide, 8 * 4000)])
    b.add_struct("bit_gap", 4096, [("a", number, 0, 3), ("b", number, 8 * 4092 + 1, 2)])
    b.add_struct("tail", 192, [("a", number, 0)])
    b.add_struct("empty", 0)
    b.add_struct("only_gap", 24)
    b.add_struct("wide_integer", 32, [("a", char, 0), ("b", huge, 128)])
    b.add_struct("bits", 8, [("a", number, 0, 3), ("b", number, 3, 10), ("c", wide, 13, 40)])
    b.add_struct("bits_gap", 12, [("a", number, 5, 3), ("b", number, 32, 32), ("c", truth, 64, 1)])
    b.add_struct("bits_then", 8, [("a", number, 0, 9), ("b", char, 16), ("c", short, 32)])
    b.add_struct("bits_astride", 5, [("a", number, 0, 20), ("b", number, 20, 20)])
    b.add_struct("bits_late", 16, [("a", char, 0), ("b", wide, 60, 4), ("c", number, 96, 1)])
    b.add_union("wide_union", 32, [("a", number, 0), ("b", char, 0)])
    b.add_union("packed_union", 3, [("a", short, 0), ("b", b.add_array(char, number, 3), 0)])
    b.add_union("bits_union", 4, [("a", number, 0, 7), ("b", short, 0)])
    inner = b.add_struct("", 8, [("x", number, 0), ("y", char, 32)])
    b.add_struct("nested", 24, [("", inner, 0), ("named", inner, 64), ("z", wide, 128)])
    flexible = b.add_array(number, number, 0)
    b.add_struct("flexible", 8, [("n", wide, 0), ("items", flexible, 64)])
    b.add_struct("embeds", 16, [("", b.add_typedef("inner_t", inner), 0), ("w", wide, 64)])
    b.add_enum("one_byte", [("ONE", 1)], size=1)
    b.add_enum("two_bytes", [("TWO", -2)], size=2, signed=True)
    b.add_enum("plain", [("LOW", -5), ("TOP", (1 << 31) - 1)], signed=True)
    b.add_enum("unsigned_", [("ALL", 0xFFFF_FFFF)])
    b.add_enum("eight_bytes", [("SMALL", 1)], size=8)
    b.add_enum64("wide_enum", [("HIGH", 1 << 63), ("LOWER", 0)])
    b.add_enum64("least", [("LEAST", -(1 << 63))], signed=True)
    b.add_enum("nothing", [])
    b.add_struct("has_enum", 4, [("e", b.add_enum("", [("INNER", 3)]), 0)])
    b.add_enum("", [("LONELY", 9)])
    b.add_struct(
        "floating",
        24,
        [("d", b.add_float("double", 8), 0), ("l", b.add_float("long double", 16), 64)],
    )
    handler = b.add_func_proto(b.add_ptr(b.add_const(char)), [("n", number), ("", 0)])
    table = b.add_array(b.add_ptr(handler), number, 4)
    row = b.add_ptr(b.add_array(number, number, 5))
    getter = b.add_ptr(b.add_func_proto(b.add_ptr(handler), [("", row)]))
    b.add_struct("pointers", 48, [("table", table, 0), ("row", row, 256), ("get", getter, 320)])
    b.add_typedef("matrix", b.add_array(b.add_array(number, number, 3), number, 2))
    b.add_typedef("fixed", b.add_ptr(b.add_const(b.add_ptr(b.add_volatile(char)))))
    b.add_typedef("ssizetype", b.add_int("ssizetype", 8, 1))
    return b.build()


def test_unusual_layouts_are_kept(tmp_path: Path) -> None:
    btf = unusual()
    source = tmp_path / "check.c"
    source.write_text("".join(dump_c(btf)) + "".join(assertions(btf)))
    compile_for_bpf(source)


def test_members_that_overlap_keep_at_least_size_and_alignment(tmp_path: Path) -> None:
    builder = BTFBuilder()
    number = builder.add_int("int", 4, 1)
    overlap = builder.add_struct("overlap", 8, [("a", number, 0), ("b", number, 16)])
    builder.add_struct("beyond", 2, [("a", number, 0)])
    builder.add_struct("shifted", 4, [("a", number, 4)])
    builder.add_union("moved", 8, [("a", number, 32)])
    builder.add_struct("holds", 16, [("a", number, 0), ("b", overlap, 64)])
    btf = builder.build()
    checks = [check for check in assertions(btf) if "holds" in check or "offsetof" not in check]
    assert len(checks) == 12
    source = tmp_path / "check.c"
    source.write_text("".join(dump_c(btf)) + "".join(checks))
    compile_for_bpf(source)


def test_bitfields_are_kept(tmp_path: Path) -> None:
    """Offsets of bitfields cannot be asserted in C, but the compiler writes BTF again."""
    btf = unusual()
    names = ["bits", "bits_gap", "bits_then", "bits_astride", "bits_late", "bits_union", "bit_gap"]
    assert all(layout(btf, name) for name in names)
    source = tmp_path / "check.c"
    uses = "".join(f"{_KEYWORDS[btf.kind_of(btf.find(name))]} {name} a_{name};\n" for name in names)
    source.write_text("".join(dump_c(btf)) + uses)
    compile_for_bpf(source)
    section = ElfFile.parse(source.with_suffix(".o").read_bytes()).section(".BTF")
    assert section is not None
    compiled = BTF(section.data)
    for name in names:
        assert layout(compiled, name) == layout(btf, name)


def layout(btf: BTF, name: str) -> list[tuple[str, int, int]]:
    found = btf.type(btf.find(name, *COMPOSITES))
    assert isinstance(found, Struct | Union)
    members = [member for member in found.members if not member.name.startswith("__padding")]
    return [(member.name, member.bit_offset, member.bitfield_size) for member in members]


def test_types_of_one_name_get_a_flavour_each() -> None:
    builder = BTFBuilder()
    number = builder.add_int("int", 4)
    builder.add_fwd("point")
    builder.add_struct("point", 4, [("x", number, 0)])
    builder.add_struct("point", 8, [("x", number, 0), ("y", number, 32)])
    builder.add_typedef("point", number)
    builder.add_enum("", [("point", 1)])
    text = "".join(dump_c(builder.build(), header=False))
    assert "struct point;\n" in text
    assert "struct point {\n\tint x;\n};" in text
    assert "struct point___2 {\n\tint x;\n\tint y;\n};" in text
    assert "typedef int point;" in text
    assert "point___2 = 1" in text


def test_declarators_read_inside_out() -> None:
    btf = unusual()
    assert definition(btf, btf.find("pointers")) == (
        "struct pointers {\n"
        "\tconst char *(*table[4])(int n, ...);\n"
        "\tint (*row)[5];\n"
        "\tconst char *(*(*get)(int (*)[5]))(int n, ...);\n"
        "};"
    )
    assert definition(btf, btf.find("matrix")) == "typedef int matrix[2][3];"
    assert definition(btf, btf.find("fixed")) == "typedef volatile char *const *fixed;"
    assert declaration(btf, btf.find("int"), "x") == "int x"
    assert format_type(btf, btf.find("ssizetype", Kind.INT)) == "signed long long"
