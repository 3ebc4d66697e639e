"""How tools show what the kernel has as numbers: errors, addresses, amounts of bytes."""

from __future__ import annotations

import errno


class Bytes(int):
    """So many bytes; in a row they are short: "1.5M"."""

    def __format__(self, spec: str) -> str:
        amount, unit = float(self), ""
        for larger in "KMGTPE":
            if amount < 1000:
                break
            amount, unit = amount / 1024, larger
        return format(f"{amount:.{int(bool(unit) and amount < 10)}f}{unit}", spec)


def errno_name(result: int) -> str:
    """ "ENOENT" for a system call's -2; nothing for one that was no error."""
    return errno.errorcode.get(-result, str(-result)) if result < 0 else ""


def address_text(address: bytes) -> str:
    """An IPv6 address; one of IPv4 that is mapped into it as what it is."""
    from ipaddress import IPv6Address

    whole = IPv6Address(address)
    return str(whole.ipv4_mapped or whole)
