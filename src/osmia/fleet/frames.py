"""Maps of all hosts as a lazy frame of Dask's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osmia.errors import MissingPackageError, OsmiaError
from osmia.fleet.answering import Failure
from osmia.fleet.maps import with_host

if TYPE_CHECKING:
    import pandas

    from osmia.fleet.running import Running


def frame(running: Running, held: str, options: dict[str, Any]) -> Any:
    """See `FleetMap.to_dask`. The hosts are those that are there now; the rows, those that are
    there when it is computed."""
    try:
        import dask.dataframe
        from dask.base import annotate
        from dask.delayed import delayed
    except ImportError as error:
        raise MissingPackageError("dask.dataframe", extra="fleet") from error
    fleet = running.fleet
    parts = []
    read = delayed(_partition, pure=False)
    for host in fleet.hosts:
        with annotate(workers=[host.address], allow_other_workers=False):
            parts.append(read(fleet.name, running.name, held, host.name, host.address, options))
    meta = fleet.ask_host(fleet.hosts[0].name, "table", running.name, held, options)
    empty = with_host(meta.slice(0, 0), "").to_pandas()
    return dask.dataframe.from_delayed(parts, meta=_plain(empty), verify_meta=False)


def _partition(
    fleet: str, name: str, held: str, host: str, address: str, options: dict[str, Any]
) -> pandas.DataFrame:
    """The rows of a host. Dask runs this there, unless its optimizer has put it together with
    other hosts' (it then forgets where it was to be run): they travel in that case."""
    from distributed import get_worker

    from osmia.fleet.agent import call
    from osmia.fleet.ledger import plugin_name
    from osmia.fleet.reading import map_table

    worker = get_worker()
    if worker.address == address:
        agent: Any = worker.plugins[plugin_name(fleet)]
        table = map_table(agent._find(name).loaded, held, options)
    else:
        client: Any = worker._get_client()
        answers = client.run(call, fleet, "table", (name, held, options), {}, workers=[address])
        table = answers[address]
        if isinstance(table, Failure):
            raise OsmiaError(f"{host}: {table.message}")
    return _plain(with_host(table, host).to_pandas())


def _plain(frame: pandas.DataFrame) -> pandas.DataFrame:
    """With the host as text: categories of different hosts do not add up."""
    return frame.assign(host=frame["host"].astype("str"))
