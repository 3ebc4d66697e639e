"""How bpftool reads its words: keywords by their beginnings, things by id, name, tag or pin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from osmia.cli.literals import parse_integer

Words = Sequence[str]

#: How programs and maps are named.
TARGETS = ("id", "tag", "name", "pinned")


class Unknown(Exception):
    """The words are not bpftool's."""


def keyword(word: str, names: Words) -> str:
    """The first of `names` that begins with `word`, as bpftool reads keywords; "" for none."""
    return next((name for name in names if word and name.startswith(word)), "")


def targets(words: Words, hows: Words = TARGETS) -> Iterator[tuple[list[str], list[str]]]:
    """The ways to read a program, map or link at the head of words, with what is behind it.

    `id 12` one way; of an abbreviation (`i 12`) osmia's reading, a name alone, comes first.
    """
    if not words:
        return
    how, *rest = words
    exact = how in hows
    if not exact:
        yield [how], list(rest)
    if rest and (exact or keyword(how, hows)):
        yield [how if exact else keyword(how, hows), rest[0]], list(rest[1:])


def options(words: Words, takes: dict[str, tuple[str, bool]]) -> list[str]:
    """Keywords as options: `takes` has the option of each and whether a value follows.

    The option "" is left out, with its value.
    """
    made: list[str] = []
    left = iter(words)
    for word in left:
        name = keyword(word, tuple(takes))
        if not name:
            raise Unknown
        option, has_value = takes[name]
        value = next(left, None) if has_value else ""
        if value is None:
            raise click.UsageError(f"{name!r} is followed by nothing")
        if option:
            made += [option, value] if has_value else [option]
    return made


def number(text: str) -> str:
    """A number as C has it (010, 0x8), in decimal; other words as they are."""
    try:
        return str(parse_integer(text))
    except ValueError:
        return text


def no_more(noun: str, verb: str, words: Words) -> list[str]:
    """VERB THING"""
    for target, rest in targets(words):
        if not rest:
            return [noun, verb, *target]
    raise Unknown


def pin(noun: str, verb: str, words: Words) -> list[str]:
    """pin THING FILE"""
    for target, rest in targets(words):
        if len(rest) == 1:
            return [noun, verb, *target, *rest]
    raise Unknown
