"""Declaration tags: slots of prog arrays, and what a library adds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import osmia
from osmia.errors import ObjectFormatError
from osmia.object import Object, declaration_tags
from osmia.object.declaration_tags import DeclarationTag, register

HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define SLOT 3
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 8); __type(key, __u32);
    __type(value, __u32); } calls SEC(".maps");
SEC("xdp") int p(struct xdp_md *ctx) { bpf_tail_call(ctx, &calls, SLOT); return 1; }
char LICENSE[] SEC("license") = "GPL";
"""


def compiled(text: str) -> Object:
    return osmia.compile(source=HEAD + text)


def tagged(tag: str, name: str = "t") -> str:
    attribute = f'__attribute__((btf_decl_tag("{tag}")))'
    return f'SEC("xdp") {attribute} int {name}(struct xdp_md *ctx) {{ return 9; }}\n'


@pytest.mark.parametrize("tag", ["__tail(calls, SLOT)", "__tail(calls, 0x3)"])
def test_a_program_is_in_the_slot_it_names(tag: str) -> None:
    obj = compiled(f'SEC("xdp") {tag} int t(struct xdp_md *ctx) {{ return 9; }}')
    assert obj.maps["calls"].slots == ((3, "t"),)
    with obj.load("vm") as loaded:
        assert loaded.programs["p"].run(bytes(64)).retval == 9


def test_what_is_written_is_read_back_with_it() -> None:
    obj = compiled(tagged("tail:calls/3"))
    assert osmia.open(obj.to_bytes()).maps["calls"].slots == ((3, "t"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (tagged("tail:calls"), "MAP/KEY"),
        (tagged("tail:calls/x"), "MAP/KEY"),
        (tagged("tail:other/1"), "no prog array 'other'"),
        (tagged("tail:calls/8"), "there are 8 slots"),
        (tagged("tail:calls/99999999999999999999"), "there are 8 slots"),
        (tagged("tail:calls/1") + tagged("tail:calls/1", "u"), "is in that slot"),
        (
            '__attribute__((btf_decl_tag("tail:calls/1"))) __attribute__((noinline))\n'
            "int helper(struct xdp_md *ctx) { return 1; }\n",
            "no program",
        ),
    ],
)
def test_tags_that_cannot_hold_are_errors(text: str, message: str) -> None:
    with pytest.raises(ObjectFormatError, match=message):
        compiled(text)


def test_other_tags_are_left_alone() -> None:
    assert not compiled(tagged("whatever:calls/3") + tagged("tail", "u")).maps["calls"].slots


@pytest.fixture
def owner() -> Iterator[dict[str, str]]:
    """A tag of a library: who owns what."""
    found: dict[str, str] = {}

    def note(obj: Object, name: str, text: str) -> Object:
        found[name] = text
        return obj

    register(DeclarationTag("owner", "who it belongs to", note))
    yield found
    del declaration_tags._TAGS["owner"]


def test_a_library_adds_its_own(owner: dict[str, str]) -> None:
    obj = compiled(tagged("owner:net team"))
    assert owner == {"t": "net team"}
    owner.clear()
    osmia.open(obj.to_bytes())
    assert owner == {"t": "net team"}
    with pytest.raises(ValueError, match="registered already"):
        register(DeclarationTag("owner", "another", lambda obj, name, text: obj))
