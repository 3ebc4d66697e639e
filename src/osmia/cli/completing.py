"""What a shell offers where a word is to be completed: what the kernel holds, pins, devices, and
what is in the files of the command line.

What the words behind a command are, its metavar says ("MAP key KEY value VALUE"): `offered` walks
through it with the words that are there. Nothing is said when something goes wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

#: How things are named, by their word in a metavar, and what they are in the kernel.
_HOWS = {
    "PROG": ("id", "name", "tag", "pinned"),
    "MAP": ("id", "name", "pinned"),
    "LINK": ("id", "pinned"),
    "STRUCT_OPS": ("id", "name", "pinned"),
}
_KINDS = {"PROG": "program", "MAP": "map", "LINK": "link", "STRUCT_OPS": "map"}
#: Words of metavars for which the shell offers files.
_FILES = ("PATH", "FILE", "OBJECT", "DIR")
#: What parameters that are no such words are called, and what completes them.
_BTF = ("id", "prog", "map", "file", "vmlinux")
_LARGEST = 64 << 20

Items = Iterable[CompletionItem]


def offered(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The completions of a parameter's word; [] for one of which nothing is known."""
    try:
        found = list(_of(ctx, param))
    except Exception:  # a shell that asks wants no traceback between its prompt's lines
        return []
    return [each for each in found if each.type != "plain" or each.value.startswith(incomplete)]


def _of(ctx: click.Context, param: click.Parameter) -> Items:
    metavar, name = param.metavar or "", param.name or ""
    if metavar == "BTF":
        return _btf(ctx.params.get(name) or ())
    if name in _BY_NAME:
        return _BY_NAME[name](ctx)
    if param.nargs == -1 and metavar:
        return _in_words(metavar, list(ctx.params.get(name) or ()))
    if metavar in _HOWS:
        return things(metavar)
    return ()


def _in_words(metavar: str, given: list[str]) -> Items:
    """Where the words behind a command stand in its metavar, and what may come there."""
    tokens = re.findall(r"[\w|]+", metavar)
    while tokens:
        token, *tokens = tokens
        optional = re.search(rf"\[[^\[]*\b{re.escape(token)}", metavar) is not None
        if token in _HOWS:
            hows = _HOWS[token]
            if not given:
                return [*things(token), *_plain(hows), *_file(token)]
            if given[0] in hows and len(given) == 1:
                return things(token, given[0])
            given = given[2 if given[0] in hows else 1 :]
        elif token in ("KEY", "VALUE"):
            if not given:
                return _plain(["hex"])
            ends = [word for each in tokens for word in each.split("|") if word in given[1:]]
            if not ends:
                return _plain([*["hex"][len(given) :], *_words(tokens[0])]) if tokens else ()
            given = given[given.index(ends[0], 1) :]
        elif token in _FILES:
            if not given:
                return _files()
            given = given[1:]
        elif not given:
            # What may be left out may be followed by the next.
            rest = _in_words(metavar.partition(token)[2], []) if optional and not tokens else ()
            return [*_plain(_words(token)), *rest]
        elif given[0] in _words(token):
            given = given[1:]
    return ()


def _words(token: str) -> list[str]:
    """The words that a token of a metavar stands for: those in lower case are themselves."""
    if token == "HOOK":
        from osmia.cli.sockmaps import HOOKS

        return list(HOOKS)
    return [word for word in token.split("|") if word.islower()]


def things(token: str, how: str = "") -> Items:
    """Programs, maps or links, by id, name, tag or pin; names and ids without `how`."""
    if how == "pinned":
        return [*_pins(_KINDS[token]), *_files()]
    infos = list(_infos(token))
    told = {str(each.id): _about(each) for each in infos}
    named: dict[str, str] = {}
    for each in infos:
        name = getattr(each, "tag" if how == "tag" else "name", "")
        if name:
            named[name] = f"{named[name]}, {each.id}" if name in named else f"id {each.id}"
    by_name = [CompletionItem(name, help=about) for name, about in sorted(named.items())]
    by_id = [CompletionItem(number, help=about) for number, about in told.items()]
    return {"id": by_id, "name": by_name, "tag": by_name}.get(how, [*by_name, *by_id])


def _infos(token: str) -> Iterator[Any]:
    from osmia.kernel.inventory import iterate

    if token == "STRUCT_OPS":
        from osmia.object import MapType

        return (each for each in iterate.maps() if each.type == MapType.STRUCT_OPS)
    if token == "LINK":
        return iter(iterate.links())
    return iter(iterate.programs() if token == "PROG" else iterate.maps())


