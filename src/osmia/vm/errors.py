"""What goes wrong while a program runs in the vm: one exception, with the place."""

from __future__ import annotations

from enum import unique

from osmia.enums import IntEnum
from osmia.errors import OsmiaError

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.vm.programs import VmProgram


@unique
class Interrupt(IntEnum):
    """Why a run returned from every frame at once."""

    NONE = 0
    BUDGET = 1  # the instruction budget is used up
    ACCESS = 2  # a helper was given memory outside the region; the detail is the address
    HANDLE = 3  # a helper was given something else than a map
    CALLBACK = 4  # a Python helper raised
    DEADLOCK = 5  # a spin lock that nobody releases
    TAIL_CALL = 6  # not an error: a tail call replaces the whole program; the detail says which
    STACK = 7  # no room for one more function that is entered by handle
    PACKET = 8  # an IP packet without its whole header; the detail is its size
    JUMP = 9  # a gotox to what its jump tables do not have; the detail is the value
    FUNCTION = 12  # a call of what is no function of the program; the detail is the value
    CLOSED = 11  # the vm is being closed
    POISON = 10  # an instruction for which a pass had no answer; the detail is its call's number


class ProgramFault(OsmiaError):
    """A program did what it may not do, or ran out of its instruction budget.

    `slot` is the instruction's number in the loaded program and `source` its source line
    ("file:line: text"), where known: compiled code knows neither.
    """

    def __init__(
        self, message: str, *, program: str = "", slot: int | None = None, source: str = ""
    ) -> None:
        self.message = message
        self.program = program
        self.slot = slot
        self.source = source
        where = f"program {program!r}: " if program else ""
        at = f" (instruction {slot})" if slot is not None else ""
        line = f"\n  {source}" if source else ""
        super().__init__(f"{where}{message}{at}{line}")


class BudgetExceededError(ProgramFault):
    """The run used up its instruction budget: an endless loop, or a budget too small."""


class Thrown(BaseException):
    """A program threw: no fault. What runs it gives its result, see `osmia.vm.exceptions`."""

    def __init__(self, program: VmProgram, cookie: int) -> None:
        super().__init__(program, cookie)
        self.program = program
        self.cookie = cookie


def describe_call(value: int) -> str:
    """A call, from a register or by a helper, of what is no function of the program."""
    return f"{value:#x} is no function of this program"


def describe_jump(value: int) -> str:
    """A gotox to a value that its jump tables do not have."""
    return f"gotox to {value:#x}, which is no entry of its jump table"
