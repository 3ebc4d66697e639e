"""The words behind `bpftool map`, rewritten as osmia's; see `bpftool_grammar`."""

from __future__ import annotations

import click

from osmia.cli.bpftool_reading import TARGETS, Unknown, Words, keyword, number, targets

_FLAGS = ("any", "exist", "noexist")


def map_create(noun: str, verb: str, words: Words) -> list[str]:
    """create FILE type T key N value N entries N name NAME [flags N] [inner_map MAP] …"""
    if not words or words[0].startswith("-"):
        raise Unknown
    made, left = [noun, verb, words[0]], list(words[1:])
    numbers = {"key": "--key", "value": "--value", "entries": "--entries", "flags": "--flags"}
    while left:
        name = keyword(left[0], ("type", "name", *numbers, "inner_map", "offload_dev"))
        if not name or len(left) < 2:
            raise Unknown
        if name == "offload_dev":
            raise click.UsageError(
                "`osmia map create` makes maps of this machine; in Python,"
                " osmia's Map.create(ifindex=…) makes one on a device"
            )
        if name == "inner_map":
            *_, (target, left) = targets(left[1:])
            made += ["--inner", target[-1]]
            continue
        made += [numbers.get(name, f"--{name}"), number(left[1]) if name in numbers else left[1]]
        left = left[2:]
    return made


def map_entry(noun: str, verb: str, words: Words) -> list[str]:
    """lookup|getnext|delete|update|push|enqueue MAP [key DATA] [value VALUE] [FLAG]"""
    for target, rest in targets(words):
        if not rest:
            return [noun, "peek" if verb == "lookup" else verb, *target]
        if keyword(rest[0], ("key",)):
            where = _value_keyword(rest) if verb == "update" else len(rest)
            key, value = ["key", *rest[1:where]], rest[where:]
        elif keyword(rest[0], ("value",)):
            key, value = [], rest
        else:
            continue
        if key and verb in ("push", "enqueue"):
            raise click.UsageError(f"{verb!r} takes no key: `osmia map update` does")
        if not key and verb == "update":
            verb = "push"  # what bpftool does with a queue
        return [noun, verb, *target, *key, *(_value(value) if value else [])]
    raise Unknown


def _value_keyword(words: list[str]) -> int:
    """Where the word `value` stands behind a key; an abbreviation only where it stands nowhere."""
    if "value" in words[2:]:
        return words.index("value", 2)
    found = (i for i in range(2, len(words)) if keyword(words[i], ("value",)))
    return next(found, len(words))


def _value(words: list[str]) -> list[str]:
    """`value` and what is behind it: bytes, a map or a program; then flags."""
    body = words[1:]
    flag = keyword(body[-1], _FLAGS) if len(body) > 1 else ""
    if flag and body[0] == "hex" and body[-1] in ("a", "e"):
        flag = ""  # a byte
    if flag:
        body = body[:-1]
    if len(body) == 2 and body[0] != "hex" and keyword(body[0], TARGETS):
        body = [keyword(body[0], TARGETS), body[1]]
    return ["value", *body, *([flag] if flag else [])]


def event_pipe(noun: str, verb: str, words: Words) -> list[str]:
    """event_pipe MAP [cpu N index M]"""
    for target, rest in targets(words):
        if not rest:
            return [noun, verb, *target]
        if keyword(rest[0], ("cpu", "index")):
            raise click.UsageError(
                "`osmia map event_pipe MAP` reads the events of all CPUs, and says which of each"
            )
    raise Unknown
