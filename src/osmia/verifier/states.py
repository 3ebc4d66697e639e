"""What a visit's lines say: the instruction, and the registers and stack after it."""

from __future__ import annotations

import re

from osmia.named_tuples import NamedTuple
from osmia.verifier.log import VerifierLog

#: Behind the instruction stands what it changed; in a log of level 1 that was cut back to it, the
#: whole state before the next one.
_VISIT = re.compile(
    r"\d+: \([0-9a-f]{2}\) (.*?)(?: *; (.*)| \d+: ((?:frame\d+: ?)?(?:R\d|fp-|refs=).*))?$"
)
_PLACE = r"(R\d+|fp-\d+|refs)"
#: A value has brackets in brackets, with spaces: var_off=(0x0; 0xff).
_VALUE = re.compile(rf"\b{_PLACE}(?:_[rwP]+)?=([^\s(]*(?:\((?:[^()]|\([^()]*\))*\))?)")
_FRAME = re.compile(r"(?:^|: ?)frame(\d+):")
_STATE_LINE = re.compile(r"\n(?:\d+: ?| )((?:frame\d+: ?)?(?:R\d|fp-).*)")

#: What follows is of another visit.
_UNRELATED = re.compile(r"(?:^|\n)(?:from \d|cur state:|old state:)")

#: A state has no more than eleven registers and 64 words of stack, in each of eight frames.
_MOST_VALUES = 1024

State = dict[str, str]
"""What the verifier knows of registers ("R6") and words of stack ("fp-8")."""


class Visit(NamedTuple):
    """What the log says of a visit: the instruction as text, what it changed, and the frame that
    these values are in (None: not said)."""

    text: str
    after: State
    frame: int | None


def visit(log: VerifierLog, number: int) -> Visit:
    """The visit of that number."""
    said = log.after(number)
    line, *rest = said.split("\n", 1)
    found = _VISIT.match(line.rstrip("\r"))
    text, comment = (found[1], found[2] or found[3] or "") if found else (line, "")
    if text.startswith("call") and found is not None and found[3]:
        return Visit(text.strip(), {}, None)  # of the callback, which is another frame
    frame, after = state(comment)
    if rest:
        # The state before the next instruction, which Linux before 5.18 always prints.
        last = None
        for last in _STATE_LINE.finditer("\n" + _UNRELATED.split(rest[0], 1)[0]):  # noqa: B007
            pass
        if last is not None and "\ncallee:" not in said:
            shown, values = state(last[1])
            frame = shown if frame is None else frame
            after = {**values, **after} if shown == frame else after
    return Visit(text.strip(), after, frame)


def entry_state(log: VerifierLog, number: int) -> State:
    """The state that stands in front of a visit, if one does: what a function begins with."""
    end = log.starts[number]
    before = log.data[max(log.start, end - 2048) : end].decode("utf-8", "replace")
    found = list(_STATE_LINE.finditer("\n" + before))
    return state(found[-1][1])[1] if found else {}


def state(text: str) -> tuple[int | None, State]:
    """The frame that is named, and the values; frame 0 has no name."""
    if not text:
        return None, {}
    frame = _FRAME.search(text)
    values = {}
    for found in _VALUE.finditer(text):
        values[found[1]] = found[2]
        if len(values) == _MOST_VALUES:
            break
    return (int(frame[1]) if frame else 0), values
