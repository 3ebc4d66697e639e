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
from osmia.named_tuples import NamedTuple
from osmia.object.model import DataKind, Map, Object, Variable
from osmia.object.uapi import MapType
from osmia.values.arrays import ArrayCodec, StringCodec
from osmia.values.base import Codec
from osmia.values.enums import RESERVED_IN_ENUMS, EnumCodec
from osmia.values.from_btf import codec, plain_codec
from osmia.values.meaning import meaning
from osmia.values.names import attribute_names
from osmia.values.scalars import BoolCodec, FloatCodec, IntCodec, WideIntCodec
from osmia.values.struct_value import RESERVED
from osmia.values.structs import StructCodec

_HEADER = '''"""Types of {what}, written by `osmia stubs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypedDict

from osmia.engine.maps import (
    BloomFilter,
    MapOfMaps,
    ProgramArray,
    QueueMap,
    UserRingBufferMap,
)
from osmia.engine.maps.typed import (
    AddressIn,
    ArrayIn,
    BytesIn,
    EnumIn,
    FloatIn,
    IntegerIn,
    NetworkIn,
    NetworkKey,
    StructIn,
    TextIn,
    TypedData,
    TypedMap,
    TypedPerfBuffer,
    TypedRingBuffer,
    TypedTrie,
)
from osmia.values import EnumMember, Struct
'''

_WORD = re.compile(r"[^\W\d]\w*")

#: What the module's text uses: no class may take these names.
_BUILTINS = {"bool", "bytes", "float", "int", "list", "property", "str", "tuple"}
_WORDS = {"Data", "Maps", *_BUILTINS, *re.findall(r"\b[A-Z]\w+", _HEADER.partition("\n")[2])}

_PER_CPU = frozenset(
    {
        MapType.PERCPU_HASH,
        MapType.PERCPU_ARRAY,
        MapType.LRU_PERCPU_HASH,
        MapType.PERCPU_CGROUP_STORAGE,
    }
)
#: Maps of other things than values of BTF's types.
_CLASSES = {
    MapType.ARRAY_OF_MAPS: "MapOfMaps",
    MapType.BLOOM_FILTER: "BloomFilter",
    MapType.HASH_OF_MAPS: "MapOfMaps",
    MapType.PERF_EVENT_ARRAY: "TypedPerfBuffer[Any]",
    MapType.PROG_ARRAY: "ProgramArray",
    MapType.QUEUE: "QueueMap",
    MapType.STACK: "QueueMap",
    MapType.USER_RINGBUF: "UserRingBufferMap",
}

#: What is read and what is given where an attribute says it as well as a setter.
_ALIKE = frozenset(
    {
        ("Any", "Any"),
        ("bool", "IntegerIn"),
        ("bytes", "BytesIn"),
        ("float", "FloatIn"),
        ("int", "IntegerIn"),
        ("str", "TextIn"),
    }
)


class _Annotations(NamedTuple):
    """A type as it is read, and as it is given."""

    read: str
    given: str


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
    data = stubs.data_text(variables)
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
        return f"        {_quoted(each.name)}: {self._map_class(each)},"

    def _map_class(self, each: Map) -> str:
        if each.type in _CLASSES:
            return _CLASSES[each.type]
        value, value_given = self._of_type(each.value_type_id, each.value_size)
        if each.type == MapType.RINGBUF:
            # Without a type in the map it is whatever event_codec is set to.
            return f"TypedRingBuffer[{value if each.value_type_id else 'Any'}]"
        key, key_given = self._of_type(each.key_type_id, each.key_size)
        if each.type in _PER_CPU:
            value, value_given = f"list[{value}]", f"Sequence[{value_given}]"
        kind = "TypedMap"
        if each.type == MapType.LPM_TRIE:
            kind = "TypedTrie"
            key_given += " | NetworkKey"
        return f"{kind}[{key}, {value}, {key_given}, {value_given}]"

    def variables(self, variables: Mapping[str, Variable]) -> Iterator[tuple[str, _Annotations]]:
        """Names and annotations of `Data`."""
        for key, variable in variables.items():
            if key.isidentifier() and not iskeyword(key):
                yield key, self._of_type(variable.type_id, variable.size, variable.name)

    def _of_type(self, type_id: int, size: int, name: str = "") -> _Annotations:
        """What values of a type are when they are read, and what may be given for them."""
        if self.obj.btf is None or not type_id:
            found = plain_codec(size)
        else:
            try:
                found = codec(self.obj.btf, type_id)
            except ObjectFormatError:
                return _Annotations("Any", "Any")
        return _Annotations(self.annotation(found), self._given(found, name))

    def _given(self, of: Codec, name: str) -> str:
        """What may be given for a value: `osmia.engine.maps.typed` has the words."""
        kind = meaning(of, name)
        match of:
            case StructCodec():
                given = f"{self._class_name(of)} | StructIn"
            case EnumCodec():
                given = "EnumIn"
            case ArrayCodec():
                given = "ArrayIn"
            case StringCodec():
                given = "TextIn"
            case FloatCodec():
                given = "FloatIn"
            case IntCodec(network=True):
                given = "NetworkIn"
            case BoolCodec() | IntCodec() | WideIntCodec():
                given = "IntegerIn"
            case _:
                given = "BytesIn"
        if kind in ("ipv4", "ipv6"):
            return f"{given} | AddressIn"
        written = kind in ("mac", "text", "ktime") and given != "TextIn"
        return f"{given} | str" if written else given

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
        """A class of nothing but annotations."""
        annotations = dict(members)
        lines = [(f"{attribute}: {{}}", text) for attribute, text in annotations.items()]
        return self._class(name, base, note, lines, annotations)

    def data_text(self, variables: Iterable[tuple[str, _Annotations]]) -> str:
        """The class of the global variables. Those that take more than they give have setters."""
        known = dict(variables)
        lines: list[tuple[str, str]] = []
        for name, (read, given) in known.items():
            if (read, given) in _ALIKE or "property" in known:
                lines.append((f"{name}: {{}}", read))
                continue
            lines += [("@property", ""), (f"def {name}(self) -> {{}}: ...", read)]
            lines += [(f"@{name}.setter", "")]
            lines += [(f"def {name}(self, value: {{}}, /) -> None: ...", given)]
        return self._class("Data", "TypedData, Protocol", "Global variables.", lines, known)

    def _class(
        self,
        name: str,
        base: str,
        note: str,
        lines: list[tuple[str, str]],
        members: Container[str],
    ) -> str:
        """A class of lines with an annotation each, whose words are told from the members.

        In a class with a field `bytes` the word would mean that field: such types are
        named from outside, classes by an alias ("_flow_"), Python's own by their module
        ("_builtins_.tuple": an alias of a generic class takes no arguments).
        """

        def outside(match: re.Match[str]) -> str:
            return self._outside(match[0], members) if match[0] in members else match[0]

        text = [f"class {name}({base}):", f'    """{note}"""', ""]
        for line, annotation in lines:
            text.append(f"    {line.format(_WORD.sub(outside, annotation))}")
        return "\n".join(text).rstrip()

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
        for alias, meant in aliases.items():
            if meant == word and alias not in hidden:
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
