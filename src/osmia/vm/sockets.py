"""Sockets that a test describes, for programs that look some up: which is found, and what programs
see of it (struct bpf_sock, struct bpf_tcp_sock: include/uapi/linux/bpf.h)."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack, pack_into
from typing import TYPE_CHECKING

from osmia.errors import KernelError
from osmia.records import dataclass, field
from osmia.vm.structures import Block

if TYPE_CHECKING:
    from osmia.vm.engine import Vm

Address = IPv4Address | IPv6Address
Place = tuple[str, int]

STATES = (
    *("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE"),
    *("CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)
"""enum tcp states (include/net/tcp_states.h), in order."""
LISTEN = STATES.index("LISTEN")
PARTIAL = (STATES.index("TIME_WAIT"), STATES.index("NEW_SYN_RECV"))
"""States of what is no full socket."""

_PROTOCOLS = {"tcp": (1, 6), "udp": (2, 17)}  # SOCK_STREAM, SOCK_DGRAM
_FAMILIES = {4: 2, 6: 10}  # AF_INET, AF_INET6
_SIZE = 80
_TCP_WORDS = (
    *("snd_cwnd", "srtt_us", "rtt_min", "snd_ssthresh", "rcv_nxt", "snd_nxt", "snd_una"),
    *("mss_cache", "ecn_flags", "rate_delivered", "rate_interval_us", "packets_out"),
    *("retrans_out", "total_retrans", "segs_in", "data_segs_in", "segs_out", "data_segs_out"),
    *("lost_out", "sacked_out"),
)
_TCP_LONG = ("bytes_received", "bytes_acked")
_TCP_REST = ("dsack_dups", "delivered", "delivered_ce", "icsk_retransmits")


@dataclass(frozen=True)
class Socket:
    """A socket of the machine that a test describes.

    `local` and `remote` are addresses and ports; without a remote one it listens (TCP) or takes
    datagrams from everybody. "0.0.0.0" stands for all IPv4 addresses, "::" for those of IPv6 too.
    `state` is a name ("TIME_WAIT"), by default what follows; `tcp` are fields of struct
    bpf_tcp_sock.
    """

    local: Place
    remote: Place | None = None
    protocol: str = "tcp"
    state: str = ""
    mark: int = 0
    priority: int = 0
    interface: int = 0
    cookie: int = 1
    tcp: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.protocol not in _PROTOCOLS:
            raise ValueError(f"protocol={self.protocol!r}: 'tcp' or 'udp'")
        if self.state and self.state not in STATES:
            raise ValueError(f"state={self.state!r}: one of {', '.join(STATES[1:])}")
        unknown = self.tcp.keys() - {*_TCP_WORDS, *_TCP_LONG, *_TCP_REST}
        if unknown:
            raise ValueError(f"struct bpf_tcp_sock has no {', '.join(sorted(unknown))}")
        for place in (self.local, *((self.remote,) if self.remote else ())):
            ip_address(place[0])
            if not 0 <= place[1] <= 0xFFFF:
                raise ValueError(f"{place[1]} is no port")

    @property
    def number(self) -> int:
        """Its state as programs see it."""
        if self.state:
            return STATES.index(self.state)
        if self.remote is not None:
            return STATES.index("ESTABLISHED")
        return LISTEN if self.protocol == "tcp" else STATES.index("CLOSE")

    @property
    def is_full(self) -> bool:
        """Whether it is more than what is left, or comes, of a connection."""
        return self.number not in PARTIAL

    def encode(self) -> bytes:
        """struct bpf_sock."""
        local = ip_address(self.local[0])
        remote = ip_address(self.remote[0]) if self.remote else None
        kind, protocol = _PROTOCOLS[self.protocol]
        family = _FAMILIES[max(local.version, remote.version if remote else 4)]
        data = bytearray(_SIZE)
        numbers = (self.interface, family, kind, protocol, self.mark, self.priority)
        pack_into("<6I", data, 0, *numbers)
        for at, address in ((24, local), (52, remote)):
            if address is not None:
                at += 4 * (address.version == 6)
                data[at : at + len(address.packed)] = address.packed
        pack_into("<I", data, 44, self.local[1])
        pack_into(">H", data, 48, self.remote[1] if self.remote else 0)
        pack_into("<Ii", data, 72, self.number, -1)
        return bytes(data)

    def encode_tcp(self) -> bytes:
        """struct bpf_tcp_sock."""
        words = (self.tcp.get(name, 0) for name in (*_TCP_WORDS, *_TCP_LONG, *_TCP_REST))
        return pack(f"<{len(_TCP_WORDS)}I{len(_TCP_LONG)}Q{len(_TCP_REST)}I", *words)


class Sockets:
    """The sockets of a machine, and where programs find what they see of each. `assigned` are those
    that programs chose for packets and connections (bpf_sk_assign), in order; None for none."""

    def __init__(self, vm: Vm, sockets: Sequence[Socket] = ()) -> None:
        self._vm = vm
        self.sockets = sockets
        self.assigned: list[Socket | None] = []
        self._blocks: dict[int, tuple[Socket, Block]] = {}
        self._addresses: dict[tuple[int, str], int] = {}

    def address(self, socket: Socket, kind: str = "struct bpf_sock") -> int:
        """Where programs find a socket, or its struct bpf_tcp_sock."""
        key = id(socket), kind
        if key not in self._addresses:
            if len(self._blocks) >= 1 << 16:
                raise KernelError(errno.ENOMEM, "look up more than 65,536 sockets")
            tcp = kind != "struct bpf_sock"
            block = Block(self._vm, socket.encode_tcp() if tcp else socket.encode(), kind)
            self._blocks[block.address] = socket, block
            self._addresses[key] = block.address
        return self._addresses[key]

    def at(self, address: int) -> Socket | None:
        """The socket that a program has a pointer to."""
        found = self._blocks.get(address)
        return found[0] if found is not None else None

    def find(
        self, protocol: str, remote: tuple[Address, int], local: tuple[Address, int]
    ) -> Socket | None:
        """The socket that packets from `remote` to `local` are for, as the kernel looks it up: that
        of a connection, else the one that listens and says most about the address."""
        best, found = 0, None
        for socket in self.sockets:
            score = _score(socket, remote, local) if socket.protocol == protocol else 0
            if score > best:
                best, found = score, socket
        return found


def _score(socket: Socket, remote: tuple[Address, int], local: tuple[Address, int]) -> int:
    """How well a socket fits; 0: not at all."""
    address = ip_address(socket.local[0])
    if socket.local[1] != local[1]:
        return 0
    if not address.is_unspecified and address != local[0]:
        return 0
    if address.version == 4 and local[0].version == 6:
        return 0
    if socket.remote is not None:
        there = ip_address(socket.remote[0]), socket.remote[1]
        return 3 if there == remote else 0
    if socket.protocol == "tcp" and socket.number != LISTEN:
        return 0
    return 1 if address.is_unspecified else 2
