"""Commands that show: frames, source, instructions, registers, memory, maps, the packet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from osmia.debugger.breakpoints import Breakpoint
from osmia.debugger.errors import DebuggerError
from osmia.debugger.frames import NAMES
from osmia.debugger.terminal import screen
from osmia.debugger.terminal.stopping import all_points
from osmia.debugger.terminal.words import command, count

if TYPE_CHECKING:
    from osmia.debugger.terminal.console import Console

_SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
_X = re.compile(r"/(\d*)([a-z]*)\s*(.*)$")
_AROUND = 5
_MOST_MEMORY = 1 << 20


@command("print p inspect", "[/FORMAT] EXPRESSION", completes="value")
def print_(console: Console, rest: str) -> None:
    """The value of an expression; /x /d /u /o /t /c say how numbers are written."""
    found = re.match(r"/([xduotca])\s+(.*)$", rest)
    style, text = (found[1], found[2]) if found else ("", rest)
    if not text:
        raise DebuggerError("print what?")
    name = text.removeprefix("$")
    if name in NAMES and not style:
        console.screen.line(f"{text} = {console.frame.registers[name]}")
        return
    value = console.session.evaluate(text, console.index)
    console.screen.line(f"{text} = {screen.shown(console.session, value, style)}")


@command("display", "[EXPRESSION]", completes="value")
def display(console: Console, rest: str) -> None:
    """Print an expression at each stop."""
    if rest:
        console.displayed.append(rest)
    for text in console.displayed:
        print_(console, text)


@command("undisplay")
def undisplay(console: Console, rest: str) -> None:
    """Print nothing at each stop any more."""
    console.displayed.clear()


@command("x", "[/COUNT FORMAT SIZE] ADDRESS", completes="value")
def examine(console: Console, rest: str) -> None:
    """Memory at an address: x/4xw r1 is four words of 4 bytes; sizes b, h, w, g; i: code."""
    found = _X.match(rest)
    number, letters, text = (found[1], found[2], found[3]) if found else ("", "", rest)
    amount = int(number or 1)
    size = next((_SIZES[letter] for letter in letters if letter in _SIZES), 4)
    letter = next((letter for letter in letters if letter not in _SIZES), "x")
    if letter == "i":
        if text.strip() not in ("", "pc", "$pc"):
            raise DebuggerError("x/i shows the code around the run, and takes no other address")
        disassemble(console, str(amount))
        return
    if not text:
        raise DebuggerError("memory where? x needs an address")
    session = console.session
    address = session.evaluate(text, console.index)
    if not isinstance(address, int):
        raise DebuggerError(f"{text} is no address")
    if letter == "s":
        data = session.memory(address, 256).partition(b"\0")[0]
        console.screen.line(f"{address:#x}:  {data!r}")
        return
    if amount * size > _MOST_MEMORY:
        raise DebuggerError(f"{amount * size} bytes: {_MOST_MEMORY} at once are the most")
    data = session.memory(address, amount * size)
    console.screen.lines(screen.hex_lines(address, data, size, amount, letter))


@command("list l", "[LINE|FUNCTION]", again=True, completes="line")
def list_(console: Console, rest: str) -> None:
    """Source around the selected frame, or a line; again: what follows."""
    frame = console.frame
    if not frame.line:
        raise DebuggerError("there are no source lines here: disassemble shows the code")
    if rest.isdigit():
        middle = int(rest)
    elif rest:
        middle = _line_of_function(console, rest)
    else:
        middle = frame.line if console.listed is None else console.listed + _AROUND + 1
    lines = console.session.source(frame, around=_AROUND, line=middle)
    if not lines:
        raise DebuggerError("there are no more lines")
    for each in lines:
        mark = "=>" if each.current else ""
        console.screen.listed(f"{mark:2}{each.number:>4}", each.text, "green" if mark else "dim")
    console.listed = lines[-1].number


def _line_of_function(console: Console, name: str) -> int:
    code = console.frame.code
    for start, function in code.functions.items():
        line = code.line_at(start)
        if function.name == name and line is not None:
            return line.line
    raise DebuggerError(f"there is no function {name!r} in this program")


@command("disassemble disas", "[AROUND]", completes="line")
def disassemble(console: Console, rest: str) -> None:
    """The instructions of the selected function, or so many around the current one."""
    around = count(rest) if rest else 1 << 20
    last = 0
    frame = console.frame
    texts = {line.number: line.text for line in console.session.source(frame, around=1 << 16)}
    for each in console.session.disassembly(frame, around):
        if each.line and each.line != last:
            console.screen.line(f"; {each.line}: {texts.get(each.line, '').strip()}", "dim")
            last = each.line
        mark = "=>" if each.current else "  "
        console.screen.listed(f"{mark}{each.slot:>5}:", each.text, "green" if each.current else "")


@command("frame f", "[NUMBER]")
def frame_(console: Console, rest: str) -> None:
    """The selected frame; with a number, select another."""
    if rest:
        _select(console, count(rest))
    _show_frame(console)


def _select(console: Console, number: int) -> None:
    frames = console.session.frames
    if not 0 <= number < len(frames):
        raise DebuggerError(f"there is no frame {number}: there are {len(frames)}")
    console.selected, console.listed = number, None


def _show_frame(console: Console) -> None:
    frame = console.frame
    console.screen.line(f"#{frame.index}  {screen.place(frame)}", "cyan")
    console.show_place(frame, whole=False)


@command("up", "[N]", again=True)
def up(console: Console, rest: str) -> None:
    """Select the frame that called this one, or N further out."""
    _go(console, count(rest))


@command("down", "[N]", again=True)
def down(console: Console, rest: str) -> None:
    """Select the frame that this one called, or N further in."""
    _go(console, -count(rest))


def _go(console: Console, by: int) -> None:
    """Another frame, as far as there are any."""
    last = len(console.session.frames) - 1
    selected = min(console.selected, last)
    if console.frame.index == (last if by > 0 else 0):
        which = "outermost: nothing called it" if by > 0 else "innermost: it called nothing"
        raise DebuggerError(f"this frame is the {which}")
    _select(console, min(max(selected + by, 0), last))
    _show_frame(console)


@command("backtrace bt where")
def backtrace(console: Console, rest: str) -> None:
    """All active functions, the innermost first."""
    for frame in console.session.frames:
        style = "bold" if frame.index == console.index else ""
        for number, text in enumerate(screen.places(frame)):
            start = f"#{frame.index}" if not number else ""
            console.screen.line(f"{start:<3} {text}", style)


@command("maps", "[NAME]", completes="map")
def maps(console: Console, rest: str) -> None:
    """The maps, or the entries of one."""
    session = console.session
    if rest:
        if rest not in session.maps:
            raise DebuggerError(f"there is no map {rest!r}: {', '.join(session.maps)}")
        held = session.maps[rest]
        console.screen.line(f"{rest}: {_described(held)}", "bold")
        if not hasattr(held, "items"):
            raise DebuggerError(f"{rest} has no entries to list")
        for number, (key, value) in enumerate(held.items()):
            if number == screen.MOST_ENTRIES:
                console.screen.line("…")
                break
            console.screen.line(
                f"  [{screen.shown(session, key)}] = {screen.shown(session, value)}"
            )
        return
    for name, held in session.maps.items():
        console.screen.line(f"{name}: {_described(held)}")


def _described(held: object) -> str:
    raw = held.raw  # type: ignore[attr-defined]
    return f"{raw.type.name.lower()}, {raw.body.count()} of {raw.max_entries} entries"


@command("packet")
def packet(console: Console, rest: str) -> None:
    """The packet as it is now: layers, bytes."""
    data = console.session.packet
    if not data:
        raise DebuggerError("the run has no packet")
    from osmia.captures.summary import summary

    console.screen.lines(summary(data))
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        console.screen.line(f"{at:04x}  {row.hex(' '):47}  {text}", "dim")


def _registers(console: Console, rest: str) -> None:
    frame = console.frame
    names = rest.replace("$", "").split() or list(frame.registers)
    for name in names:
        if name not in frame.registers:
            raise DebuggerError(f"there is no register {name!r}")
        console.screen.line(f"{name:<4} {frame.registers[name]}")


def _breakpoints(console: Console, rest: str) -> None:
    points = all_points(console)
    if not points:
        console.screen.line("no breakpoints or watchpoints")
    for number, each in points.items():
        state = "" if each.enabled else ", disabled"
        hits = f"{each.hits} hit{'' if each.hits == 1 else 's'}{state}"
        if isinstance(each, Breakpoint):
            once = "temporary, " if each.temporary else ""
            when = f" if {each.condition_text}" if each.condition is not None else ""
            passed = f", the next {each.ignore} ignored" if each.ignore else ""
            console.screen.line(f"{number:<3} {each.place}{when}: {once}{hits}{passed}")
        else:
            console.screen.line(f"{number:<3} watch {each.text}: {hits}")


def _locals(console: Console, rest: str) -> None:
    known = console.frame.locals
    if not known:
        console.screen.line("no local variables are known here")
    for remark in getattr(known, "remarks", ()):
        console.screen.line(remark)
    for name, value in known.items():
        console.screen.line(f"{name} = {screen.shown(console.session, value)}")


def _variables(console: Console, rest: str) -> None:
    for name in console.session.data:
        value = screen.shown(console.session, console.session.data[name])
        console.screen.line(f"{name} = {value}")


def _context(console: Console, rest: str) -> None:
    console.screen.line(f"ctx = {screen.shown(console.session, console.session.ctx)}")


def _position(console: Console, rest: str) -> None:
    session = console.session
    console.screen.line(f"position {session.position} of {session.history.end} that are known")


def _functions(console: Console, rest: str) -> None:
    code = console.session.program.code
    for start, each in code.functions.items():
        line = code.line_at(start)
        where = f", {line.file.rpartition('/')[2]}:{line.line}" if line else ""
        console.screen.line(f"{each.name}: instructions {start} to {each.end - 1}{where}")


def _source(console: Console, rest: str) -> None:
    console.screen.line(console.frame.file or "no source is known here")


_INFO = {
    "breakpoints": _breakpoints,
    "registers": _registers,
    "frame": lambda console, rest: _show_frame(console),
    "locals": _locals,
    "variables": _variables,
    "maps": maps,
    "packet": packet,
    "ctx": _context,
    "position": _position,
    "functions": _functions,
    "source": _source,
    "line": _source,
    "watchpoints": _breakpoints,
}
_INFO_SHORT = {"b": "breakpoints", "r": "registers", "f": "frame"}
INFO_WORDS = tuple(_INFO)


@command("info i", "|".join(_INFO), completes="info")
def info(console: Console, rest: str) -> None:
    """What is known of breakpoints, registers, locals, variables, maps, the packet, …"""
    word, _, more = rest.partition(" ")
    word = _INFO_SHORT.get(word, word)
    found = [name for name in _INFO if word and name.startswith(word)]
    if word in _INFO:
        found = [word]
    if len(found) != 1:
        raise DebuggerError(f"info about one of: {', '.join(_INFO)}")
    _INFO[found[0]](console, more.strip())
