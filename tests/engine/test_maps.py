"""Maps of a loaded object, on every engine: the typed face over each engine's bytes.

What all kinds of maps do is in `maps/`; here is what an engine must have for any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import osmia
from osmia.engine.protocol import Engine

Load = Callable[..., osmia.LoadedObject]


@pytest.fixture
def sizes(load: Load) -> Any:
    return load().maps["sizes"]


@pytest.fixture
def totals(load: Load) -> Any:
    return load().maps["totals"]


def test_all_maps_are_osmias(sizes: Any, totals: Any, engine: Engine) -> None:
    assert isinstance(sizes, osmia.Map) and isinstance(totals, osmia.Map)
    assert (sizes.name, sizes.type, sizes.max_entries) == ("sizes", osmia.MapType.HASH, 4)
    assert sizes.raw.engine == engine.name
    assert type(sizes).__module__ == "osmia.engine.maps.keyed"


def test_a_hash_is_a_mutable_mapping(sizes: Any) -> None:
    sizes[1] = 60
    sizes[2] = 1500
    assert dict(sizes) == {1: 60, 2: 1500}
    assert (len(sizes), 1 in sizes, 3 in sizes, sizes.get(3)) == (2, True, False, None)
    assert sizes.pop(1) == 60
    del sizes[2]
    assert dict(sizes) == {}


def test_what_goes_wrong_has_the_same_words_everywhere(sizes: Any) -> None:
    with pytest.raises(osmia.MissingKeyError, match="'sizes'"):
        sizes[7]
    with pytest.raises(osmia.MissingKeyError):
        del sizes[7]
    sizes[7] = 1
    with pytest.raises(osmia.KeyExistsError):
        sizes.update(7, 2, osmia.ElementFlag.NOEXIST)
    sizes.update_many({1: 1, 2: 2, 3: 3})
    with pytest.raises(osmia.MapFullError):
        sizes[4] = 4
    with pytest.raises(osmia.CodecError):
        sizes["seven"] = 1


def test_an_array_has_all_its_entries(totals: Any) -> None:
    assert dict(totals) == {0: 0, 1: 0}
    totals[1] = 5
    assert list(totals.items()) == [(0, 0), (1, 5)]
    totals.clear()
    assert totals[1] == 0


def test_many_entries_go_at_once(sizes: Any) -> None:
    sizes.update_many({1: 10, 2: 20, 3: 30})
    assert sizes.delete_many([1, 9]) == 1
    assert sorted(sizes.take_all()) == [(2, 20), (3, 30)]
    assert len(sizes) == 0


def test_a_closed_map_is_a_closed_error(load: Load) -> None:
    bpf = load()
    sizes = bpf.maps["sizes"]
    bpf.close()
    assert sizes.closed
    with pytest.raises(osmia.ClosedError):
        sizes[1]


@pytest.mark.parametrize("use", ["fileno", "pin", "info"])
def test_what_maps_lack_is_what_the_engine_declares(sizes: Any, use: str, bpffs: Any) -> None:
    if use == "pin":
        sizes.pin(bpffs / "sizes")
        sizes.unpin(bpffs / "sizes")
    elif use == "fileno":
        assert sizes.fileno() > 0
    else:
        assert sizes.info.name == "sizes"
