"""Adapters to talk to: in this process, and as editors start them."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from osmia.debugger.dap.server import serve_connection

from .client import Client, of_process

SOURCE = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct stats { __u64 packets; __u64 bytes; };
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, struct stats);
} flows SEC(".maps");

__u64 total = 0;
const volatile __u32 limit = 10;

#define keep(value) asm volatile("r0 = %0" : : "r"(value) : "r0", "memory")

static __always_inline __u32 hashed(__u32 length)
{
    __u32 half = length / 2;
    keep(half);                           /* in hashed */
    return half & 7;
}

static __noinline int count(__u32 key, __u32 length)
{
    struct stats first = {1, length};
    struct stats *known = bpf_map_lookup_elem(&flows, &key);
    if (!known) {
        bpf_map_update_elem(&flows, &key, &first, 0);    /* first */
        return 1;
    }
    known->packets += 1;                  /* again */
    known->bytes += length;
    return 0;                             /* counted */
}

SEC("xdp") int limited(struct xdp_md *ctx)
{
    __u32 length = ctx->data_end - ctx->data;   /* length */
    __u32 key = hashed(length);           /* hashed */
    bpf_printk("%d bytes", length);
    total += length;                      /* total */
    for (int i = 0; i < 3; i++)
        count(key, length + i);           /* count */
    return length > limit ? XDP_PASS : XDP_DROP;         /* verdict */
}

SEC("xdp") int wrong(struct xdp_md *ctx)
{
    unsigned char *data = (void *)(long)ctx->data;
    return data[1000];                    /* beyond */
}

char _license[] SEC("license") = "GPL";
"""

Connect = Callable[..., Client]


def line_of(text: str) -> int:
    """The line of the source that has a text."""
    (found,) = [n for n, line in enumerate(SOURCE.splitlines(), 1) if f"/* {text} */" in line]
    return found


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("dap") / "limit.bpf.c"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A client of an adapter in this process, at the other end of a socket."""
    with ExitStack() as undo:

        def connect_(defaults: dict[str, Any] | None = None) -> Client:
            ours, theirs = socket.socketpair()
            served = threading.Thread(target=_serve, args=(theirs, defaults))
            served.start()
            undo.callback(served.join, 60)
            undo.callback(ours.close)
            undo.callback(_end, ours)
            made = Client(ours.makefile("rb"), ours.makefile("wb"), lambda: _end(ours))
            undo.callback(made.close)
            made.served = served
            return made

        yield connect_


def _end(ours: socket.socket) -> None:
    with suppress(OSError):  # it has gone
        ours.shutdown(socket.SHUT_RDWR)


def _serve(connection: socket.socket, defaults: dict[str, Any] | None) -> None:
    with connection:
        serve_connection(connection, defaults)


@pytest.fixture
def client(connect: Connect) -> Client:
    return connect()


@pytest.fixture
def stopped(client: Client, source: Path) -> Callable[..., Client]:
    """A client whose program stands still at a line."""

    def stopped_(text: str, function: str = "limited", **arguments: Any) -> Client:
        client.launch(program=str(source), function=function, **arguments)
        (made,) = client.break_at(source, line_of(text))
        assert made["verified"], made
        assert client.go()["reason"] == "breakpoint"
        return client

    return stopped_


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[Client, subprocess.Popen[bytes]]]]:
    """Starts an adapter as a process of its own."""
    with ExitStack() as undo:

        def start_(*arguments: str) -> tuple[Client, subprocess.Popen[bytes]]:
            command = [sys.executable, "-m", "osmia", "debug", *arguments]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            undo.callback(_finish, process)
            return of_process(process), process

        yield start_


def _finish(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