def _about(info: Any) -> str:
    from osmia.cli.output import enum_name

    return f"{enum_name(info.type)} {getattr(info, 'name', '')}".strip()


def _pins(kind: str) -> Items:
    from osmia.kernel.inventory import holders

    found = (paths for (each, _), paths in holders.pinned().items() if each == kind)
    return [CompletionItem(str(path)) for path in sorted(chain.from_iterable(found))]


def _file(token: str) -> Items:
    return () if token == "STRUCT_OPS" else _files()


def _files() -> Items:
    return [CompletionItem("", type="file")]


def _plain(words: Iterable[str]) -> Items:
    return [CompletionItem(word) for word in words]


def _btf(given: Sequence[str]) -> Items:
    match list(given):
        case []:
            return [*_plain(_BTF), *_files()]
        case ["id"]:
            from osmia.kernel.inventory import iterate

            return [CompletionItem(str(each.id), help=each.name) for each in iterate.btfs()]
        case ["file"]:
            return _files()
        case ["prog", *rest]:
            return _in_words("PROG", rest)
        case ["map", *rest]:
            return _in_words("MAP [key|value|kv|all]", rest)
    return ()


def devices(_ctx: click.Context) -> Items:
    """The network devices of this namespace."""
    import socket

    return _plain(name for _, name in socket.if_nameindex())


def _object(ctx: click.Context) -> Any:
    """The object in the file of the command line: none of C source, which a compiler would take."""
    from osmia.formats import open_object

    # Words behind an option that still lacks its value click leaves unread.
    given = [ctx.params.get(name) for name in ("file", "files", "target", "out")] + ctx.args
    for each in (path for one in given for path in (one if isinstance(one, tuple) else (one,))):
        path = Path(each or "")
        if path.is_file() and path.suffix != ".c" and path.stat().st_size < _LARGEST:
            return open_object(path)
    raise LookupError


def programs(ctx: click.Context) -> Items:
    """The programs of the file."""
    found = _object(ctx).programs
    return [CompletionItem(name, help=each.section) for name, each in found.items()]


def functions(ctx: click.Context) -> Items:
    """The functions of the file, programs among them."""
    return _plain(_object(ctx).functions)


def sections(ctx: click.Context) -> Items:
    """The sections with programs of the file, and these programs."""
    found = _object(ctx).programs
    names = dict.fromkeys(each.section for each in found.values())
    return [*_plain(names), *programs(ctx)]


def variables(ctx: click.Context) -> Items:
    """The global variables of the file, with an equals sign."""
    data = _object(ctx).data
    return [CompletionItem(f"{name}=", help=str(data[name])) for name in data]


def maps_of_file(ctx: click.Context) -> Items:
    """The maps of the file, with an equals sign."""
    return [CompletionItem(f"{name}=") for name in _object(ctx).maps]


def buffers_of_file(ctx: click.Context) -> Items:
    """The ring and perf buffers of the file."""
    from osmia.object import MapType

    kinds = (MapType.RINGBUF, MapType.PERF_EVENT_ARRAY)
    return _plain(name for name, each in _object(ctx).maps.items() if each.type in kinds)


def types() -> Items:
    """Program types, as sections are called."""
    from osmia.object.sections import section_definitions

    return _plain(sorted({name.removesuffix("+") for name in section_definitions()}))


def map_types() -> Items:
    """The kernel's map types."""
    from osmia.object import MapType

    return _plain(each.name.lower() for each in MapType if each)


_BY_NAME: dict[str, Callable[[click.Context], Items]] = {
    "device": devices,
    "interface": devices,
    "iface": devices,
    "section": sections,
    "names": lambda ctx: functions(ctx) if ctx.info_name == "inspect" else programs(ctx),
    "kind": lambda ctx: map_types() if ctx.info_name == "create" else types(),
    "cgroup": lambda _ctx: [CompletionItem("", type="dir")],
    "keep": programs,
    "program": programs,
    "packet": lambda _ctx: _files(),
    "pcap": lambda _ctx: _files(),
    "places": programs,
    "tries": programs,
    "assignments": variables,
    "moves": lambda ctx: _plain(_object(ctx).data),
    "reused": maps_of_file,
    "logs": buffers_of_file,
    "inner": lambda _ctx: things("MAP"),
}
