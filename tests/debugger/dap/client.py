"""A small client of the Debug Adapter Protocol: what an editor does."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any

Message = dict[str, Any]
PATIENCE = 60.0
"""Seconds to wait for a message."""


class Client:
    """Sends requests and waits for their answers; events are kept in their order."""

    def __init__(self, source: IO[bytes], target: IO[bytes], end: Callable[[], None]) -> None:
        self.source, self.target, self.end = source, target, end
        self.served: threading.Thread | None = None
        self.sequence = 0
        self.received: Queue[Message | None] = Queue()
        self.events: list[Message] = []
        self.output = ""
        """What was printed until now."""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        try:
            while line := self.source.readline():
                length = int(line.partition(b":")[2])
                assert self.source.readline() == b"\r\n"
                self.received.put(json.loads(self.source.read(length)))
        except (OSError, ValueError):
            pass
        self.received.put(None)

    def send_bytes(self, data: bytes) -> None:
        self.target.write(data)
        self.target.flush()

    def send(self, command: str, arguments: Any = None) -> int:
        self.sequence += 1
        message = {"seq": self.sequence, "type": "request", "command": command}
        if arguments is not None:
            message["arguments"] = arguments
        data = json.dumps(message).encode()
        self.send_bytes(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        return self.sequence

    def next(self) -> Message | None:
        try:
            return self.received.get(timeout=PATIENCE)
        except Empty:
            raise AssertionError("no message came") from None

    def answer(self, number: int) -> Message:
        """The answer to a request, by its number."""
        while True:
            message = self.next()
            assert message is not None, "the adapter went away"
            if message["type"] == "response" and message["request_seq"] == number:
                return message
            self._keep(message)

    def ask(self, command: str, **arguments: Any) -> Message:
        """The answer to a request, whatever it is."""
        return self.answer(self.send(command, arguments))

    def body(self, command: str, **arguments: Any) -> Any:
        """The body of a good answer."""
        found = self.ask(command, **arguments)
        assert found["success"], found
        return found.get("body")

    def refused(self, command: str, **arguments: Any) -> str:
        """What is wrong with a request."""
        found = self.ask(command, **arguments)
        assert not found["success"], found
        assert found["body"]["error"]["variables"]["text"] == found["message"]
        return str(found["message"])

    def event(self, name: str) -> Any:
        """The body of the next event of a name; those before it are passed over."""
        while True:
            while self.events:
                message = self.events.pop(0)
                if message.get("event") == name:
                    return message["body"]
            following = self.next()
            assert following is not None, f"the adapter went away before {name!r}"
            self._keep(following)

    def _keep(self, message: Message) -> None:
        if message.get("event") == "output":
            self.output += message["body"]["output"]
        else:
            self.events.append(message)

    def close(self) -> None:
        """Give the streams back, once nobody reads any more."""
        self.end()
        self.reader.join(PATIENCE)
        for stream in (self.source, self.target):
            with suppress(OSError):
                stream.close()

    # What every editor does.

    def launch(self, **arguments: Any) -> None:
        """From the beginning to where breakpoints are set."""
        assert self.body("initialize", adapterID="osmia")["supportsStepBack"]
        self.body("launch", **arguments)
        self.event("initialized")

    def break_at(self, path: Path, *lines: int, **rest: Any) -> list[Any]:
        """Set breakpoints at lines of a file; what became of them."""
        wanted = [{"line": line, **rest} for line in lines]
        body = self.body("setBreakpoints", source={"path": str(path)}, breakpoints=wanted)
        found: list[Any] = body["breakpoints"]
        return found

    def go(self, command: str = "configurationDone", **arguments: Any) -> Any:
        """Let the program go; where it stopped."""
        if command != "configurationDone":
            arguments.setdefault("threadId", 1)
        self.body(command, **arguments)
        return self.event("stopped")

    def stack(self) -> list[Any]:
        found: list[Any] = self.body("stackTrace", threadId=1)["stackFrames"]
        return found

    def scope(self, name: str, frame: int = 0) -> int:
        """The number of a scope of a line of the stack."""
        scopes = self.body("scopes", frameId=self.stack()[frame]["id"])["scopes"]
        (found,) = [each for each in scopes if each["name"] == name]
        return int(found["variablesReference"])

    def variables(self, reference: int, **some: Any) -> dict[str, Any]:
        shown = self.body("variables", variablesReference=reference, **some)["variables"]
        return {each["name"]: each for each in shown}

    def locals(self, frame: int = 0) -> dict[str, str]:
        shown = self.variables(self.scope("Locals", frame))
        return {name: each["value"] for name, each in shown.items()}


def of_process(process: subprocess.Popen[bytes]) -> Client:
    assert process.stdin is not None
    assert process.stdout is not None
    return Client(process.stdout, process.stdin, process.kill)
