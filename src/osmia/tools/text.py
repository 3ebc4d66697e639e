"""How tools show what the kernel has as numbers: addresses, amounts of bytes, processes."""

from __future__ import annotations

from pathlib import Path


class Bytes(int):
    """So many bytes; in a row they are short: "1.5M"."""

    def __format__(self, spec: str) -> str:
        amount, unit = float(self), ""
        for larger in "KMGTPE":
            if amount < 1000:
                break
            amount, unit = amount / 1024, larger
        return format(f"{amount:.{int(bool(unit) and amount < 10)}f}{unit}", spec)


def address_text(address: bytes) -> str:
    """An IPv6 address; one of IPv4 that is mapped into it as what it is."""
    from ipaddress import IPv6Address

    whole = IPv6Address(address)
    return str(whole.ipv4_mapped or whole)


def process_name(pid: int) -> str:
    """A process's number and name, as long as it is there; of one that ended its number."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return str(pid)
    return f"{pid} {name}"
