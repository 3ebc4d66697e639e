"""Maps as type checkers see them: the classes that `osmia stubs` names; nothing is one at run time.

`TypedMap[int, flow, int, flow | Mapping[str, Any]]`: keys and values as they are read, then as
they are given; writing takes more than reading gives.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Callable,
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    ValuesView,
)
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
)
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Protocol,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    overload,
)

from osmia.engine.maps.keyed import KeyedMap
from osmia.engine.maps.lpm_trie import LpmTrie
from osmia.engine.maps.streams import PerfEventArray, RingBufferMap

if TYPE_CHECKING:
    from osmia.events import EventSource

#: What every type takes: its bytes.
Raw: TypeAlias = bytes | bytearray | memoryview
IntegerIn: TypeAlias = SupportsIndex | Raw
FloatIn: TypeAlias = float | Raw
TextIn: TypeAlias = str | Raw
BytesIn: TypeAlias = Raw | Sequence[int]
#: An enumerator's number or name.
EnumIn: TypeAlias = SupportsIndex | str | Raw
ArrayIn: TypeAlias = Sequence[Any] | Raw
StructIn: TypeAlias = Mapping[str, Any] | ArrayIn
#: A number in network order: C's variable, or the number in text.
NetworkIn: TypeAlias = SupportsIndex | str | Raw
AddressIn: TypeAlias = IPv4Address | IPv6Address | str
NetworkKey: TypeAlias = IPv4Network | IPv6Network | AddressIn

Key = TypeVar("Key")
Value = TypeVar("Value")
KeyIn = TypeVar("KeyIn")
ValueIn = TypeVar("ValueIn")
Default = TypeVar("Default")


class TypedMap(KeyedMap, Generic[Key, Value, KeyIn, ValueIn]):
    """A map of keys to values."""

    if TYPE_CHECKING:

        def __getitem__(self, key: KeyIn) -> Value: ...
        def __setitem__(self, key: KeyIn, value: ValueIn) -> None: ...
        def __delitem__(self, key: KeyIn) -> None: ...
        def __iter__(self) -> Iterator[Key]: ...
        @overload
        def get(self, key: KeyIn, default: None = None, *, flags: int = 0) -> Value | None: ...
        @overload
        def get(self, key: KeyIn, default: Default, *, flags: int = 0) -> Value | Default: ...
        def get(self, key: Any, default: Any = None, *, flags: int = 0) -> Any: ...
        def lookup(self, key: KeyIn, *, flags: int = 0, mark: bool = False) -> Value: ...
        def lookup_and_delete(self, key: KeyIn, flags: int = 0) -> Value: ...
        def delete(self, key: KeyIn) -> None: ...
        @overload  # type: ignore[override]
        def pop(self, key: KeyIn) -> Value: ...
        @overload
        def pop(self, key: KeyIn, default: Default) -> Value | Default: ...
        def pop(self, key: Any, default: Any = None) -> Any: ...
        def popitem(self) -> tuple[Key, Value]: ...
        def setdefault(self, key: KeyIn, default: ValueIn) -> Value: ...  # type: ignore[override]
        def take_all(self) -> list[tuple[Key, Value]]: ...
        def keys(self) -> KeysView[Key]: ...
        def values(self) -> ValuesView[Value]: ...
        def items(self) -> ItemsView[Key, Value]: ...


class TypedTrie(LpmTrie, TypedMap[Key, Value, KeyIn, ValueIn]):
    """A trie of prefixes, whose keys may be networks too."""

    if TYPE_CHECKING:

        def networks(self) -> Iterator[tuple[IPv4Network | IPv6Network, Value]]: ...


class TypedRingBuffer(RingBufferMap, Generic[Value]):
    """A ring buffer of events of one type."""

    if TYPE_CHECKING:

        @property
        def events(self) -> EventSource[Value]: ...
        def __iter__(self) -> Iterator[Value]: ...
        def __aiter__(self) -> AsyncIterator[Value]: ...
        def iterate(self, timeout: float | None = None) -> Iterator[Value]: ...
        def read(self) -> list[Value]: ...
        def drain(self, callback: Callable[[Value], object]) -> int: ...


class TypedPerfBuffer(PerfEventArray, Generic[Value]):
    """A perf buffer: pairs of CPU and event."""

    if TYPE_CHECKING:

        @property
        def events(self) -> EventSource[tuple[int, Value]]: ...
        def __iter__(self) -> Iterator[tuple[int, Value]]: ...
        def __aiter__(self) -> AsyncIterator[tuple[int, Value]]: ...
        def iterate(self, timeout: float | None = None) -> Iterator[tuple[int, Value]]: ...
        def read(self) -> list[tuple[int, Value]]: ...
        def drain(self, callback: Callable[[tuple[int, Value]], object]) -> int: ...


class TypedData(Protocol):
    """Global variables, by their names as items too."""

    def __getitem__(self, name: str, /) -> Any: ...
    def __setitem__(self, name: str, value: Any, /) -> None: ...
