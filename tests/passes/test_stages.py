"""The stages of a load: which passes run, in what order, on what; layouts are made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import osmia
from osmia.isa import assemble
from osmia.object.model import ExternKind, Object
from osmia.passes import Pass, Setting, Stage, Target, layout, prepare, stages

from .machines import Asking, kernel_types

TARGET = Target(btf=kernel_types(16))


def returning(number: int) -> Object:
    return Asking().line(f"r0 = {number}\nexit").object()


def with_code(obj: Object, text: str) -> Object:
    return obj.copy(functions={"p": replace(obj.functions["p"], code=assemble(text))})


def test_the_list_is_in_the_order_of_the_stages() -> None:
    order = [each.stage for each in stages.PASSES]
    assert order == sorted(order)
    assert set(order) <= {Stage.LINK, Stage.SPECIALISE, Stage.REWRITE}
    assert list(Stage) == sorted(Stage)


def test_an_object_that_asks_nothing_stays_the_same() -> None:
    obj = returning(1)
    assert prepare(obj, TARGET).object is obj


def test_further_passes_come_after_those_that_specialise() -> None:
    seen = []

    def look(obj: Object) -> Object:
        seen.append(obj.functions["p"])
        return obj

    obj = Asking().field("r1 = *(u32 *)(r1 +0)", 4).line("exit").object()
    prepare(obj, TARGET, passes=[look])
    (function,) = seen
    assert function.core_relocations == ()
    assert function.code[2] == 16


def test_a_pass_says_its_stage_and_runs_in_it() -> None:
    order: list[str] = []

    def noting(name: str, stage: Stage) -> Pass:
        def run(obj: Object, setting: Setting) -> Object:
            assert setting.target is TARGET
            order.append(name)
            return obj

        return Pass(name, stage, run)

    def last(obj: Object) -> Object:
        assert not obj.externs
        order.append("last")
        return obj

    def look(obj: Object, setting: Setting) -> Object:
        assert obj.externs
        order.append("first")
        return obj

    obj = Asking().address("a_variable", ExternKind.KSYM, 1).line("exit").object()
    passes: list[Pass | Callable[[Object], Object]] = [
        last,
        noting("rewrite", Stage.REWRITE),
        noting("specialise", Stage.SPECIALISE),
        Pass("first", Stage.LINK, look),
    ]
    prepare(obj, TARGET, passes=passes)
    assert order == ["first", "specialise", "last", "rewrite"]


def test_a_pass_with_nothing_to_do_does_not_run() -> None:
    def refuse(obj: Object, setting: Setting) -> Object:
        raise AssertionError

    idle = Pass("idle", Stage.LINK, refuse, wanted=lambda obj, setting: False)
    prepare(returning(1), TARGET, passes=[idle])


def test_the_object_given_stays_as_it_was() -> None:
    obj = Asking().field("r1 = *(u32 *)(r1 +0)", 4).line("exit").object()
    before = obj.functions["p"]
    prepare(obj, TARGET, passes=[lambda given: with_code(given, "r0 = 9\nexit")])
    assert obj.functions["p"] is before


def test_a_pass_that_changes_what_it_is_given_changes_nobody_elses_object() -> None:
    def forgetful(given: Object) -> Object:
        given.functions["p"] = replace(given.functions["p"], code=assemble("r0 = 9\nexit"))
        return given

    obj = returning(1)
    prepared = prepare(obj, TARGET, passes=[forgetful])
    assert prepared.object.functions["p"].code == assemble("r0 = 9\nexit")
    assert obj.functions["p"].code == assemble("r0 = 1\nexit")


def test_what_is_no_pass_is_an_error_that_says_why() -> None:
    def forgets(obj: Object) -> Any:
        return None

    with pytest.raises(TypeError, match=r"pass 'forgets' gave None"):
        prepare(returning(1), TARGET, passes=[forgets])
    with pytest.raises(TypeError, match="'inline' is no pass: no function from Object"):
        prepare(returning(1), TARGET, passes=[forgets, "inline"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="LAYOUT is no stage of passes"):
        prepare(returning(1), TARGET, passes=[Pass("p", Stage.LAYOUT, lambda obj, setting: obj)])
    with pytest.raises(TypeError, match=r"target='6.1': an osmia\.Target is needed"):
        prepare(returning(1), "6.1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'pases'"):
        prepare(returning(1), TARGET, pases=[forgets])  # type: ignore[call-arg]


def test_a_layout_is_made_once() -> None:
    prepared = prepare(returning(1), TARGET)
    assert prepared.layout("p") is prepared.layout("p")


@pytest.mark.kernel
@pytest.mark.parametrize("engine", ["kernel", "vm"])
def test_each_engine_lays_a_program_out_once_and_runs_further_passes(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for kernels before 6.8, where arguments for the context need to know the layout."""
    made: list[str] = []

    def counted(obj: Object, program: str, *rest: Any) -> Any:
        made.append(program)
        return lay_out(obj, program, *rest)

    lay_out = layout.lay_out
    monkeypatch.setattr(layout, "lay_out", counted)
    monkeypatch.setattr("osmia.kernel.probes.features.kernel_version", lambda: (6, 7, 0))
    obj = osmia.compile(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        "int seen;\n"
        "__weak int look(struct __sk_buff *skb __arg_ctx) { return seen = skb->len; }\n"
        'SEC("tc") int p(struct __sk_buff *skb) { return look(skb); }\n'
        'SEC("tc") int other(struct __sk_buff *skb) { return 1; }\n'
        'char _license[] SEC("license") = "GPL";\n'
    )

    def rewritten(given: Object) -> Object:
        other = replace(given.functions["other"], code=assemble("r0 = 7\nexit"), line_info=b"")
        return given.copy(functions=given.functions | {"other": other})

    with obj.load(engine, passes=[rewritten]) as bpf:
        assert bpf.programs["other"].run(bytes(64)).retval == 7
        assert bpf.programs["p"].run(bytes(64)).retval == 64
    assert sorted(made) == ["other", "p"]


@pytest.mark.kernel
@pytest.mark.parametrize("engine", ["kernel", "vm"])
def test_a_misspelt_option_is_an_error_on_every_engine(engine: str) -> None:
    with pytest.raises(TypeError, match="pases"):
        returning(0).load(engine, pases=[])  # type: ignore[call-overload]
