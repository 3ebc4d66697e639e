"""Tars from anywhere: their regular files, by name. What makes `tarfile` take more memory than the
tar has bytes, go round in circles or follow links is refused or left out."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from osmia.images.errors import ImageError

#: How many entries a tar may have.
_MOST_ENTRIES = 1 << 14


@contextmanager
def opened(file: BinaryIO, what: str) -> Iterator[tuple[tarfile.TarFile, list[tarfile.TarInfo]]]:
    """A tar and its regular files; ImageError ("`what`: …") for what is none."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            yield archive, list(_regular(archive, what))
    except ImageError:
        raise
    except (tarfile.TarError, ValueError, EOFError, RecursionError, OverflowError) as error:
        raise ImageError(f"{what}: {error}") from None


def _regular(archive: tarfile.TarFile, what: str) -> Iterator[tarfile.TarInfo]:
    last = -1
    for number, each in enumerate(archive):
        if number >= _MOST_ENTRIES:
            raise ImageError(f"{what}: it has more than {_MOST_ENTRIES:,} entries")
        if each.size < 0 or each.offset <= last:  # the next one would be this one again
            raise ImageError(f"{what}: an entry of {each.size} bytes")
        last = each.offset
        if each.isreg() and not each.issparse():  # holes of terabytes have no bytes in the tar
            yield each
