"""What expressions are worth: C's integers, and pointers, members, maps with their types."""

from __future__ import annotations

import pytest

from osmia.debugger import DebuggerError, Session
from osmia.errors import ReadOnlyError

from ..conftest import line_of
from .conftest import SOURCE


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 | 2 == 2", 1),
        ("1 & 2 == 2", 1),
        ("6 & 3 ^ 1 | 8", 11),
        ("1 << 2 + 1", 8),
        ("5 > 3 == 1", 1),
        ("!zero == 1", 1),
        ("!5 || 0 && 1", 0),
        ("zero ? 1 : byte > 3 ? 2 : 3", 2),
        ("zero ?: 4", 4),
        ("2 - 3 - 4", -5),
        ("-7 / 2 * 2 + -7 % 2", -7),
        ("~0u", 0xFFFFFFFF),
        ("-1 > 0u", 1),
        ("-1L > 0u", 0),
        ("small > 0u", 1),
        ("byte + 100", 300),
        ("(u8)(byte + 100)", 44),
        ("(signed char)byte", -56),
        ("(unsigned long long int)small", (1 << 64) - 1),
        ("(u32)small >> 28", 15),
        ("small >> 1", -1),
        ("1 << 31", -(1 << 31)),
        ("1u << 31", 1 << 31),
        ("2147483647 + 1", -(1 << 31)),
        ("2147483648 + 1", (1 << 31) + 1),
        ("0xffffffff + 1", 0),
        ("0xFFull + 0b11 + 017", 273),
        ("'a' + '\\n' + '\\x41' + '\\0' + '\\''", 97 + 10 + 65 + 39),
        ("'\\xff'", -1),
        ("(_Bool)4", 1),
        ("sizeof(int) + sizeof(long) + sizeof(__be16)", 14),
        ("sizeof(struct leaf) + sizeof first.name", 32),
        ("sizeof(port_t) + sizeof port", 4),
        ("sizeof numbers / sizeof *numbers", 4),
        ("sizeof(struct leaf *) + sizeof(byte + 1)", 12),
        ("sizeof(1 ? byte : 1L)", 8),
        ("true + false + (NULL == 0)", 2),
        ("min(byte, 7, 9) + max(2, 3) + abs(-4) + len(packet)", 7 + 3 + 4 + 64),
    ],
)
def test_integers_are_c_s(session: Session, expression: str, value: int) -> None:
    assert session.evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("chain->next->len", 9),
        ("(*chain).len + (&second)->len", 16),
        ("chain->next == &second && !chain->next->next", 1),
        ("*cursor + cursor[1] + *(cursor + 2)", 90),
        ("cursor[-1]", 10),
        ("2[numbers]", 30),
        ("cursor - numbers", 1),
        ("&numbers[3] - cursor", 2),
        ("(void *)cursor - (void *)numbers", 4),
        ("*(numbers + 3)", 40),
        ("numbers < cursor", 1),
        ("((struct leaf *)(u64)chain)->len", 7),
        ("*(u8 *)&first.len + ((u16 *)&numbers)[2]", 27),
        ("(port_t)port + *(port_t *)&port", 0x1FFFE),
        ("first.name[1] == 'b' && first.name == \"ab\"", 1),
        ('"abc" != first.name', 1),
        ("colour == BLUE && colour > RED", 1),
        ("bits.low << 1", 10),
        ("bits.high < bits.low", 1),
        ("bits.wide - 2 > 0", 1),
        ("leaves[{1, 2}].len + leaves[{.b = 2, .a = 1}].next->len", 16),
        ("slots[1] >> 40 == 1 && slots[0] == 0", 1),
        ("*&slots[1] >> 39", 2),
        ("packet[3] + *(u8 *)(packet + 4) + u16(&packet[1])", 7 + 0x0201),
        ("ctx->data_end - ctx->data", 64),
        ("*(u8 *)(u64)ctx->data + sizeof(struct xdp_md)", 24),
        ("((struct xdp_md *)ctx)->data == ctx.data", 1),
        ("XDP_PASS", 2),
        ("u8(&byte) + s8(&small) + memory(numbers, 8)[4]", 219),
    ],
)
def test_what_is_pointed_to_has_its_type(session: Session, expression: str, value: int) -> None:
    assert session.evaluate(expression) == value


def test_values_are_those_that_python_has(session: Session) -> None:
    assert session.evaluate("*chain->next").len == 9
    assert session.evaluate("first").name == "ab"
    assert session.evaluate("numbers") == (10, 20, 30, 40)
    assert session.evaluate("packet") == bytes(range(64))
    assert session.evaluate("ctx").data_end - session.evaluate("ctx").data == 64
    assert session.evaluate("&second") == session.evaluate("chain").next
    assert session.evaluate("&second").len == 9
    assert list(session.evaluate("slots").values()) == [0, 1 << 40, 0, 0]
    assert session.evaluate("{.a = 1, .b = {2, 3}}") == {"a": 1, "b": [2, 3]}


