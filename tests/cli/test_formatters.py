"""Generated functions write what decoding value by value writes, for whatever types C has."""

from __future__ import annotations

import json
import random
import re
import struct
from functools import cache
from typing import Any

import pytest

from osmia import compile as compile_source
from osmia.btf import BTFBuilder
from osmia.cli.formatters import cells, texts
from osmia.cli.json_values import typed
from osmia.cli.notation import Json, Text
from osmia.cli.output import printable
from osmia.cli.typed_text import has_columns, inner_text, typed_text
from osmia.object import Object
from osmia.values import Codec, StructCodec
from osmia.values import codec as codec_of
from osmia.values.meaning import Kind, fits
from osmia.values.meant import meant_codec

SOURCE = """
#include <linux/types.h>
#include <stdbool.h>
enum colour { RED, GREEN = 7, BLUE = -1 };
enum wide { LARGE = 0x1ffffffffULL };
struct point { __s16 x; __u64 y; };
struct numbers { __u8 a; __s8 b; __u16 c; __s16 d; __u32 e; __s32 f; __u64 g; __s64 h; };
struct bits { __u32 a:3, b:9, :4, c:16; __s32 d:5; __s64 e:40; _Bool f:1; enum colour g:6;
              __u8 h:1, i:7; };
struct mixed { bool yes; enum colour colour; enum wide wide; float f; double d; void *pointer;
               __u8 mac[6]; char name[8]; char name_only; };
struct nested { struct point p; struct { __u8 inner; union { __u32 word; __u8 bytes[4]; }; };
                struct point several[3]; struct numbers n; };
union either { __u32 word; float real; struct point p; char text[12]; };
struct arrays { __u32 few[2]; __u16 many[20]; enum colour colours[3]; bool flags[9]; void *ps[2];
                char names[2][4]; __u8 bytes[3][2]; double ds[2]; struct bits b[2]; };
struct wide_ones { __int128 i; unsigned __int128 u; long double l; };
struct { int nothing[0]; __u32 last; } with_mark;
struct tail { __u32 length; __u32 rest[]; };
struct text_tail { __u32 length; char rest[]; };
struct empty { };
struct holds { struct empty e; __u8 a; };
struct large { __u64 all[700]; struct point more[120]; };
struct many { __u8 a, b, c, d, e, f, g, h, i, j, k; struct point p; };
struct heavy { HEAVY };
struct numbers v_numbers; struct bits v_bits; struct mixed v_mixed; struct nested v_nested;
union either v_either; struct arrays v_arrays; struct wide_ones v_wide; struct tail v_tail;
struct text_tail v_text_tail; struct holds v_holds; struct large v_large; struct many v_many;
struct heavy v_heavy;
__u32 v_word; char v_text[16]; __u8 v_bytes[5]; enum colour v_colour; void *v_pointer;
double v_double;
__u16 v_row[3]; __u16 v_grid[2][10]; bool v_bool; __int128 v_int128; struct point v_points[2];
""".replace("HEAVY", " ".join(f"__u32 m{number};" for number in range(700)))

NAMES = re.findall(r"\bv_\w+", SOURCE)
SPECIAL = [b"\0", b"\xff", b"a\0", b'"\\', "é".encode(), b"\x1b[", struct.pack("<f", float("nan"))]


@cache
def sources() -> Object:
    return compile_source(SOURCE + 'char LICENSE[] __attribute__((section("license"))) = "GPL";')


def samples(size: int) -> list[bytes]:
    chance = random.Random(size)
    special = [(each * size)[:size] for each in SPECIAL]
    return [*special, *(chance.randbytes(size) for _ in range(20))]


def codec(name: str) -> Codec:
    return sources().data.slot(name).codec


@pytest.mark.parametrize("name", ["with_mark", *NAMES])
def test_json_is_that_of_each_value(name: str) -> None:
    of = codec(name)
    data = samples(of.size)
    expected = [typed(of, of.decode(each), each) for each in data]
    written = texts(of, Json())(b"".join(data))
    assert [json.loads(each) for each in written] == expected
    assert written == [json.dumps(each, separators=(",", ":")) for each in expected]


@pytest.mark.parametrize("name", ["with_mark", *NAMES])
def test_cells_are_those_of_each_value(name: str) -> None:
    of = codec(name)
    data = samples(of.size)
    written = [tuple(map(str, row)) for row in cells(of, Text())(b"".join(data))]
    assert written == [expected_cells(of, of.decode(each)) for each in data]
    inner = texts(of, Text())(b"".join(data))
    assert inner == [printable(inner_text(of, of.decode(each))) for each in data]


def expected_cells(of: Codec, value: Any) -> tuple[str, ...]:
    if isinstance(of, StructCodec) and has_columns(of):
        return tuple(printable(inner_text(each.codec, value[each.name])) for each in of.fields)
    return (printable(typed_text(of, value)),)


def test_values_may_have_gaps_between_them() -> None:
    of = codec("v_word")
    data = struct.pack("<IxxxxIxxxx", 7, 8)
    assert texts(of, Json(), 8)(data) == ["7", "8"]
    assert cells(of, Text(), 8)(data) == [(7,), (8,)]


@pytest.mark.parametrize("name", ["'", '"""', "{0}", "\\", "x'+exit()+'", "\n", "é", "a b\x1b"])
def test_names_of_members_are_nothing_but_text(name: str) -> None:
    builder = BTFBuilder()
    number = builder.add_int("int", 4)
    colour = builder.add_enum("colour", [(name, 1)])
    outer = builder.add_struct("outer", 8, [(name, number, 0), ("colour", colour, 32)])
    of = codec_of(builder.build(), outer)
    (written,) = texts(of, Json())(struct.pack("<II", 5, 1))
    assert json.loads(written) == typed(of, of.decode(struct.pack("<II", 5, 1)))
    (shown,) = texts(of, Text())(struct.pack("<II", 5, 1))
    assert shown == "{" + f"{printable(name)}=5 colour={printable(name)}" + "}"


class AllAs:
    """Everything that can be is asked to be one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def kind_of(self, path: str, of: Codec) -> Kind | None:
        return self.kind if not isinstance(of, StructCodec) and fits(self.kind, of) else None


MEANT = """
#include <linux/types.h>
#include <linux/in6.h>
typedef __s64 ktime_t;
struct point { __be32 addr; __be16 port; };
struct meant { __be32 saddr; __be16 sport, proto; __be64 id; __u8 mac[6]; struct in6_addr hop;
               __u8 comm[16]; char name[16]; ktime_t at; __u64 ts_ns; __be32 several[3];
               struct point point, points[2]; __u8 source[16]; __u32 plain; };
struct meant v_meant; __be32 v_address;
char LICENSE[] __attribute__((section("license"))) = "GPL";
"""


@pytest.mark.parametrize("name", ["v_meant", "v_address"])
@pytest.mark.parametrize("kind", [None, "hex", "plain", "be", "time", "text"])
def test_what_means_something_is_written_as_value_by_value(name: str, kind: Kind | None) -> None:
    slot = compile_source(MEANT).data.slot(name)
    of = meant_codec(slot.codec, name, None if kind is None else AllAs(kind), name)
    each = samples(of.size)
    values = [of.decode(data) for data in each]
    told = [json.loads(text) for text in texts(of, Json())(b"".join(each))]
    assert told == [typed(of, value, data) for value, data in zip(values, each, strict=True)]
    shown = texts(of, Text())(b"".join(each))
    assert shown == [printable(inner_text(of, value)) for value in values]
