"""Signatures: text like a C declaration, and which functions in BTF it means."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import osmia
from osmia.btf import BTF, BTFBuilder, Kind
from osmia.btf.signatures import Signature
from osmia.errors import OsmiaError, SignatureError

SOURCE = """
typedef unsigned int u32;
typedef unsigned long long u64;
typedef _Bool bool;
typedef u32 port_t;
struct packet { int length; };
struct other { int length; };
struct opaque;
union both { int number; char bytes[4]; };
enum verdict { DROP, PASS };
enum level { LOW };
typedef struct packet packet_t;
typedef struct { int x; } unnamed_t;
typedef int (*callback_t)(void *, u32);

#define TAKES(...) { return 0; }
int parse_first(struct packet *p, int n) TAKES()
int parse_second(const struct packet *const p, port_t n) TAKES()
int parse_other(struct other *p, int n) TAKES()
u64 count(void) TAKES()
void nothing(void) {}
void *pointer(struct opaque *o) TAKES()
enum verdict judge(union both *b, enum level l) TAKES()
int by_value(packet_t p) TAKES()
int hidden(unnamed_t *u, bool b) TAKES()
int runs(callback_t c, int (*d)(void *, u32)) TAKES()
int fills(char text[16], char (*rows)[4], char **words) TAKES()
int many(int a, long b, short c, char d, struct packet *e) TAKES()
"""

ALL = {
    "parse_first",
    "parse_second",
    "parse_other",
    "count",
    "nothing",
    "pointer",
    "judge",
    "by_value",
    "hidden",
    "runs",
    "fills",
    "many",
}


@pytest.fixture(scope="module")
def btf() -> BTF:
    types = osmia.compile(SOURCE).btf
    assert types is not None
    return types


def found(btf: BTF, text: str) -> set[str]:
    return {btf.name_of(each) for each in Signature(text).functions(btf)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("int (struct packet *, int)", {"parse_first", "parse_second"}),
        ("int (struct packet *p, u32 n);", {"parse_first", "parse_second"}),
        (
            "static inline const int (volatile struct packet *, int)",
            {"parse_first", "parse_second"},
        ),
        ("int (const packet_t *restrict, port_t)", {"parse_first", "parse_second"}),
        ("int parse_first(…)", {"parse_first"}),
        ("int parse*(…)", {"parse_first", "parse_second", "parse_other"}),
        ("int …_o…(...)", {"parse_other"}),
        ("int parse*o*(...)", {"parse_second", "parse_other"}),
        ("int (struct * *, *)", {"parse_first", "parse_second", "parse_other", "hidden"}),
        ("int (struct …t… *, *)", {"parse_first", "parse_second", "parse_other"}),
        ("* ()", {"count", "nothing"}),
        ("* (void)", {"count", "nothing"}),
        ("unsigned long long int (void)", {"count"}),
        ("long (void)", {"count"}),
        ("void (…)", {"nothing"}),
        ("* *(…)", {"pointer"}),
        ("void *(struct opaque *)", {"pointer"}),
        ("enum verdict (union both *, enum level)", {"judge"}),
        ("enum * (union * *, enum *)", {"judge"}),
        ("int (union both *, …)", set()),
        ("int (struct packet)", {"by_value"}),
        ("int (packet_t)", {"by_value"}),
        ("int (struct packet *)", set()),
        ("int (unnamed_t *, bool)", {"hidden"}),
        ("int (callback_t, callback_t)", {"runs"}),
        ("int (int (*)(void *, int), int (*cb)(void *, …))", {"runs"}),
        ("int (int (void *, u32), *)", {"runs"}),
        ("int (char *, char (*)[], char **)", {"fills"}),
        ("int (char text[16], char (*rows)[9], char *words[])", {"fills"}),
        ("int (…, struct packet *)", {"many"}),
        ("int (…, long, …, char, …)", {"many"}),
        ("int (…, char, …, long, …)", set()),
        ("int (…, …)", ALL - {"count", "nothing", "pointer", "judge"}),
        ("int (int, *, *, *, *)", {"many"}),
        ("nosuch_t (…)", set()),
        ("float (…)", set()),
        ("* (…)", ALL),
        ("*", ALL),
        ("parse*", {"parse_first", "parse_second", "parse_other"}),
        ("  judge ", {"judge"}),
        ("judg", set()),
    ],
)
def test_what_a_signature_means(text: str, names: set[str], btf: BTF) -> None:
    assert found(btf, text) == names


def test_every_function_is_found_by_its_own_declaration(btf: BTF) -> None:
    for function in btf.ids_of_kind(Kind.FUNC):
        text = osmia.btf.declaration(btf, function, "")
        assert btf.name_of(function) in found(btf, text), text


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 1, "a type is expected, and the text ends"),
        ("int x y", 7, "nothing more is expected, not 'y'"),
        ("int f", 6, "a function has parameters"),
        ("int (*)(int)", 13, "a function has parameters"),
        ("int f(int", 10, "')' is expected, and the text ends"),
        ("int f(,)", 7, "a type is expected, not ','"),
        ("int f(int,)", 11, "a type is expected, not ')'"),
        ("int f(int) const", 12, "nothing more is expected, not 'const'"),
        ("int f(int)(int)", 11, "nothing more is expected, not '('"),
        ("int f(int) {", 12, "'{' has no meaning here"),
        ("int parse *(int)", 11, "nothing more is expected, not '*'"),
        ("int (struct, int)", 12, "a name or * is expected, not ','"),
        ("int (unsigned signed)", 6, "C has no type 'unsigned signed'"),
        ("long long long f(void)", 1, "C has no type 'long long long'"),
        ("int f(char [x])", 13, "']' is expected, not 'x'"),
        ("(…)", 1, "a type is expected, not '('"),
        ("int f(int\x1b)", 10, "'\\x1b' has no meaning here"),
    ],
)
def test_an_error_points_at_its_column(text: str, column: int, problem: str) -> None:
    with pytest.raises(SignatureError) as caught:
        Signature(text)
    assert caught.value.column == column
    assert problem in caught.value.problem
    first, shown, marker = str(caught.value).split("\n")
    assert first.startswith(f"column {column}: ")
    assert marker.index("^") == 2 + column - 1
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "int f(" + "*" * 990 + ")",
        "int " + "*" * 900 + " f(void)",
        "int f(" + "int (*)(" * 100,
        "int " + "(*" * 400,
        "int f(int" + "[]" * 400 + ")",
        "int f(" + "…," * 480 + "…)" + " " * 10_000,
        "a" * 1001,
    ],
)
def test_what_is_too_long_or_too_deep_is_refused(text: str) -> None:
    with pytest.raises(SignatureError, match=r"nested too deeply|longer than"):
        Signature(text)


_PIECES = [
    "int",
    "*",
    "(",
    ")",
    ",",
    "…",
    "...",
    "struct",
    "f",
    "[",
    "]",
    "3",
    "const",
    " ",
    ";",
    "\0",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=40))
def test_any_text_is_a_signature_or_an_error_of_ours(pieces: list[str]) -> None:
    try:
        Signature("".join(pieces))
    except SignatureError as error:
        assert 1 <= error.column <= len(error.text) + 1


def test_many_wildcards_take_no_time() -> None:
    builder = BTFBuilder()
    number = builder.add_int("int", 4)
    proto = builder.add_func_proto(0, [(f"p{i}", number) for i in range(2000)])
    builder.add_func("a" * 4000, proto)
    btf = builder.build()
    assert not found(btf, "a…" * 400 + "b")
    assert not found(btf, "void (" + "…, int, " * 100 + "long)")


def test_damaged_btf_is_an_error_of_ours(btf: BTF) -> None:
    data = btf.to_bytes()
    source = random.Random(5)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(source.randint(1, 6)):
            damaged[source.randrange(24, len(damaged))] = source.randrange(256)
        try:
            found(BTF(bytes(damaged)), "* (…, callback_t, struct * *, …)")
            found(BTF(bytes(damaged)), "unnamed_t * (…, int (*)(void *, …))")
        except OsmiaError:
            pass


def test_types_that_refer_to_themselves_come_to_an_end() -> None:
    builder = BTFBuilder()
    pointer = builder.add_ptr(1)
    proto = builder.add_func_proto(pointer, [("p", pointer)])
    builder.add_func("f", proto)
    assert found(builder.build(), "* **********(* ******)") == {"f"}
