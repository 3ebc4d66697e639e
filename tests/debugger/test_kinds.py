"""Programs of other kinds, helpers that are interrupted, vms that have compiled code."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from osmia.debugger import StopReason
from osmia.errors import KernelError, NotSupportedError
from osmia.object.model import Object
from osmia.vm.engine import Vm

from .conftest import Begin, line_of
from .test_history import EACH, check_every_position

TC = """
SEC("tc") int mark(struct __sk_buff *skb)
{
	char bytes[4];
	skb->mark = skb->len;
	bpf_skb_load_bytes(skb, 0, bytes, 4);
	skb->cb[1] = bytes[3];
	bpf_skb_change_tail(skb, skb->len + 10, 0);
	return skb->mark == 7 ? 2 : 0;
}
"""


def test_a_context_of_tc_programs_is_read_and_changed(begin: Begin) -> None:
    session = begin(TC, bytes(range(60)), ctx={"priority": 5})
    assert (session.ctx.priority, session.ctx.len) == (5, 60)
    session.until(line_of(TC, "bpf_skb_load_bytes"))
    assert session.ctx.mark == 60
    session.assign("ctx.mark", 7)
    end = session.continue_()
    assert end.result is not None and end.result.retval == 2
    assert end.result.ctx.cb[1] == 3 and len(end.result.data) == 70
    check_every_position(session, end.position)
    session.go(0)
    assert len(session.packet) == 60


def test_arguments_of_traced_functions_are_given_as_to_run(begin: Begin) -> None:
    source = """
    SEC("fentry/some_function") int entered(__u64 *ctx)
    {
        return ctx[0] + ctx[1];
    }
    """
    session = begin(source, b"", args=[40, 2])
    result = session.continue_().result
    assert result is not None and result.retval == 42


def test_a_helper_that_is_interrupted_leaves_the_run_where_it_was(begin: Begin) -> None:
    calls = []

    def random() -> int:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return len(calls)

    session = begin(EACH, helpers={"get_prandom_u32": random})
    with pytest.raises(KeyboardInterrupt):
        session.continue_()
    assert "get_prandom_u32" in session.disassembly(around=0)[0].text
    assert session.continue_().reason is StopReason.END and len(calls) == 4
    assert len(session.maps["sizes"]) == 3


def test_natives_that_are_compiled_are_gone_back_from_too(
    compiled: Callable[[str], Object],
) -> None:
    with Vm(jit=True) as vm, compiled(EACH).load("vm", vm=vm) as loaded:
        program = loaded.programs["each"]
        try:
            program.run(bytes(64), executor="jit")
        except NotSupportedError as error:
            pytest.skip(str(error))
        with program.session(bytes(64)) as session:
            end = session.continue_().position
            check_every_position(session, end, stride=11)


def test_a_session_can_stand_beside_runs_of_the_same_program(begin: Begin) -> None:
    session = begin(EACH)
    session.until(line_of(EACH, "bpf_for_each_map_elem"))
    before = session.position
    other = session.program.run(bytes(64))
    assert other.verdict == "XDP_PASS"
    session.go(0)
    session.go(before)
    assert session.continue_().reason is StopReason.END


def test_programs_in_the_kernel_say_why_not() -> None:
    from osmia.kernel.programs.program import KernelProgram

    program = KernelProgram.__new__(KernelProgram)
    program.name = "some"
    with pytest.raises(NotSupportedError, match="engine='vm'"):
        program.session(b"")


def test_what_no_run_takes_is_refused_and_the_cpu_is_free(begin: Begin) -> None:
    session = begin(TC)
    program = session.program
    session.close()
    for _ in range(3):
        with pytest.raises(KernelError):
            program.session(bytes(3))
    assert program.run(bytes(60)).retval == 0
    with pytest.raises(ValueError, match="budget"):
        program.session(bytes(60), budget=0)
    with pytest.raises(TypeError):
        program.session("text")  # type: ignore[arg-type]


def test_objects_that_programs_allocate_come_and_go_with_the_run(begin: Begin) -> None:
    source = """
    #include <bpf/bpf_core_read.h>
    extern void *bpf_obj_new_impl(__u64 type, void *meta) __ksym;
    extern void bpf_obj_drop_impl(void *object, void *meta) __ksym;
    struct thing { __u64 value; };
    __u64 sum;
    SEC("tc") int make(struct __sk_buff *skb)
    {
        struct thing *one = bpf_obj_new_impl(bpf_core_type_id_local(struct thing), 0);
        struct thing *two = bpf_obj_new_impl(bpf_core_type_id_local(struct thing), 0);
        if (!one || !two)
            return 1;
        one->value = skb->len;
        two->value = 2;
        bpf_obj_drop_impl(one, 0);
        sum += two->value;
        return 0;
    }
    """
    session = begin(source)
    end = session.continue_()
    assert end.reason is StopReason.END and session.data["sum"] == 2
    assert len(session.vm.objects) == 1
    check_every_position(session, end.position)
    session.go(0)
    assert not session.vm.objects
    session.continue_()
    assert len(session.vm.objects) == 1 and session.data["sum"] == 2


def test_a_program_that_throws_ends_and_is_gone_back_into(begin: Begin) -> None:
    source = """
    extern void bpf_throw(__u64 cookie) __ksym;
    int before;
    static __attribute__((noinline)) int deeper(__u64 value)
    {
        before++;
        if (value > 10)
            bpf_throw(value);
        return value;
    }
    SEC("tc") int outer(struct __sk_buff *skb)
    {
        return deeper(skb->len) + 1;
    }
    """
    session = begin(source)
    end = session.continue_()
    assert end.result is not None and end.result.retval == 64
    session.back()
    assert session.frames[0].function == "deeper" and session.data["before"] == 1
    again = session.continue_()
    assert (again.position, again.result) == (end.position, end.result)
