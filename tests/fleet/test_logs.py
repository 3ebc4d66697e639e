"""What workers, the scheduler and Dask's own records say: nothing of what maps hold."""

from __future__ import annotations

import threading
from typing import Any

import distributed
import pytest

from osmia import OsmiaError
from osmia.fleet import Fleet
from osmia.object import Object

from .conftest import Cluster

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

#: Numbers that nothing else has.
SECRETS = (736_251_841, 736_251_842, 736_251_843)
IN_MAP, IN_DATA, IN_ERROR = SECRETS


def test_no_secret_is_in_any_log(cluster: Cluster, fleet: Fleet, limit: Object) -> None:
    # Here, so that they travel by value: hosts cannot import tests.
    def failing(table: Any) -> Any:
        raise ValueError(f"no such row: {table.to_pylist()}")

    def failing_call(loaded: Any, secret: int) -> Any:
        raise ValueError(f"{secret}: {dict(loaded.maps['flows'].items())}")

    def failing_partition(frame: Any) -> Any:
        raise ValueError(f"no such column in {frame.to_dict()}")

    def failing_task(secret: int) -> None:
        raise ValueError(secret)

    def failing_try(loaded: Any) -> None:
        raise ValueError(dict(loaded.maps["flows"].items()))

    running = fleet.load(limit)
    flows = running.maps["flows"]
    flows[(IN_MAP, 1)] = {"packets": IN_MAP, "bytes": IN_MAP}
    running.data["limit"] = IN_DATA
    assert IN_MAP in flows.to_arrow()["value.packets"].to_pylist()
    assert flows.top(1, "value.packets")["value.packets"][0].as_py() == IN_MAP
    with pytest.raises(OsmiaError):
        running.data["limit"] = f"not {IN_ERROR}"
    with pytest.raises(OsmiaError):
        flows[(IN_ERROR, "x")] = {"packets": IN_ERROR, "bytes": 1}
    assert str(IN_MAP) in str(flows.reduce(failing).errors)  # who asks is told
    assert str(IN_ERROR) in str(running.call(failing_call, IN_ERROR).errors)
    client = fleet.client
    with distributed.get_task_stream(client) as stream:
        frame = flows.to_dask()
        assert frame["value.packets"].sum().compute(scheduler=client) == 4 * IN_MAP
    with pytest.raises(ValueError, match=str(IN_MAP)):  # as it would be without a cluster
        frame.map_partitions(failing_partition, meta=frame._meta).compute(scheduler=client)
    for each in client.map(failing_task, [IN_ERROR] * 2, pure=False):
        with pytest.raises(ValueError, match=str(IN_ERROR)):
            each.result()
    client.run(failing_task, IN_ERROR, on_error="return")
    answers = running.call(lambda loaded: (loaded.data["limit"], threading.Lock()))
    assert "Could not serialize object of type lock" in str(answers.errors["host0"])
    running.data["limit"] = 0
    running.run("ingress", bytes(64))
    for batch in running.events("drops", timeout=1.0):
        assert batch.table is not None
        break
    with pytest.raises(OsmiaError):
        running.upgrade(limit, tries=[failing_try])  # type: ignore[list-item]
    _assert_no_secret("the task stream", str(stream.data))
    frame = flows.to_dask()
    running.close()
    with pytest.raises(OsmiaError, match="is not on this host"):
        frame["value.packets"].sum().compute(scheduler=client)
    _assert_no_secret("events", str(client.get_events()))
    _assert_no_secret("logs of workers", str(client.get_worker_logs()))
    _assert_no_secret("the scheduler's logs", str(client.get_scheduler_logs()))
    for path in cluster.logs.iterdir():
        _assert_no_secret(path.name, path.read_text())


def _assert_no_secret(where: str, text: str) -> None:
    for secret in SECRETS:
        packed = repr(secret.to_bytes(4, "little"))[2:-1]
        for form in (str(secret), f"{secret:,}", f"{secret:x}", packed):
            place = text.find(form)
            assert place < 0, f"{where}: {text[max(place - 300, 0) : place + 100]}"