def test_what_is_passed_by_is_not_looked_at(session: Session) -> None:
    assert session.evaluate("zero && 1 / zero") == 0
    assert session.evaluate("1 || second.next->next->len") == 1
    assert session.evaluate("chain ? chain->len : 1 / zero") == 7
    assert session.evaluate("sizeof(1 / zero)") == 4


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("limit + nothing", r"there is no 'nothing' here \(column 9\)"),
        ("1 +", r"it ends too early \(column 4\)"),
        ("a b", r"'b' is not expected \(column 3\)"),
        ("(1", r"'\)' is missing \(column 3\)"),
        ("numbers[1", r"'\]' is missing"),
        ("1 ? 2", r"':' is missing \(column 6\)"),
        ("first.", r"the name of a member is missing \(column 7\)"),
        ("1 @ 2", r"'@' is not C \(column 3\)"),
        ("'ab'", r"no one character"),
        ('"ab', r"a quote that does not end"),
        ("9 ** 9", r"9 is no pointer \(column 6\)"),
        ("12ab", r"12ab is no number"),
        ("09", r"09 is no number"),
        ("0x1ffffffffffffffff", r"more than 64 bits"),
        ("1.5", r"floating-point"),
        ("limit = 4", r"= changes a value: `set` does that \(column 7\)"),
        ("limit++", r"\+\+ changes a value"),
        ("first.nobody", r"struct leaf has no member 'nobody' \(column 7\)"),
        ("limit.x", r"limit is no pointer"),
        ("first + 1", r"is a struct leaf, no number"),
        ("zero || 1 % zero", r"a division by zero \(column 9\)"),
        ("1 << 32", r"a shift of 32 bits by 32"),
        ("numbers[4]", r"numbers has no element 4 \(column 9\)"),
        ("&bits.low", r"a bitfield has no address"),
        ("&limit + &zero", r"\+ is not for pointers"),
        ("*(void *)cursor", r"points to nothing that has a type"),
        ("*r10", r"points to nothing that has a type"),
        ("(struct nobody *)0", r"there is no type 'struct nobody' here \(column 2\)"),
        ("sizeof nobody", r"there is no type 'nobody' here"),
        ("nobody(1)", r"there is no function 'nobody'"),
        ("leaves[{7, 7}].len", r"there is no leaves\["),
        ("memory(numbers, 1 << 30)", r"1048576 at once are the most"),
        ("u32(1, 2)", r"u32 takes 1 arguments, not 2"),
        ("(" * 65 + "1" + ")" * 65, r"deeper than 64 operators"),
        ("1" + "+1" * 100, r"deeper than 64 operators"),
        ("-" * 100 + "1", r"deeper than 64|-- changes"),
        ("1" * 5000, r"more than 4096 characters"),
    ],
)
def test_what_is_wrong_is_said_with_its_column(
    session: Session, expression: str, message: str
) -> None:
    with pytest.raises(DebuggerError, match=message):
        session.evaluate(expression)


def test_what_has_a_place_is_assigned_to(session: Session) -> None:
    for target, value in [
        ("chain->next->len", 12),
        ("*cursor", 5),
        ("*(u16 *)&numbers", 0x1234),
        ("bits.high", -1),
        ("slots[2]", 4),
        ("leaves[{1, 2}].len", 99),
        ("packet[5]", 77),
        ("ctx->rx_queue_index", 3),
    ]:
        session.assign(target, value)
        assert session.evaluate(target) == value
    assert session.data["second"].len == 12 and session.data["numbers"][:2] == (0x1234, 5)
    assert session.evaluate("bits.low") == 5 and session.packet[5] == 77
    session.assign("leaves[{3, 4}]", {"len": 1})
    assert session.maps["leaves"][{"a": 3, "b": 4}].len == 1
    with pytest.raises(ReadOnlyError, match="limit cannot be assigned"):
        session.assign("limit", 4)
    with pytest.raises(DebuggerError, match="nothing can be assigned to 1 \\+ 2"):
        session.assign("1 + 2", 4)


def test_conditions_and_watchpoints_are_expressions(session: Session) -> None:
    session.go(0)
    session.breakpoints[1].delete()
    line = line_of(SOURCE, "bpf_map_update_elem(&leaves")
    made = session.break_at(line, condition="chain->next == &second && numbers[0] & 8")
    watched = session.watch("first.next")
    changes = session.continue_().changes
    assert [each.watchpoint for each in changes] == [watched]
    assert session.continue_().breakpoint is made
