"""Packets in pieces: what is behind data_end is there for helpers, and pulled where one asks."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import osmia
from osmia.errors import KernelError, NotSupportedError
from osmia.vm.errors import ProgramFault

PROGRAMS = r"""
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern int bpf_dynptr_from_xdp(struct xdp_md *ctx, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer,
				__u32 size) __ksym;

__u32 offset, linear, total, after, whole, seen, copied;
int result, cut, pulls;
__u8 bytes[8];

SEC("xdp.frags") int frags(struct xdp_md *ctx)
{
	__u64 value = 0x1122334455667788;

	linear = ctx->data_end - ctx->data;
	total = bpf_xdp_get_buff_len(ctx);
	result = bpf_xdp_load_bytes(ctx, offset, bytes, sizeof(bytes));
	if (!result)
		bpf_xdp_store_bytes(ctx, offset, &value, sizeof(value));
	if (cut)
		result = bpf_xdp_adjust_tail(ctx, cut);
	after = ctx->data_end - ctx->data;
	whole = bpf_xdp_get_buff_len(ctx);
	return XDP_PASS;
}

SEC("xdp.frags") int slices(struct xdp_md *ctx)
{
	__u8 buffer[8], *at;
	struct bpf_dynptr ptr;

	if (bpf_dynptr_from_xdp(ctx, 0, &ptr))
		return XDP_ABORTED;
	at = bpf_dynptr_slice(&ptr, offset, buffer, sizeof(buffer));
	copied = at == buffer;
	if (at)
		seen = at[0];
	return XDP_PASS;
}

SEC("tc") int pull(struct __sk_buff *ctx)
{
	__u8 *data;

	total = ctx->len;
	linear = ctx->data_end - ctx->data;
	result = bpf_skb_load_bytes(ctx, offset, bytes, sizeof(bytes));
	if (pulls)
		result = bpf_skb_pull_data(ctx, pulls);
	after = ctx->data_end - ctx->data;
	data = (void *)(long)ctx->data;
	if (pulls && (void *)data + 200 <= (void *)(long)ctx->data_end)
		seen = data[199];
	return TC_ACT_OK;
}

SEC("tc") int stores(struct __sk_buff *ctx)
{
	__u16 value = 0xABCD;

	result = bpf_skb_store_bytes(ctx, offset, &value, sizeof(value), 0);
	after = ctx->data_end - ctx->data;
	return TC_ACT_OK;
}

SEC("tc") int longer(struct __sk_buff *ctx)
{
	result = bpf_skb_change_tail(ctx, ctx->len + cut, 0);
	after = ctx->data_end - ctx->data;
	whole = ctx->len;
	return TC_ACT_OK;
}

SEC("tc") int careless(struct __sk_buff *ctx)
{
	return *(volatile __u8 *)(long)(ctx->data + 150);
}

