"""`--format FIELD=ip|mac|time|…`: how to show fields that do not say themselves what they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from osmia.cli.usage import usage_error
from osmia.named_tuples import NamedTuple
from osmia.object import MapType
from osmia.values import Codec
from osmia.values.meant import MeantCodec, meanings, meant_codec
from osmia.values.names import unknown_name

if TYPE_CHECKING:
    from osmia.engine.maps import Map
    from osmia.values.meaning import Kind

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])

#: What tells nothing more than plain JSON does.
_ALIKE_IN_JSON = frozenset({"ktime", "plain"})


def takes_formats(command: AnyCommand) -> AnyCommand:
    """Add --format to a command, which gets `formats`."""
    import click  # whose command it is

    option = click.option(
        "--format",
        "formats",
        multiple=True,
        metavar="FIELD=KIND",
        callback=lambda _ctx, _param, texts: Formats(texts),
        help="Show a field as ip, port, be (network order), mac, text, time (ns of the monotonic"
        " clock), boottime, ktime (ns as seconds), hex or plain; dotted names (more than once).",
    )
    return option(command)


class MapTypes(NamedTuple):
    """How keys and values are shown; None: as bytes."""

    key: Codec | None
    value: Codec | None


class Formats:
    """What was asked for, and which fields there were to choose from.

    A field is named by its path, or the end of it: `flows.value.peer.addr`, `value.peer.addr`,
    `peer.addr`, `addr`; `key` and `value` are a map's, an event has the name of its map.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._asked: dict[str, str] = {}
        self._met: set[str] = set()
        self._paths: dict[str, None] = {}
        self._unfit: dict[str, str] = {}
        self._made: dict[tuple[str, Codec], Codec] = {}
        for text in texts:
            self._add(text)

    def _add(self, text: str) -> None:
        import click

        from osmia.values.meaning import FORMATS

        field, equals, word = text.rpartition("=")
        if not field or not equals:
            raise click.BadParameter(f"{text!r} is not FIELD=KIND, such as saddr=ip")
        if word not in FORMATS:
            message = unknown_name("--format", word, FORMATS)
            raise click.BadParameter(f"{message}; there are {', '.join(FORMATS)}")
        self._asked[field] = word

    def meant(self, codec: Codec | None, path: str) -> Codec | None:
        """The type as it is to be shown: `osmia.values.meant.meant_codec` with what was asked.

        None for bytes whose type is not known.
        """
        if codec is None:
            return None
        made = self._made.get((path, codec))
        if made is None:
            asked, name = self if self._asked else None, path.rpartition(".")[2]
            made = self._made[path, codec] = meant_codec(codec, name, asked, path)
        return made

    def map_types(self, source: Map, name: str, key: Any, value: Any) -> MapTypes:
        """The types of a map's keys and values as they are to be shown, of those that are known.

        The keys of tries are networks, unless something else was asked for them or for a member.
        """
        path = f"{name}.key"
        shown = self.meant(key, path)
        if source.type == MapType.LPM_TRIE and not self._are_named(path):
            shown = self._network(key, source.key_size) or shown
        return MapTypes(shown, self.meant(value, f"{name}.value"))

    def _network(self, codec: Codec | None, size: int) -> Codec | None:
        from osmia.values import plain_codec
        from osmia.values.meaning import trie_key_meaning

        if trie_key_meaning(codec, size) is None:
            return None
        return MeantCodec(codec or plain_codec(size, sys.byteorder), "network")

    def kind_of(self, path: str, codec: Codec) -> Kind | None:
        """What was asked for the field of a path, if it can be that."""
        from osmia.values.meaning import kind_named

        self._paths[path] = None
        for field, word in self._asked.items():
            if self._is_named(path, field):
                kind = kind_named(word, codec)
                if kind is not None:
                    self._met.add(field)
                    return kind
                self._unfit[field] = codec.type_name
        return None

    def check(self, owner: str) -> None:
        """UsageError for a field that there was not, in all the types that were given."""
        for field, word in self._asked.items():
            if field in self._met:
                continue
            if of_type := self._unfit.get(field):
                raise usage_error(f"--format {field}={word}: {of_type} cannot be shown as {word}")
            known = list(self._paths) + [path.rpartition(".")[2] for path in self._paths]
            raise usage_error(f"--format: {unknown_name(owner, field, known, kind='field ')}")

    def check_loaded(self, loaded: Any, events: Mapping[str, Codec]) -> None:
        """`check` for a loaded object: its maps, its global variables, and its events' types."""
        if not self._asked:
            return
        for name, codec in events.items():
            self.meant(codec, name)
        for name, each in loaded.maps.items():
            self.map_types(each, name, each.key_codec, each.value_codec)
        for name in loaded.data:
            self.meant(loaded.data.slot(name).codec, name)
        self.check(f"object {loaded.object.name!r}")

    def _are_named(self, path: str) -> bool:
        """Whether something was asked for what has a path, or for what is in it."""
        inner = [each for each in self._paths if each == path or each.startswith(f"{path}.")]
        return any(self._is_named(each, field) for each in inner for field in self._asked)

    @staticmethod
    def _is_named(path: str, field: str) -> bool:
        return path == field or path.endswith(f".{field}")


def taken(shown: Codec | None, value: Any) -> Any:
    """A word of the command line as a value for the type that is `shown` so: bytes where it means
    something. A network stays text, which tries take."""
    if shown is None or isinstance(value, bytes) or not any(meanings(shown)):
        return value
    if isinstance(shown, MeantCodec) and shown.kind == "network":
        return value
    return shown.encode(value)


def says_more(*codecs: Codec | None) -> bool:
    """Whether values of the types, as they are shown, are more than numbers in JSON too."""
    return any(
        kind not in _ALIKE_IN_JSON
        for codec in codecs
        if codec is not None
        for kind in meanings(codec)
    )
