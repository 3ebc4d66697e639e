"""The helper table agrees with the kernel's own list and with itself."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from osmia.isa.helper_functions import HELPERS, helper_id, helper_name


def uapi_header() -> str:
    """The newest <linux/bpf.h> at hand: the ziglang wheel's, else the system's."""
    wheel = find_spec("ziglang")
    assert wheel is not None and wheel.submodule_search_locations is not None
    bundle = Path(wheel.submodule_search_locations[0]) / "lib/libc/include/any-linux-any"
    return (bundle / "linux/bpf.h").read_text()


def test_numbers_run_from_1_without_gap() -> None:
    assert list(HELPERS) == list(range(1, 212))


def test_numbers_and_names_are_those_of_the_kernel_header() -> None:
    numbered = re.findall(r"^\tFN\((\w+), (\d+), ##ctx\)", uapi_header(), re.MULTILINE)
    expected = {int(number): f"bpf_{name}" for name, number in numbered if number != "0"}
    assert {helper.id: helper.name for helper in HELPERS.values()} == expected


def test_argument_names_are_those_of_the_kernel_header() -> None:
    documented = dict(
        re.findall(r"^ \* [a-z].*?\**(bpf_\w+)\((.*?)\)$", uapi_header(), re.MULTILINE)
    )
    # One number, several context types: the table says "void *ctx" for these.
    overloaded = {"bpf_get_socket_cookie", "bpf_sk_assign"}
    for helper in HELPERS.values():
        if helper.name in overloaded:
            continue
        written = documented[helper.name]
        names = [] if written == "void" else re.findall(r"(\w+)(?:,|$)|\.\.\.", written)
        assert [name for _, name in helper.arguments] == names, helper.name


def test_since_never_goes_backwards() -> None:
    versions = [tuple(map(int, helper.since.split("."))) for helper in HELPERS.values()]
    assert versions == sorted(versions)


def test_every_helper_has_a_sentence() -> None:
    assert all(helper.doc.endswith(".") for helper in HELPERS.values())


@pytest.mark.parametrize("name", ["bpf_map_lookup_elem", "map_lookup_elem"])
def test_a_helper_is_found_with_and_without_prefix(name: str) -> None:
    assert helper_id(name) == 1


def test_unknown_helpers_have_no_number_and_no_name() -> None:
    assert helper_id("no_such_helper") == 0
    assert helper_name(10_000) is None
    assert helper_name(12) == "bpf_tail_call"


def test_types_are_split_from_names() -> None:
    lookup = HELPERS[helper_id("sk_lookup_tcp")]
    assert lookup.returns == "struct bpf_sock *"
    assert lookup.arguments[1] == ("struct bpf_sock_tuple *", "tuple")
    assert HELPERS[6].arguments == (("const char *", "fmt"), ("u32", "fmt_size"), ("...", ""))
    assert HELPERS[5].arguments == ()
