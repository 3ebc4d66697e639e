#!/usr/bin/env python3
"""Write docs/refusals.md: the kinds of refusal, what each means, what to write instead.

The list is osmia.refusals; tests/refusals has a program for each kind, and what kernels said of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from osmia.kernel.programs.verifier_log import explain
from osmia.refusals import FAMILIES, Family, Refusal

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/refusals.md"
LOGS = ROOT / "tests/refusals/logs"

HEAD = """\
# Why the verifier refuses a program

Made by `tools/generate_refusals.py` from `osmia.refusals`. The kind stands in
`osmia.VerifierError.kind`, with `hint` beside it, and in the JSON of the command's errors:

    $ osmia -j prog load limit.bpf.c /sys/fs/bpf/limit
    {"error": "…", "kind": "packet-bounds", "hint": "write if (pointer + …"}

The first lines are the verifier's, of Linux 6.18 and, where it words it differently, of 6.1;
*words* stand for what the log names. Each kind has a program among the tests
(`tests/refusals/programs`) that is refused for it, and that loads as soon as the hint is followed.
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
    for complaint in _complaints(kind):
        yield f"    {complaint}"
    yield ""
    yield f"{_sentence(kind.means)}"
    yield ""
    yield f"*Write instead:* {_plain(kind.hint)}."
    yield ""
    since = f"Since Linux {kind.since}. " if kind.since else ""
    yield f"{since}The rule: {kind.rule}."
    yield ""


def _complaints(kind: Refusal) -> list[str]:
    """What the verifier says, in the words of Linux 6.18, and of 6.1 where those are others."""
    told: list[str] = []
    for logs in map(_recorded, ("6.18", "6.1")):
        for name in (kind.name, *sorted(logs)):
            if name in logs and explain(logs[name]).kind == kind.name:
                complaint = re.sub(r" acquired at .*?(?=;|$)", "", explain(logs[name]).message)
                if not any(_alike(complaint, each) for each in told):
                    told.append(complaint)
                break
    return told


def _alike(one: str, other: str) -> bool:
    """Whether complaints differ in numbers only."""
    return re.sub(r"\d+", "", one) == re.sub(r"\d+", "", other)


@cache
def _recorded(version: str) -> dict[str, str]:
    text = (LOGS / f"{version}.txt").read_text(encoding="utf-8")
    parts = re.split(r"^=== (\S+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


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
