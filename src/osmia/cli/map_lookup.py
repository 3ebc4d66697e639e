"""One entry of a map: what `osmia map lookup` prints."""

from __future__ import annotations

from collections.abc import Sequence

from osmia.cli.entries import Entries
from osmia.cli.formats import Formats
from osmia.cli.map_words import data_of, keyed_map
from osmia.cli.output import Output
from osmia.cli.targets import open_map, take_target
from osmia.errors import OsmiaError


def look_up(output: Output, words: Sequence[str], formats: Formats | None = None) -> None:
    """The entry of a map under a key, both of which the words name."""
    target, rest = take_target(words)
    with open_map(target) as found:
        keyed = keyed_map(found)
        entries = Entries(keyed, formats)
        key = keyed.encode_key(data_of(rest, "key", keyed.key_codec, entries.shown_key))
        value = keyed.read_encoded(key)
        if value is None:
            if output.json:
                output.document(None)
            raise OsmiaError(f"map {found.name!r} has no such key")
        if output.json:
            output.document(entries.describe(key, value))
        else:
            entries.print(output, key, value)
