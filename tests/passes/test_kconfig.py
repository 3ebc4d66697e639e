"""Shapes of configuration values."""

from __future__ import annotations

import pytest

from osmia.btf import BTFBuilder, Enum
from osmia.errors import RelocationError
from osmia.object.model import Extern, ExternKind
from osmia.passes.kconfig import config_value


@pytest.mark.parametrize(("size", "fits"), [(4, True), (1, False), (0, False), (8, False)])
def test_a_tristate_has_four_bytes(size: int, fits: bool) -> None:
    builder = BTFBuilder()
    type_id = builder.add(Enum(0, "libbpf_tristate", size, False, ()))
    extern = Extern("CONFIG_NET", ExternKind.KCONFIG, type_id)
    if fits:
        assert config_value(builder.build(), extern).kind == "tristate"
        return
    with pytest.raises(RelocationError, match="'CONFIG_NET'"):
        config_value(builder.build(), extern)
