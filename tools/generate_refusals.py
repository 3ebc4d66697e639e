#!/usr/bin/env python3
"""Write docs/refusals.md: the kinds of refusal, what each means, what to write instead.

The list is osmia.refusals; the programs that show each kind are tests/refusals/programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from osmia.refusals import FAMILIES, Family, Refusal

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/refusals.md"
PROGRAMS = ROOT / "tests/refusals/programs"

HEAD = """\
# Why the verifier refuses a program

Made by `tools/generate_refusals.py` from `osmia.refusals`. The kind stands in
`osmia.VerifierError.kind`, with `hint` beside it, and in the JSON of the command's errors:

    $ osmia -j prog load limit.bpf.c /sys/fs/bpf/limit
    {"error": "…", "kind": "packet-bounds", "hint": "write if (pointer + …"}

`R6`, `{call}` and such stand for what the log names. Each kind has a program among the tests that
is refused for it, and that loads as soon as the hint is followed.
"""


def render() -> str:
    """The document."""
    return "\n".join([HEAD, *(line for family in FAMILIES for line in _family(family))]) + "\n"


def _family(family: Family) -> Iterator[str]:
    yield f"## {family.title}"
    yield ""
    for kind in family.kinds:
        yield from _kind(kind)


def _kind(kind: Refusal) -> Iterator[str]:
    yield f"### {kind.name}"
    yield ""
    yield f"{_sentence(kind.means)}"
    yield ""
    yield f"*Write instead:* {_plain(kind.hint)}."
    yield ""
    since = f"Since Linux {kind.since}. " if kind.since else ""
    yield f"{since}The rule: {kind.rule}."
    yield ""


def _sentence(words: str) -> str:
    words = _plain(words)
    return words[0].upper() + words[1:] + "."


def _plain(words: str) -> str:
    words = words.replace("{where}", "").replace("{value}", "the pointer")
    words = words.replace("{register}", "the register")
    words = re.sub(r"\{(\w+)\}", r"*\1*", words)
    return re.sub(r"([<>_])", r"\\\1", words)


if __name__ == "__main__":
    DOCUMENT.write_text(render(), encoding="utf-8")
