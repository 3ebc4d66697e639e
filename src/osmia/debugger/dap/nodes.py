"""What editors show as a tree: variables, registers, packets, maps, with their members.

A node that can be opened has a number, good until the program moves ("variablesReference").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from osmia.debugger.entries import store_entry
from osmia.debugger.errors import DebuggerError
from osmia.debugger.frames import Frame
from osmia.debugger.values import Variable, shortened
from osmia.engine.maps import Map
from osmia.errors import OsmiaError
from osmia.values.struct_value import Struct

if TYPE_CHECKING:
    from osmia.debugger.session import Session

MOST_CHILDREN = 1000
"""Members that are given where nobody said how many."""

Shown = dict[str, Any]


class Node:
    """Something with members. `children` gives some of them, as the protocol has them."""

    #: How many elements it has that are found by number; 0 where they are named.
    indexed = 0

    def children(self, nodes: Nodes, start: int, count: int) -> Iterator[Shown]:
        raise NotImplementedError

    def assign(self, name: str, text: str) -> None:
        """Give a member another value."""
        raise DebuggerError(f"{name} cannot be changed")

    def watched(self, name: str) -> tuple[str, Any] | str | int | None:
        """What `Session.watch` takes for a member; None for what cannot be watched."""
        return None

    def watched_size(self, name: str) -> int:
        """The bytes of a member that is watched by its address."""
        return 8


class Nodes:
    """The nodes that an editor knows the numbers of."""

    def __init__(self) -> None:
        self._known: list[Node] = []

    def number(self, node: Node) -> int:
        """The number of a node."""
        self._known.append(node)
        return len(self._known)

    def __getitem__(self, number: int) -> Node:
        if not 1 <= number <= len(self._known):
            raise DebuggerError("the program has moved: what it was is not known any more")
        return self._known[number - 1]

    def clear(self) -> None:
        """The program moves: numbers are not good any more."""
        self._known.clear()

    def shown(self, name: str, text: str, node: Node | None = None, **rest: Any) -> Shown:
        """A variable of the protocol."""
        found: Shown = {"name": name, "value": shortened(text), "variablesReference": 0, **rest}
        if node is not None:
            found["variablesReference"] = self.number(node)
            if node.indexed:
                found["indexedVariables"] = node.indexed
        return found


class VariableNode(Node):
    """A C variable with members: `path` is how an expression names it."""

    def __init__(self, variable: Variable, path: str) -> None:
        self.variable = variable
        self.path = path
        self.indexed = variable.type.count

    def children(self, nodes: Nodes, start: int, count: int) -> Iterator[Shown]:
        joint = "->" if self.variable.type.is_pointer else "."
        for each in self.variable.members(start, count):
            path = f"{self.path}{each.name if each.name.startswith('[') else joint + each.name}"
            yield show_variable(nodes, each, f"*{self.path}" if each.name.startswith("*") else path)

    def _member(self, name: str) -> Variable:
        return self.variable.pointed() if name.startswith("*") else self.variable.member(name)

    def assign(self, name: str, text: str) -> None:
        self._member(name).assign(text)

    def watched(self, name: str) -> int | None:
        return self._member(name).address

    def watched_size(self, name: str) -> int:
        return self._member(name).type.size


def show_variable(nodes: Nodes, variable: Variable, path: str) -> Shown:
    """A C variable as the protocol has it."""
    kind = variable.type
    opens = kind.is_composite or (kind.is_pointer and bool(variable.count))
    node = VariableNode(variable, path) if opens else None
    found = nodes.shown(variable.name, variable.text, node, type=kind.name, evaluateName=path)
    address = _address_of(variable)
    if address is not None:
        found["memoryReference"] = hex(address)
    if variable.missing and not kind.is_composite:
        found["presentationHint"] = {"attributes": ["readOnly"]}
    return found


def _address_of(variable: Variable) -> int | None:
    """Where the memory is that an editor shows for a variable: of a pointer what it points to."""
    if variable.type.is_pointer and not variable.missing:
        return int(variable.value)
    return variable.address


class LocalsNode(Node):
    """The variables of a function in a frame."""

    def __init__(self, variables: Sequence[Variable]) -> None:
        self.variables = {each.name: each for each in variables}

    def children(self, nodes: Nodes, start: int, count: int) -> Iterator[Shown]:
        for each in islice(self.variables.values(), start, start + count):
            yield show_variable(nodes, each, each.name)

    def _named(self, name: str) -> Variable:
        if name not in self.variables:
            raise DebuggerError(f"there is no variable {name!r} here")
        return self.variables[name]

    def assign(self, name: str, text: str) -> None:
        self._named(name).assign(text)

    def watched(self, name: str) -> int | str | None:
        found = self._named(name).address
        return name if found is None and not self._named(name).missing else found

    def watched_size(self, name: str) -> int:
        return self._named(name).type.size


class RegistersNode(Node):
    """The registers of a frame."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def children(self, nodes: Nodes, start: int, count: int) -> Iterator[Shown]:
        for register in islice(self.frame.registers.values(), start, start + count):
            found = nodes.shown(register.name, str(register), evaluateName=register.name)
            if register.pointer is not None:
                found["memoryReference"] = hex(register.value or 0)
                found["type"] = str(register.pointer)
            yield found

    def assign(self, name: str, text: str) -> None:
        self.frame.registers[name] = int(text.strip(), 0)

    def watched(self, name: str) -> str:
        return name


