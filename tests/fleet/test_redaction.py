"""Which parts of Dask's messages logs have."""

from __future__ import annotations

import logging

import pytest

from osmia.fleet.redaction import redact_logs


def test_a_message_that_is_one_mapping_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    redact_logs()
    with caplog.at_level(logging.INFO):
        message = {"op": "run", "key": "s3cret"}
        logging.getLogger("distributed.core").error("odd message %s", message)
        logging.getLogger("distributed.comm.utils").info("Unserializable Message: %s", message)
    assert caplog.messages == ["odd message (dict)", "Unserializable Message: (dict)"]
