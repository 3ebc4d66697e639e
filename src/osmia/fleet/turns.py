"""A client's turn to change an object of a fleet: see `osmia.fleet.ledger`."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from osmia.errors import OsmiaError
from osmia.fleet.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from osmia.fleet.fleet import Fleet
    from osmia.fleet.wishes import Wish

#: How often a client says that it is there still, in seconds: a part of the ledger's lease.
_RENEWAL = 4.0


class Turn:
    """Nobody else changes the object meanwhile. `number` is the generation of what is made in it,
    `before` what was wanted when it began, or None. It ends with `commit`, or nothing is changed.
    """

    def __init__(self, fleet: Fleet, name: str, what: str) -> None:
        self._fleet, self._name, self._what = fleet, name, what
        self._renewing: Future[None] | None = None
        self._over = False
        self.number = 0
        self.before: Wish | None = None

    def __enter__(self) -> Self:
        fleet = self._fleet
        given = self._fleet._ledger(
            "begin", name=self._name, what=self._what, client=fleet.client.id, wait=fleet.timeout
        )
        if "busy" in given:
            raise OsmiaError(
                f"{self._what}: object {self._name!r} is being changed, "
                f"another client's {given['busy']} goes on for {given['seconds']:.0f} s"
            )
        self.number = given["number"]
        self.before = None if given["content"] is None else pickle.loads(given["content"])
        loop = fleet.client.loop.asyncio_loop
        self._renewing = asyncio.run_coroutine_threadsafe(self._renew(), loop)
        return self

    def __exit__(self, *_: object) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        if not self._over:
            with suppress(OSError, OsmiaError):  # it ends by itself
                self._fleet._ledger("abandon", name=self._name, number=self.number)

    def check(self) -> None:
        """An OsmiaError where the turn is over: the scheduler did not hear this client."""
        if self._over:
            raise OsmiaError(
                f"{self._what}: the scheduler did not hear this client for too long, "
                "and hosts go back to what was wanted"
            )

    def commit(self, wish: Wish | None) -> None:
        """What was made is what is wanted from now on; None: the object is wanted no more."""
        content = None if wish is None else pickle.dumps(wish)
        done = self._fleet._ledger("commit", name=self._name, number=self.number, content=content)
        self._over = True
        if not done:
            self.check()

    def undo(self, hosts: Iterable[str] | None = None) -> Answers[Any]:
        """Have it on hosts as it was before; when the turn is over they do it by themselves."""
        if self._over:
            return Answers({}, {})
        if self.before is None:
            return self._fleet.ask("drop", self._name, self.number, hosts=hosts)
        return self._fleet.ask("apply", self.before, hosts=hosts)

    async def _renew(self) -> None:
        while not self._over:
            await asyncio.sleep(_RENEWAL)
            with suppress(OSError):  # the next time
                given = {"name": self._name, "number": self.number}
                self._over = not await self._fleet._ask_ledger("renew", given) or self._over
