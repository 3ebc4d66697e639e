"""xdp-filter: drop what comes from some addresses or goes to some ports, and count it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Annotated, Any

from osmia.tools.programs import open_program
from osmia.tools.running import Summary

LINE = "{rule:<39} {packets:>10} {bytes:>14}"
PROTOCOLS = {"tcp": 6, "udp": 17}


@contextmanager
def xdp_filter(
    interface: str,
    *,
    deny: Annotated[tuple[str, ...], "A source (10.0.0.0/8, fe80::1) or a port (udp/53)."] = (),
) -> Iterator[Summary[dict[str, int]]]:
    """Drop what comes from denied addresses or goes to denied ports, and count it.

    VLANs and headers behind IPv6's own are not looked into: such packets pass.
    """
    with open_program("xdp_filter").load() as loaded:
        rules = {rule: _place(loaded.maps, rule) for rule in deny}
        for entries, key in rules.values():
            entries[key] = {}
        with loaded.programs["filter"].attach(interface):
            yield Summary("rule", LINE, lambda: {r: dict(of[k]) for r, (of, k) in rules.items()})


def _place(maps: Any, rule: str) -> tuple[Any, Any]:
    """The map and the key of a rule. ValueError for what is none."""
    protocol, _, port = rule.partition("/")
    if protocol in PROTOCOLS and port.isdecimal() and int(port) < 1 << 16:
        return maps["services"], PROTOCOLS[protocol] << 16 | int(port)
    network = ip_network(rule)
    before = b"" if network.version == 6 else bytes(10) + b"\xff\xff"
    address = before + network.network_address.packed
    return maps["sources"], {"bits": 8 * len(before) + network.prefixlen, "address": address}
