"""Typed stubs: what an editor must know to complete an object's fields and variables.

`stub_text(obj)` is a Python module, to be saved beside the program that uses the object
(as `flows_types.pyi`, or `.py`), with a class for every struct, union and enum that its
maps and variables use:

    if TYPE_CHECKING:
        from flows_types import Data, Maps

    maps = cast("Maps", bpf.maps)
    for key, flow in maps["flows"].items():
        flow.bytes  # int
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from keyword import iskeyword

from osmia.errors import ObjectFormatError
from osmia.object.model import DataKind, Map, Object, Variable
from osmia.object.uapi import MapType
from osmia.values.arrays import ArrayCodec, StringCodec
from osmia.values.base import Codec
from osmia.values.enums import RESERVED_IN_ENUMS, EnumCodec
from osmia.values.from_btf import codec
from osmia.values.names import attribute_names
from osmia.values.scalars import BoolCodec, FloatCodec, IntCodec, WideIntCodec
from osmia.values.struct_value import RESERVED
from osmia.values.structs import StructCodec

_HEADER = '''"""Types of {what}, written by `osmia stubs`."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, ClassVar, Protocol, TypedDict

from osmia.values import EnumMember, Struct
'''

_WORD = re.compile(r"[^\W\d]\w*")

#: What the module's text uses: no class may take these names.
_WORDS = {"Any", "ClassVar", "Data", "EnumMember", "Maps", "MutableMapping", "Protocol", "Struct"}
_BUILTINS = {"bool", "bytes", "float", "int", "list", "str", "tuple"}
_WORDS |= {"TypedDict", *_BUILTINS}

_PER_CPU = frozenset(
    {
        MapType.PERCPU_HASH,
        MapType.PERCPU_ARRAY,
        MapType.LRU_PERCPU_HASH,
        MapType.PERCPU_CGROUP_STORAGE,
    }
)
_EVENTS = frozenset({MapType.RINGBUF, MapType.PERF_EVENT_ARRAY, MapType.USER_RINGBUF})


def stub_text(obj: Object) -> str:
    """The stub module of an object: structs, enums, `Maps` and `Data`.

    Names from the object that are no Python identifiers are left out, and so are types
    that have no values. Raises ObjectFormatError for BTF that is inconsistent.
    """
    stubs = _Stubs(obj)
    maps = [stubs.map_entry(each) for each in obj.maps.values()]
    variables = [
        annotated
        for section in obj.data_sections.values()
        if section.kind is not DataKind.STRUCT_OPS
        for annotated in stubs.variables(section.variables)
    ]
    data = stubs.class_text("Data", "Protocol", "Global variables.", variables)
    header = _HEADER.format(what=_comment(obj.name)) + "\n".join(stubs.imports())
    aliases = "\n".join(f"{alias} = {word}" for alias, word in stubs.aliases.items())
    blocks = [header, *stubs.classes, data, aliases]
    blocks.append("\n".join(["Maps = TypedDict(", '    "Maps",', "    {", *maps, "    },", ")"]))
    return "\n\n\n".join(block.rstrip() for block in blocks if block) + "\n"


class _Stubs:
    """The classes written so far, each after those that it names."""

    def __init__(self, obj: Object) -> None:
        self.obj = obj
        self.classes: list[str] = []
        #: Names for what a field's name hides, and what they stand for: a class, or a module.
        self.aliases: dict[str, str] = {}
        self._modules: dict[str, str] = {}
        self._names: dict[Codec, str] = {}
        self._used = {*_WORDS}

    def map_entry(self, each: Map) -> str:
        """A line of `Maps`."""
        key = self._of_type(each.key_type_id, each.key_size)
        value = self._of_type(each.value_type_id, each.value_size)
        if each.type in _EVENTS:
            kind = "Any"
        elif each.type in _PER_CPU:
            kind = f"MutableMapping[{key}, list[{value}]]"
        else:
            kind = f"MutableMapping[{key}, {value}]"
        return f"        {_quoted(each.name)}: {kind},"

    def variables(self, variables: Mapping[str, Variable]) -> Iterator[tuple[str, str]]:
        """Names and annotations of `Data`."""
        for key, variable in variables.items():
            if key.isidentifier() and not iskeyword(key):
                yield key, self._of_type(variable.type_id, variable.size)

    def _of_type(self, type_id: int, size: int) -> str:
        if self.obj.btf is None or not type_id:
            return "int" if size in (1, 2, 4, 8) else "bytes"
        try:
            return self.annotation(codec(self.obj.btf, type_id))
        except ObjectFormatError:
            return "Any"

    def annotation(self, of: Codec) -> str:
        """The Python type of a codec's values; writes the classes that it needs."""
        match of:
            case StructCodec() | EnumCodec():
                return self._class_name(of)
            case ArrayCodec():
                return f"tuple[{self.annotation(of.element)}, ...]"
            case StringCodec():
                return "str"
            case BoolCodec():
                return "bool"
            case FloatCodec():
                return "float"
            case IntCodec() | WideIntCodec():
                return "int"
            case _:
                return "bytes"

    def _class_name(self, of: StructCodec | EnumCodec) -> str:
        if of not in self._names:
            name = self._unused(of.type.__name__)
            self._names[of] = name
            if isinstance(of, StructCodec):
                base, members = "Struct", self._struct(of)
            else:
                base, members = "EnumMember", _enum(of, name)
            note = f"{_comment(of.type_name)}, {of.size} bytes."
            self.classes.append(self.class_text(name, base, note, members))
        return self._names[of]

    def _struct(self, of: StructCodec) -> list[tuple[str, str]]:
        attributes = attribute_names(of.by_name, RESERVED)
        return [
            (attribute, self.annotation(of.by_name[name].codec))
            for name, attribute in attributes.items()
        ]

    def class_text(
        self, name: str, base: str, note: str, members: Iterable[tuple[str, str]]
    ) -> str:
        """A class of nothing but annotations.

        In a class with a field `bytes` the word would mean that field: such types are
        named from outside, classes by an alias ("_flow_"), Python's own by their module
        ("_builtins_.tuple": an alias of a generic class takes no arguments).
        """
        annotations = dict(members)

        def outside(match: re.Match[str]) -> str:
            return self._outside(match[0], annotations) if match[0] in annotations else match[0]

        lines = [f"class {name}({base}):", f'    """{note}"""', ""]
        for attribute, annotation in annotations.items():
            lines.append(f"    {attribute}: {_WORD.sub(outside, annotation)}")
        return "\n".join(lines).rstrip()

    def imports(self) -> Iterator[str]:
        """Lines that import the modules which the classes name."""
        return (f"import {module} as {alias}" for alias, module in self._modules.items())

    def _outside(self, word: str, hidden: Container[str]) -> str:
        if word in _BUILTINS:
            return f"{self._alias(self._modules, 'builtins', hidden)}.{word}"
        if word == "ClassVar":
            return f"{self._alias(self._modules, 'typing', hidden)}.{word}"
        return self._alias(self.aliases, word, hidden)

    def _alias(self, aliases: dict[str, str], word: str, hidden: Container[str]) -> str:
        for alias, meaning in aliases.items():
            if meaning == word and alias not in hidden:
                return alias
        alias = self._unused(f"_{word}_", hidden)
        aliases[alias] = word
        return alias

    def _unused(self, name: str, hidden: Container[str] = ()) -> str:
        wanted = f"{name}_" if iskeyword(name) else name
        count, chosen = 1, wanted
        while chosen in self._used or chosen in hidden:
            count += 1
            chosen = f"{wanted}_{count}"
        self._used.add(chosen)
        return chosen


def _enum(of: EnumCodec, name: str) -> list[tuple[str, str]]:
    attributes = attribute_names(of.type.members, RESERVED_IN_ENUMS)
    return [(attribute, f"ClassVar[{name}]") for attribute in attributes.values()]


def _quoted(name: str) -> str:
    """A string literal: names are untrusted, and may hold quotes and line ends."""
    return ascii(name)


def _comment(text: str) -> str:
    """Untrusted text for a docstring: printable ASCII without quotes or backslashes."""
    return "".join(
        letter if letter.isascii() and letter.isprintable() and letter not in "\"'\\" else "?"
        for letter in text
    )
