"""How a call reaches a host's worker: at once, where this machine can connect to it, otherwise
through the scheduler, which then carries every byte of the answer too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from distributed import Client

#: How long a connection to a worker may take, in seconds, before its answers come another way.
_PATIENCE = 2.0
#: Workers that did not let a client connect, by client.
_unreached: WeakKeyDictionary[Client, set[str]] = WeakKeyDictionary()


class Message:
    """A call of a function, which is pickled once for all hosts."""

    def __init__(self, function: Any, *given: Any) -> None:
        self.function, self.given = function, given
        self._content: dict[str, Any] = {}

    def content(self) -> dict[str, Any]:
        """It as workers take it."""
        if not self._content:
            from distributed.protocol import pickle

            dumps: Any = pickle.dumps
            self._content = {"function": dumps(self.function), "args": dumps(self.given)}
        return self._content


async def answer_of(client: Client, address: str, message: Message) -> Any:
    """What a function answers on a worker, as `Client.run` has it; an error as a value.

    For answers that are large. It is called once in any case: the scheduler is asked where no
    connection came about.
    """
    from distributed.core import clean_exception, send_recv

    pool: Any = client.rpc
    unreached = _unreached.setdefault(client, set())
    if address not in unreached:
        try:
            async with asyncio.timeout(_PATIENCE):
                connection = await pool.connect(address)
        except (OSError, TimeoutError):
            unreached.add(address)
        else:
            try:
                told = await send_recv(connection, op="run", kwargs=b"", **message.content())
            except OSError as error:
                return error
            finally:
                pool.reuse(address, connection)
            if told["status"] == "error":
                return clean_exception(**told)[1]
            return told["result"]
    asking: Any = client._run(
        message.function, *message.given, workers=[address], on_error="return"
    )
    return (await asking).get(address, OSError("it is not there any more"))
