"""The verbs of `osmia map` that read and write entries, queues and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import click

from osmia.cli import map_lookup
from osmia.cli.entries import Entries
from osmia.cli.formats import Formats, says_more, taken, takes_formats
from osmia.cli.json_values import typed
from osmia.cli.map_words import data_of, keyed_map
from osmia.cli.options import Deed, Verb, pass_output
from osmia.cli.output import Output, enum_name, hex_list, note, printable
from osmia.cli.targets import Target, only_target, open_map, open_program, take_target
from osmia.cli.typed_text import typed_text
from osmia.engine.maps import BloomFilter, EventMap, Map, QueueMap
from osmia.errors import EmptyMapError, OsmiaError
from osmia.kernel.programs.program import KernelProgram
from osmia.object.uapi import ElementFlag, MapType
from osmia.values import Codec

#: Maps whose values are other things in the kernel, and how those are opened.
_OPEN_VALUE: Mapping[int, Callable[[Target], Map | KernelProgram]] = {
    MapType.ARRAY_OF_MAPS: open_map,
    MapType.HASH_OF_MAPS: open_map,
    MapType.PROG_ARRAY: open_program,
}
_UPDATE_FLAGS = {
    "any": ElementFlag.ANY,
    "exist": ElementFlag.EXIST,
    "noexist": ElementFlag.NOEXIST,
}
#: Words on the command line may be negative numbers.
_WORDS = {"ignore_unknown_options": True}


@click.command("dump", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="MAP")
@takes_formats
@pass_output
def dump_map(output: Output, words: tuple[str, ...], formats: Formats) -> None:
    """Print all entries, typed where the map has BTF, else in hexadecimal."""
    from osmia.cli.dump import dump  # the generators of code, for this verb alone

    with open_map(only_target(words)) as found:
        if output.json:
            from osmia.cli.map_json import is_readable, told_entries  # of types

            if not is_readable(found):
                output.document(list(told_entries(found)))
                return
        dump(Entries(keyed_map(found), formats), output)


@click.command("load", cls=Deed)
@click.argument("words", nargs=-1, metavar="MAP FILE [any|exist|noexist]")
@pass_output
def load_map(output: Output, words: tuple[str, ...]) -> None:
    """Store the entries of FILE, which `map dump -j` wrote; - is standard input.

    The keys and values are taken from the bytes, or, where there are none, as typed values.
    Entries with other keys stay. What cannot be stored ends it, and is said.
    """
    from osmia.cli.restore import restore  # for this verb alone

    target, rest = take_target(words)
    if len(rest) not in (1, 2) or (rest[1:] and rest[1] not in _UPDATE_FLAGS):
        raise click.UsageError("give the map, one file, and any, exist or noexist if need be")
    flags = _UPDATE_FLAGS[rest[1]] if rest[1:] else ElementFlag.ANY
    with open_map(target) as found, click.open_file(rest[0], encoding="utf-8") as file:
        name = "standard input" if rest[0] == "-" else rest[0]
        stored = restore(keyed_map(found), file, name, flags)
    if output.verbose:
        note(f"{stored:,} entries stored")


@click.command("lookup", cls=Verb, json=True, context_settings=_WORDS)
@click.argument("words", nargs=-1, metavar="MAP key KEY")
@takes_formats
@pass_output
def look_up(output: Output, words: tuple[str, ...], formats: Formats) -> None:
    """Print the entry under KEY."""
    map_lookup.look_up(output, words, formats)


@click.command("getnext", cls=Verb, json=True, context_settings=_WORDS)
@click.argument("words", nargs=-1, metavar="MAP [key KEY]")
@takes_formats
@pass_output
def next_key(output: Output, words: tuple[str, ...], formats: Formats) -> None:
    """Print the key after KEY; the first one without it."""
    target, rest = take_target(words)
    with open_map(target) as found:
        keyed = keyed_map(found)
        entries = Entries(keyed, formats)
        key = None
        if rest:
            key = keyed.encode_key(data_of(rest, "key", keyed.key_codec, entries.shown_key))
        after = keyed.next_key(key)
        if after is None:
            raise OsmiaError(f"map {found.name!r} has no further key")
        if output.json:
            before = hex_list(key) if key is not None else None
            output.document({"key": before, "next_key": hex_list(after)})
        else:
            output.line(entries.key_text(after))


@click.command("update", cls=Deed, context_settings=_WORDS)
@click.argument("words", nargs=-1, metavar="MAP key KEY value VALUE [any|exist|noexist]")
@takes_formats
def update(words: tuple[str, ...], formats: Formats) -> None:
    """Store VALUE under KEY; in per-CPU maps for all CPUs, unless it is a JSON array.

    The value of a map of maps is another map, that of a prog array a program: `value pinned
    PATH`, `value id 12`, `value name other`.
    """
    target, rest = take_target(words)
    # A key has a word at least, and a value has, which may be called as what follows them is.
    where = rest.index("value", 2) if "value" in rest[2:] else len(rest)
    flags = _UPDATE_FLAGS.get(rest[-1]) if len(rest) > where + 2 else None
    if flags is not None:
        rest = rest[:-1]
    with open_map(target) as found, ExitStack() as held:
        keyed = keyed_map(found)
        entries = Entries(keyed, formats)
        if keyed.type in _OPEN_VALUE:
            other = only_target(rest[where + 1 :])
            value = held.enter_context(_OPEN_VALUE[keyed.type](other))
        else:
            each_cpu = bool(keyed.cpus) and rest[-1].startswith("[")
            shown = entries.shown_value
            codec = None if each_cpu else keyed.value_codec
            value = data_of(rest[where:], "value", codec, None if each_cpu else shown)
            if keyed.cpus:
                each = value if isinstance(value, list) else [value] * keyed.cpus
                value = [taken(shown, part) for part in each] if each_cpu else each
        key = data_of(rest[:where], "key", keyed.key_codec, entries.shown_key)
        keyed.update(key, value, flags or 0)


@click.command("delete", cls=Deed, context_settings=_WORDS)
@click.argument("words", nargs=-1, metavar="MAP key KEY")
@takes_formats
def delete(words: tuple[str, ...], formats: Formats) -> None:
    """Delete the entry under KEY."""
    target, rest = take_target(words)
    with open_map(target) as found:
        keyed = keyed_map(found)
        shown = Entries(keyed, formats).shown_key
        keyed.delete(data_of(rest, "key", keyed.key_codec, shown))


@click.command("push", cls=Deed, context_settings=_WORDS)
@click.argument("words", nargs=-1, metavar="MAP value VALUE")
@takes_formats
def push(words: tuple[str, ...], formats: Formats) -> None:
    """Add VALUE to a queue, a stack or a Bloom filter."""
    target, rest = take_target(words)
    with open_map(target) as found:
        value = data_of(rest, "value", found.value_codec, _shown_value(found, formats))
        if isinstance(found, BloomFilter):
            found.add(value)
        else:
            _queue(found).push(value)


@click.command("pop", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="MAP")
@takes_formats
@pass_output
def pop(output: Output, words: tuple[str, ...], formats: Formats) -> None:
    """Take the next value out of a queue or a stack, and print it."""
    with open_map(only_target(words)) as found:
        queue = _queue(found)
        _print_next(output, queue, queue.pop, _shown_value(queue, formats))


@click.command("peek", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="MAP")
@takes_formats
@pass_output
def peek(output: Output, words: tuple[str, ...], formats: Formats) -> None:
    """Print the next value of a queue or a stack; it stays."""
    with open_map(only_target(words)) as found:
        queue = _queue(found)
        _print_next(output, queue, queue.peek, _shown_value(queue, formats))


@click.command("event_pipe", cls=Verb, json=True)
@click.argument("words", nargs=-1, metavar="MAP")
@pass_output
def event_pipe(output: Output, words: tuple[str, ...]) -> None:
    """Print the records of a ring or perf buffer as they come, in hexadecimal, until Ctrl-C."""
    with open_map(only_target(words)) as found:
        if not isinstance(found, EventMap):
            raise OsmiaError(f"{enum_name(found.type)} maps have no events")
        found.event_codec = None
        for event in found:
            place, data = event if isinstance(event, tuple) else (None, event)
            if output.json:
                cpu = {} if place is None else {"cpu": place}
                output.record({**cpu, "data": hex_list(data)})
            else:
                output.line(f"{'' if place is None else f'[{place}] '}{data.hex(' ')}")
                output.flush()


def _queue(found: Map) -> QueueMap:
    if not isinstance(found, QueueMap):
        raise OsmiaError(f"{enum_name(found.type)} maps are no queues")
    return found


def _shown_value(found: Map, formats: Formats) -> Codec | None:
    shown = formats.meant(found.value_codec, f"{found.name}.value")
    formats.check(f"map {found.name!r}")
    return shown


def _print_next(
    output: Output, queue: QueueMap, take: Callable[[], Any], shown: Codec | None
) -> None:
    codec, queue.value_codec = queue.value_codec, None  # the bytes, of which nothing is lost
    try:
        data = take()
    except EmptyMapError:
        if output.json:
            output.document(None)
        raise
    means_more = shown is not None and says_more(shown)
    value = data if codec is None else codec.decode(data)
    if output.json:
        from osmia.cli.map_json import told_value

        more = {"shown": typed(shown, value)} if means_more else {}
        output.document({**told_value(queue, data, codec), **more})
    elif means_more:
        output.line(printable(typed_text(shown, value)))
    else:
        output.line(printable(value.hex(" ") if isinstance(value, bytes) else str(value)))
