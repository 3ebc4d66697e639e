"""Serve an editor: on standard input and output, or on a socket of this machine alone."""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, BinaryIO

from osmia.debugger.dap.adapter import Adapter
from osmia.debugger.dap.messages import BadMessage, Messages, ProtocolError

#: Requests that end what the program is doing: it stops where it is.
_INTERRUPTING = frozenset({"pause", "disconnect", "terminate", "restart"})


_INTERVAL = 0.05  # seconds

Waiting = SimpleQueue[tuple[dict[str, Any] | None, threading.Event]]
"""Messages to be handled, None at their end; set once they are."""


def serve_stdio(defaults: dict[str, Any] | None = None) -> None:
    """Serve one editor, which started this process. `defaults` are arguments of "launch" that it
    need not give.

    What the program, or anybody else, prints to standard output goes to standard error: the
    protocol has it to itself.
    """
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    try:
        # Not sys.stdin: a thread may wait in it when Python ends, which would abort.
        source = os.fdopen(os.dup(0), "rb")
        with os.fdopen(own, "wb", closefd=False) as target:
            reader = serve(source, target, defaults)
            if not reader.is_alive():
                source.close()
    finally:
        sys.stdout.flush()
        os.dup2(own, 1)
        os.close(own)


def serve_port(port: int, defaults: dict[str, Any] | None = None) -> None:
    """Serve editors, one after the other, at a port of the loopback interface (0: any that is
    free), until Ctrl-C. OSError where the port cannot be had."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        where = listening.getsockname()[1]
        print(f"listening on 127.0.0.1:{where}", file=sys.stderr, flush=True)
        try:
            while True:
                connection, _ = listening.accept()
                with connection:
                    serve_connection(connection, defaults)
        except KeyboardInterrupt:
            pass


def serve_connection(connection: socket.socket, defaults: dict[str, Any] | None = None) -> None:
    """Serve the editor at the other end of a connection, until it goes."""
    source, target = connection.makefile("rb"), connection.makefile("wb")
    try:
        reader = serve(source, target, defaults)
        with suppress(OSError):  # the other end may be gone
            connection.shutdown(socket.SHUT_RDWR)
        reader.join()
    finally:
        for stream in (source, target):
            with suppress(OSError):
                stream.close()


def serve(
    source: BinaryIO, target: BinaryIO, defaults: dict[str, Any] | None = None
) -> threading.Thread:
    """Serve one editor. Whatever it does, its program is gone when this returns. Gives the thread
    that reads from `source`, which may wait there still."""
    messages = Messages(source, target)
    adapter = Adapter(messages.write, defaults or {})
    waiting: Waiting = SimpleQueue()
    reader = threading.Thread(
        target=_read, args=(messages, adapter, waiting), name="osmia-dap", daemon=True
    )
    reader.start()
    try:
        while not adapter.ended:
            message, taken = waiting.get()
            taken.set()
            if message is None:
                break
            adapter.handle(message)
    finally:
        adapter.close()
    return reader


def _read(messages: Messages, adapter: Adapter, waiting: Waiting) -> None:
    """Read what the editor asks, while a program may be running."""
    try:
        while True:
            try:
                message = messages.read()
            except BadMessage as error:
                adapter.complain(str(error))
                continue
            if message is None:
                break
            _put(waiting, message, adapter if message.get("command") in _INTERRUPTING else None)
    except ProtocolError as error:
        adapter.complain(str(error))
    except (OSError, ValueError):
        pass  # the connection is gone
    finally:
        _put(waiting, None, adapter)


def _put(waiting: Waiting, message: dict[str, Any] | None, stopped: Adapter | None) -> None:
    """Let a message be handled; where the program is to stop for it, until it has."""
    taken = threading.Event()
    waiting.put((message, taken))
    while stopped is not None and not stopped.ended:
        # Again and again: it may be about to begin moving.
        stopped.interrupt()
        if taken.wait(_INTERVAL):
            break
