"""Lookups find the sockets that a test describes, as the kernel would."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

import osmia
from osmia.testing import Machine, Socket
from osmia.vm.errors import ProgramFault

PROGRAMS = r"""
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "GPL";

struct bpf_sock_tuple tuple;
__u32 size, udp, common, kind;
__u64 netns = -1, flags;
__u32 there, state, port, family, full, listens, mark, cwnd, remote, assigned;
__u64 cookie, received;

SEC("tc") int looks(struct __sk_buff *ctx)
{
	struct bpf_sock_tuple given = tuple;
	struct bpf_tcp_sock *tcp;
	struct bpf_sock *sk, *other;

	there = full = listens = state = port = family = cookie = cwnd = 0;
	if (udp)
		sk = bpf_sk_lookup_udp(ctx, &given, size, netns, flags);
	else if (common)
		sk = bpf_skc_lookup_tcp(ctx, &given, size, netns, flags);
	else
		sk = bpf_sk_lookup_tcp(ctx, &given, size, netns, flags);
	if (!sk)
		return TC_ACT_SHOT;
	there = 1;
	state = sk->state;
	port = sk->src_port;
	remote = bpf_ntohs(sk->dst_port);
	family = sk->family;
	mark = sk->mark;
	cookie = bpf_get_socket_cookie(sk);
	other = bpf_sk_fullsock(sk);
	if (other)
		full = other->protocol;
	listens = bpf_get_listener_sock(sk) != NULL;
	tcp = bpf_tcp_sock(sk);
	if (tcp) {
		cwnd = tcp->snd_cwnd;
		received = tcp->bytes_received;
	}
	bpf_sk_release(sk);
	return TC_ACT_OK;
}

SEC("tc") int assigns(struct __sk_buff *ctx)
{
	struct bpf_sock_tuple given = tuple;
	struct bpf_sock *sk = bpf_sk_lookup_tcp(ctx, &given, size, BPF_F_CURRENT_NETNS, 0);

	if (!sk)
		return TC_ACT_SHOT;
	assigned = bpf_sk_assign(ctx, sk, flags);
	bpf_sk_release(sk);
	return TC_ACT_OK;
}

SEC("sk_lookup") int chooses(struct bpf_sk_lookup *ctx)
{
	struct bpf_sock_tuple given = tuple;
	struct bpf_sock *sk = bpf_sk_lookup_tcp(ctx, &given, size, BPF_F_CURRENT_NETNS, 0);

	if (!sk)
		return SK_DROP;
	assigned = bpf_sk_assign(ctx, sk, 0);
	if (kind)
		assigned = bpf_sk_assign(ctx, sk, kind == 2 ? BPF_SK_LOOKUP_F_REPLACE : 0);
	bpf_sk_release(sk);
	return SK_PASS;
}