SEC("syscall") int other(void *ctx) { return 0; }
"""

PACKET = bytes(range(256)) * 2
STORED = struct.pack("<Q", 0x1122334455667788)
EINVAL, EOPNOTSUPP, ENOMEM = -22, -95, -12


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(PROGRAMS)


@pytest.fixture
def bpf(compiled: osmia.Object) -> Iterator[Any]:
    with compiled.load(engine="vm", memory=1 << 25) as loaded:
        yield loaded


def run(bpf: Any, program: str, executor: str, **given: int) -> Any:
    for name, value in ({"cut": 0, "pulls": 0} | given).items():
        bpf.data[name] = value
    return bpf.programs[program].run(PACKET, linear=100, executor=executor)


def data(bpf: Any, *names: str) -> list[int]:
    return [bpf.data[name] for name in names]


def test_xdp_reads_and_writes_all_pieces(bpf: Any, executor: str) -> None:
    for offset in (90, 96, 300):
        left = run(bpf, "frags", executor, offset=offset).data
        assert data(bpf, "linear", "total", "result") == [100, 512, 0]
        assert bytes(bpf.data["bytes"]) == PACKET[offset : offset + 8]
        assert left == PACKET[:offset] + STORED + PACKET[offset + 8 :]
    run(bpf, "frags", executor, offset=505)
    assert bpf.data["result"] == EINVAL


def test_xdp_is_cut_from_its_end(bpf: Any, executor: str) -> None:
    for cut, after, whole in ((-12, 100, 500), (-412, 100, 100), (-450, 62, 62)):
        left = run(bpf, "frags", executor, offset=20, cut=cut).data
        assert data(bpf, "result", "after", "whole") == [0, after, whole]
        assert len(left) == whole
    run(bpf, "frags", executor, offset=20, cut=-500)
    assert data(bpf, "result", "whole") == [EINVAL, 512]
    run(bpf, "frags", executor, offset=20, cut=4)
    assert data(bpf, "result", "whole") == [EOPNOTSUPP, 512]


def test_slices_of_other_pieces_are_copies(bpf: Any, executor: str) -> None:
    for offset, copied in ((50, 0), (92, 0), (93, 1), (300, 1)):
        run(bpf, "slices", executor, offset=offset)
        assert data(bpf, "copied", "seen") == [copied, offset & 0xFF]


def test_pieces_of_an_skb_are_pulled(bpf: Any, executor: str) -> None:
    left = run(bpf, "pull", executor, offset=300)
    assert data(bpf, "total", "linear", "after", "result") == [512, 100, 100, 0]
    assert bytes(bpf.data["bytes"]) == PACKET[300:308]
    assert left.data == PACKET
    left = run(bpf, "pull", executor, offset=20, pulls=200)
    assert data(bpf, "linear", "after", "seen", "result") == [100, 200, 199, 0]
    assert left.data == PACKET
    run(bpf, "pull", executor, offset=20, pulls=50)
    assert bpf.data["after"] == 100
    run(bpf, "pull", executor, offset=20, pulls=513)
    assert data(bpf, "result", "after") == [ENOMEM, 100]


def test_what_is_written_is_pulled(bpf: Any, executor: str) -> None:
    left = run(bpf, "stores", executor, offset=150).data
    assert data(bpf, "result", "after") == [0, 152]
    assert left == PACKET[:150] + b"\xcd\xab" + PACKET[152:]


def test_a_packet_of_another_length_is_in_one_piece(bpf: Any, executor: str) -> None:
    left = run(bpf, "longer", executor, cut=10).data
    assert data(bpf, "result", "after", "whole") == [0, 522, 522]
    assert left == PACKET + bytes(10)


def test_the_next_packet_is_in_one_piece(bpf: Any, executor: str) -> None:
    run(bpf, "frags", executor, offset=20)
    bpf.programs["frags"].run(PACKET, executor=executor)
    assert data(bpf, "linear", "total") == [512, 512]
    run(bpf, "pull", executor, offset=20)
    bpf.programs["pull"].run_batch([PACKET])
    assert data(bpf, "linear", "total") == [512, 512]


def test_programs_see_the_linear_part_alone(bpf: Any) -> None:
    with pytest.raises(ProgramFault, match="at 150 of a packet of 100"):
        bpf.programs["careless"].run(PACKET, linear=100)
    assert bpf.programs["careless"].run(PACKET, linear=151).retval == 150
    assert bpf.programs["careless"].run(PACKET, linear=9999).retval == 150


def test_not_everything_can_be_in_pieces(bpf: Any) -> None:
    with pytest.raises(KernelError, match="14 bytes is never in pieces"):
        bpf.programs["frags"].run(PACKET, linear=13)
    with pytest.raises(NotSupportedError, match="programs that take packets"):
        bpf.programs["other"].run(linear=100)


@pytest.mark.kernel
def test_the_kernel_does_the_same_with_more_than_a_page(compiled: osmia.Object) -> None:
    packet = bytes(range(250)) * 40
    seen = []
    for engine in ("kernel", "vm"):
        obj = compiled.copy()
        for name in obj.programs:
            obj.programs[name] = replace(obj.programs[name], autoload=name == "frags")
        with obj.load(engine=engine) as loaded:
            found = []
            options = {"linear": 4096 - 256 - 320} if engine == "vm" else {}
            for offset, cut in ((20, 0), (3516, 0), (5000, 0), (9992, 0), (9993, 0), (20, -10)):
                loaded.data["offset"], loaded.data["cut"] = offset, cut
                result = loaded.programs["frags"].run(packet, **options)
                names = ("linear", "total", "after", "whole", "result")
                found.append(([loaded.data[name] for name in names], result.data))
            seen.append(found)
    assert seen[0] == seen[1]
