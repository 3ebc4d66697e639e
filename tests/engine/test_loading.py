"""Loading, on every engine: what a loaded object has, what it refuses, and its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import osmia
from osmia.engine.protocol import Engine
from osmia.object.uapi import ProgramType

Load = Callable[..., osmia.LoadedObject]


def test_all_types_are_those_of_osmia(load: Load) -> None:
    bpf = load()
    assert isinstance(bpf, osmia.LoadedObject)
    assert isinstance(bpf.programs["ingress"], osmia.Program)
    assert isinstance(bpf.programs["add"].run(ctx=bytes(24)), osmia.RunResult)


def test_parts_have_the_names_of_the_object(load: Load, engine: Engine) -> None:
    bpf = load()
    assert bpf.name == bpf.object.name
    assert set(bpf.programs) == {"ingress", "add", "first", "second"}
    assert set(bpf.maps) == {"sizes", "totals"}
    assert bpf.engine == engine.name == bpf.programs["add"].engine
    with pytest.raises(KeyError, match="has no program 'ingres'; did you mean 'ingress'"):
        bpf.programs["ingres"]
    with pytest.raises(KeyError, match="has no map 'size'; did you mean 'sizes'"):
        bpf.maps["size"]


def test_programs_say_what_they_are(load: Load) -> None:
    program = load().programs["ingress"]
    assert (program.name, program.type) == ("ingress", ProgramType.XDP)
    assert program.definition is not None and program.definition.section == "xdp"
    assert program.id > 0
    assert "'ingress', XDP" in repr(program)


def test_what_shall_not_be_loaded_is_not(load: Load, obj: osmia.Object) -> None:
    obj.set_autoload("other")
    obj.set_autoload("add", False)
    obj.set_autocreate("sizes", False)
    bpf = load()
    assert set(bpf.programs) == {"ingress", "first", "second", "other"}
    assert set(bpf.maps) == {"totals"}


def test_the_object_stays_as_it_was(load: Load, obj: osmia.Object) -> None:
    load().data["packets"] = 5
    assert obj.data["packets"] == 0


def test_a_loaded_object_remembers_what_it_was_loaded_from(load: Load, obj: osmia.Object) -> None:
    obj.data["longest"] = 50
    digest = obj.digest
    bpf = load()
    obj.data["longest"] = 60
    assert bpf.source.digest == digest
    assert bpf.source.data["longest"] == 50


def test_variables_start_as_the_object_says_and_are_live(load: Load, obj: osmia.Object) -> None:
    obj.data["packets"] = 41
    bpf = load()
    assert bpf.data["packets"] == 41
    bpf.data["packets"] = 42
    assert bpf.data["packets"] == 42
    assert bpf.data["longest"] == 100
    with pytest.raises(osmia.ReadOnlyError):
        bpf.data["longest"] = 1
    with pytest.raises(KeyError):
        bpf.data["nothing"]


def test_a_misspelt_option_is_a_type_error_that_names_the_nearest(load: Load) -> None:
    with pytest.raises(TypeError, match="has no option 'targett'; did you mean 'target'"):
        load(targett=None)


def test_an_option_of_another_engine_is_not_swallowed(obj: osmia.Object, engine: Engine) -> None:
    foreign = "pin_root" if engine.name != "kernel" else "cpus"
    with pytest.raises(osmia.NotSupportedError, match=f"load.{foreign}=. is an option of the eng"):
        obj.load(engine.name, **{foreign: None})  # type: ignore[call-overload]


def test_options_of_passes_are_options_of_every_engine(load: Load) -> None:
    assert load(target=None).programs


def test_a_closed_object_has_closed_parts(load: Load) -> None:
    bpf = load()
    program = bpf.programs["ingress"]
    assert [bpf.closed, program.closed] == [False, False]
    bpf.close()
    bpf.close()
    assert [bpf.closed, program.closed] == [True, True]
    assert repr(program).endswith("closed>")
    with pytest.raises(osmia.ClosedError):
        program.run(bytes(60))
    with pytest.raises(osmia.ClosedError):
        bpf.data["packets"]


def test_the_end_of_a_block_closes(load: Load) -> None:
    with load() as bpf:
        program = bpf.programs["ingress"]
        assert program.run(bytes(60)).retval == 2
    assert program.closed


def test_a_program_is_closed_alone(load: Load) -> None:
    bpf = load()
    with bpf.programs["ingress"] as ingress:
        assert repr(ingress).endswith("closed>") is False
    assert [ingress.closed, bpf.programs["add"].closed] == [True, False]
    with pytest.raises(osmia.ClosedError), ingress:
        pass
    assert bpf.programs["add"].run(ctx=bytes(24)).retval == 7


def test_an_engine_that_is_not_there_is_named_with_those_that_are(obj: osmia.Object) -> None:
    with pytest.raises(ValueError, match=r"no engine 'kernle'; there are kernel, vm, mock$"):
        obj.load("kernle")