SEC("tc") int wild(struct __sk_buff *ctx)
{
	return bpf_sk_fullsock((void *)ctx) != NULL;
}
"""

LISTENER = Socket(("0.0.0.0", 80), mark=7, cookie=11)
SPECIAL = Socket(("10.0.0.2", 80), cookie=12)
CONNECTION = Socket(
    ("10.0.0.2", 80), ("10.0.0.1", 4000), cookie=13, tcp={"snd_cwnd": 10, "bytes_received": 1 << 40}
)
WAITING = Socket(("10.0.0.2", 81), ("10.0.0.1", 4000), state="TIME_WAIT", cookie=14)
DATAGRAMS = Socket(("10.0.0.2", 53), protocol="udp", cookie=15)
SIX = Socket(("fd00::2", 443), cookie=16)
BOTH = Socket(("::", 8080), cookie=17)
ALL = [LISTENER, SPECIAL, CONNECTION, WAITING, DATAGRAMS, SIX, BOTH]
EINVAL, EEXIST, EPROTOTYPE, ESOCKTNOSUPPORT = ((1 << 32) - n for n in (22, 17, 91, 94))


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(PROGRAMS)


@pytest.fixture
def bpf(compiled: osmia.Object) -> Iterator[Any]:
    with compiled.load(engine="vm", memory=1 << 25) as loaded:
        yield loaded


@pytest.fixture
def machine(bpf: Any) -> Machine:
    made = Machine(bpf)
    made.sockets = ALL
    return made


def place(bpf: Any, source: str, sport: int, target: str, dport: int, **options: int) -> None:
    """Set what is looked for, and how."""
    packed = (
        ip_address(source).packed + ip_address(target).packed + struct.pack(">2H", sport, dport)
    )
    bpf.data["tuple"] = packed.ljust(36, b"\0")
    for name, value in ({"size": len(packed), "udp": 0, "common": 0} | options).items():
        bpf.data[name] = value


def found(bpf: Any, executor: str) -> int:
    """The cookie of what a lookup finds."""
    bpf.programs["looks"].run(bytes(64), executor=executor)
    return int(bpf.data["cookie"])


@pytest.mark.parametrize(
    ("source", "target", "cookie"),
    [
        (("10.0.0.1", 4000), ("10.0.0.2", 80), 13),
        (("10.0.0.1", 4001), ("10.0.0.2", 80), 12),
        (("10.0.0.1", 4001), ("10.0.0.3", 80), 11),
        (("10.0.0.1", 4001), ("10.0.0.3", 82), 0),
        (("10.0.0.1", 4000), ("10.0.0.2", 81), 0),
        (("fd00::1", 4000), ("fd00::2", 443), 16),
        (("fd00::1", 4000), ("fd00::2", 80), 0),
        (("fd00::1", 4000), ("fd00::2", 8080), 17),
        (("10.0.0.1", 4000), ("10.0.0.2", 8080), 17),
    ],
)
def test_the_socket_is_found_that_says_most(
    bpf: Any, machine: Machine, executor: str, source: Any, target: Any, cookie: int
) -> None:
    place(bpf, *source, *target)
    assert found(bpf, executor) == cookie
    assert bpf.data["there"] == bool(cookie)


def test_programs_see_what_a_socket_is(bpf: Any, machine: Machine, executor: str) -> None:
    place(bpf, "10.0.0.1", 4000, "10.0.0.2", 80)
    found(bpf, executor)
    names = ("state", "port", "remote", "family", "full", "listens", "cwnd", "received")
    assert [bpf.data[name] for name in names] == [1, 80, 4000, 2, 6, 0, 10, 1 << 40]
    place(bpf, "10.0.0.9", 1, "10.0.0.3", 80)
    found(bpf, executor)
    assert [bpf.data[name] for name in ("state", "listens", "mark")] == [10, 1, 7]


def test_what_waits_for_its_end_is_no_full_socket(
    bpf: Any, machine: Machine, executor: str
) -> None:
    place(bpf, "10.0.0.1", 4000, "10.0.0.2", 81, common=1)
    assert found(bpf, executor) == 14
    assert [bpf.data[name] for name in ("state", "full", "cwnd")] == [6, 0, 0]


def test_datagrams_have_sockets_of_their_own(bpf: Any, machine: Machine, executor: str) -> None:
    place(bpf, "10.0.0.1", 4000, "10.0.0.2", 53, udp=1)
    assert found(bpf, executor) == 15
    place(bpf, "10.0.0.1", 4000, "10.0.0.2", 53)
    assert found(bpf, executor) == 0


@pytest.mark.parametrize("options", [{"size": 20}, {"flags": 1}, {"netns": 3}])
def test_wrong_lookups_find_nothing(
    bpf: Any, machine: Machine, executor: str, options: dict[str, int]
) -> None:
    place(bpf, "10.0.0.1", 4000, "10.0.0.2", 80, **options)
    assert found(bpf, executor) == 0


def test_without_sockets_none_is_found(bpf: Any, executor: str) -> None:
    place(bpf, "10.0.0.1", 4000, "10.0.0.2", 80)
    assert found(bpf, executor) == 0


def test_packets_are_assigned(bpf: Any, machine: Machine, executor: str) -> None:
    place(bpf, "10.0.0.1", 4000, "10.0.0.2", 80)
    run = bpf.programs["assigns"].run
    assert run(bytes(64), executor=executor).verdict == "TC_ACT_OK"
    assert (bpf.data["assigned"], machine.assigned) == (0, [CONNECTION])
    bpf.data["flags"] = 1
    run(bytes(64), executor=executor)
    assert bpf.data["assigned"] == EINVAL


def test_connections_are_assigned_to_who_listens(bpf: Any, machine: Machine, executor: str) -> None:
    def run(kind: int, protocol: int = 6, port: int = 4001) -> int:
        place(bpf, "10.0.0.1", port, "10.0.0.2", 80, kind=kind)
        context = struct.pack("<QII", 0, 2, protocol).ljust(72, b"\0")
        result = bpf.programs["chooses"].run(ctx=context, executor=executor)
        assert result.verdict == "SK_PASS"
        return int(bpf.data["assigned"])

    assert [run(kind) for kind in range(3)] == [0, EEXIST, 0]
    assert machine.assigned == [SPECIAL] * 4
    assert run(0, protocol=17) == EPROTOTYPE
    assert run(0, port=4000) == ESOCKTNOSUPPORT


def test_what_is_no_socket_is_a_fault(bpf: Any, executor: str) -> None:
    with pytest.raises(ProgramFault, match="is no socket that was looked up"):
        bpf.programs["wild"].run(bytes(64), executor=executor)


@pytest.mark.parametrize(
    "wrong",
    [
        {"local": ("nowhere", 1)},
        {"local": ("10.0.0.1", 1 << 16)},
        {"local": ("10.0.0.1", 1), "protocol": "icmp"},
        {"local": ("10.0.0.1", 1), "state": "OPEN"},
        {"local": ("10.0.0.1", 1), "tcp": {"cwnd": 1}},
    ],
)
def test_wrong_descriptions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Socket(**wrong)
