"""Addresses to listen on, as people write them."""

from __future__ import annotations

_LOOPBACK = "127.0.0.1"


def parse_address(text: str) -> tuple[str, int]:
    """ "[HOST]:PORT" as host and port; an IPv6 address is in brackets."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address has brackets around it: [::1]:9435")
    if not port.isascii() or not port.isdigit() or int(port) >= 1 << 16:
        raise ValueError(f"{text!r} is no address: [HOST]:PORT, such as :9435")
    return host or _LOOPBACK, int(port)


def shown_address(host: str, port: int) -> str:
    """The same as text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