class ValueNode(Node):
    """A Python value with members: a struct, an array, a dictionary. `path` is an expression."""

    def __init__(self, value: Any, path: str, assign: Callable[[str, str], None]) -> None:
        self.value = value
        self.path = path
        self._assign = assign
        self.indexed = len(value) if isinstance(value, list | tuple) else 0

    def _items(self, start: int, count: int) -> Iterator[tuple[str, str, Any]]:
        """Name, path and value of each member."""
        if isinstance(self.value, Struct | Mapping):
            joint = isinstance(self.value, Struct)
            for name, value in islice(self.value.items(), start, start + count):
                path = f"{self.path}.{name}" if joint else f"{self.path}[{expression_of(name)}]"
                yield str(name), path, value
            return
        for index in range(start, min(start + count, len(self.value))):
            yield f"[{index}]", f"{self.path}[{index}]", self.value[index]

    def children(self, nodes: Nodes, start: int, count: int) -> Iterator[Shown]:
        for name, path, value in self._items(start, count):
            yield show_value(nodes, name, value, path, self._assign)

    def assign(self, name: str, text: str) -> None:
        self._assign(f"{self.path}{name if name.startswith('[') else '.' + name}", text)


def show_value(
    nodes: Nodes, name: str, value: Any, path: str, assign: Callable[[str, str], None]
) -> Shown:
    """A Python value as the protocol has it."""
    opens = (
        isinstance(value, Struct | Mapping | list | tuple)
        and len(value.keys() if isinstance(value, Struct) else value) > 0
    )
    node = ValueNode(value, path, assign) if opens else None
    return nodes.shown(name, text_of(value), node, evaluateName=path)


def text_of(value: Any) -> str:
    """A Python value in a line."""
    if isinstance(value, int) and not isinstance(value, bool) and type(value) is int:
        return f"{value} ({value:#x})" if value > 9 else str(value)
    if isinstance(value, bytes):
        return value[:64].hex(" ") + (" …" if len(value) > 64 else "")
    return repr(value)


class GlobalsNode(Node):
    """The global variables of the program's object."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def children(self, nodes: Nodes, start: int, count: int) -> Iterator[Shown]:
        for name in islice(self.session.data, start, start + count):
            value = self.session.data[name]
            yield show_value(nodes, name, value, name, assigner(self.session, 0))

    def assign(self, name: str, text: str) -> None:
        assigner(self.session, 0)(name, text)

    def watched(self, name: str) -> str:
        return name


class MapsNode(Node):
    """The maps of the program's object."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def children(self, nodes: Nodes, start: int, count: int) -> Iterator[Shown]:
        for name in islice(self.session.maps, start, start + count):
            yield show_map(nodes, self.session, name, self.session.maps[name])


def show_map(nodes: Nodes, session: Session, path: str, held: Any) -> Shown:
    """A map, which `path` names, as the protocol has it."""
    node = MapNode(session, path, held) if isinstance(held, Mapping) else None
    text = f"{held.type.name.lower()}, at most {held.max_entries}"
    return nodes.shown(path, text, node, evaluateName=path)


class MapNode(Node):
    """The entries of a map; `path` is how an expression names it."""

    def __init__(self, session: Session, path: str, held: Mapping[Any, Any]) -> None:
        self.session = session
        self.path = path
        self._map = held

    def children(self, nodes: Nodes, start: int, count: int) -> Iterator[Shown]:
        for key in islice(self._map, start, start + count):
            try:
                value = self._map[key]
            except KeyError:
                continue
            path = f"{self.path}[{expression_of(key)}]"
            yield self._shown(nodes, key, value, path)

    def _shown(self, nodes: Nodes, key: Any, value: Any, path: str) -> Shown:
        if isinstance(value, Map):
            return {**show_map(nodes, self.session, path, value), "name": f"[{key!r}]"}
        return show_value(nodes, f"[{key!r}]", value, path, assigner(self.session, 0))

    def _key(self, name: str) -> Any:
        for key in islice(self._map, MOST_CHILDREN):
            if f"[{key!r}]" == name:
                return key
        raise DebuggerError(f"{self.path} has no entry {name}")

    def assign(self, name: str, text: str) -> None:
        store_entry(self._map, self.session, self._key(name), text.strip())

    def watched(self, name: str) -> str | tuple[str, Any]:
        if self.path in self.session.maps:
            return self.path, self._key(name)
        return f"{self.path}[{expression_of(self._key(name))}]"


def expression_of(value: Any) -> str:
    """A key as an expression has it."""
    if isinstance(value, bool | int):
        return str(int(value))
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, Struct):
        return "{" + ", ".join(f".{n} = {expression_of(v)}" for n, v in value.items()) + "}"
    if isinstance(value, bytes | list | tuple):
        return "{" + ", ".join(map(expression_of, value)) + "}"
    return str(value)


class PacketNode(Node):
    """The packet: its layers, and its bytes."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def children(self, nodes: Nodes, start: int, count: int) -> Iterator[Shown]:
        from osmia.captures.summary import summary

        data = self.session.packet
        lines = [("bytes", f"{len(data)}: {text_of(data)}")]
        lines += [(each.partition(" ")[0], each) for each in summary(data)]
        for name, text in lines[start : start + count]:
            yield nodes.shown(name, text)


class ContextNode(Node):
    """The context's fields."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def children(self, nodes: Nodes, start: int, count: int) -> Iterator[Shown]:
        value = self.session.ctx
        if isinstance(value, bytes):
            yield nodes.shown("bytes", text_of(value), evaluateName="ctx")
            return
        inner = ValueNode(value, "ctx", assigner(self.session, 0))
        yield from inner.children(nodes, start, count)

    def assign(self, name: str, text: str) -> None:
        assigner(self.session, 0)(f"ctx.{name}", text)


def assigner(session: Session, frame: int) -> Callable[[str, str], None]:
    """Assigns text to what an expression names in a frame."""

    def assign(target: str, text: str) -> None:
        value: Any = text
        try:
            value = session.evaluate(text, frame)
        except OsmiaError:
            value = text.strip()
        session.assign(target, value, frame)

    return assign
