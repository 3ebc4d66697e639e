"""What tests of metrics share: a receiver of OTLP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from .receiver import receiving

    with receiving() as made:
        yield made
