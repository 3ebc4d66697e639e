"""The words behind a map on a command line: keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from osmia.cli.formats import taken
from osmia.cli.literals import parse_hex, parse_integer, parse_literal
from osmia.cli.output import enum_name
from osmia.cli.usage import usage_error
from osmia.engine.maps import KeyedMap, Map
from osmia.errors import OsmiaError
from osmia.values import Codec


def data_of(
    words: Sequence[str], keyword: str, codec: Codec | None, shown: Codec | None = None
) -> Any:
    """The key or value behind its keyword: one word of the type `codec`, or bytes.

    `shown` is the type with what it means, whose notation is taken."""
    first, *rest = words or [""]
    if first != keyword:
        found = f"not {' '.join(words)!r}" if words else "and there is nothing"
        raise usage_error(f"expected the word `{keyword}` and the {keyword} here, {found}")
    if not rest:
        raise usage_error(f"there is no {keyword} behind the word `{keyword}`")
    if rest[0] == "hex" and rest[1:]:
        return parse_hex(" ".join(rest[1:]))
    if len(rest) == 1:
        return taken(shown, parse_literal(rest[0], shown or codec))
    try:
        return bytes(map(parse_integer, rest))
    except ValueError:
        raise usage_error(f"{' '.join(rest)!r} are no bytes") from None


def keyed_map(found: Map) -> KeyedMap:
    """The map, if it has entries to look up; OsmiaError else."""
    if not isinstance(found, KeyedMap):
        raise OsmiaError(f"{enum_name(found.type)} maps have no entries to look up")
    return found
