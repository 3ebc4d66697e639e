"""What an errno value of a map operation means: exceptions as the kernel engine raises them."""

from __future__ import annotations

import errno

from osmia.errors import KernelError


class MissingKeyError(KernelError, KeyError):
    """The map has no such key (ENOENT): a `KeyError` that is a `KernelError` too."""


class KeyExistsError(KernelError, FileExistsError):
    """An update with NOEXIST found the key in the map (EEXIST)."""


class MapFullError(KernelError):
    """A new key found no room: the map holds `max_entries` entries (E2BIG)."""


class EmptyMapError(KernelError, LookupError):
    """A pop or peek found the queue or stack empty (ENOENT)."""


_KINDS: dict[int, type[KernelError]] = {
    errno.ENOENT: MissingKeyError,
    errno.EEXIST: KeyExistsError,
    errno.E2BIG: MapFullError,
}


def map_error(number: int, verb: str, name: str, key: object = None) -> KernelError:
    """The exception for an errno value of an operation on a map."""
    hint = f"key {key!r:.80}" if key is not None else ""
    return _KINDS.get(number, KernelError)(number, f"{verb} map {name!r}", hint=hint)
