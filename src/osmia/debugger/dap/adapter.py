"""The adapter: answers an editor's requests, one after the other, and sends it events."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osmia.debugger.dap.breakpoints import EditorBreakpoints
from osmia.debugger.dap.debuggee import THREAD, Debuggee
from osmia.debugger.dap.launch import launch
from osmia.debugger.dap.looking import REQUESTS
from osmia.debugger.errors import DebuggerError
from osmia.errors import OsmiaError

if TYPE_CHECKING:
    from osmia.debugger.stops import Stop

Body = dict[str, Any]
Arguments = Mapping[str, Any]

CAPABILITIES: Body = {
    "supportsConfigurationDoneRequest": True,
    "supportsFunctionBreakpoints": True,
    "supportsConditionalBreakpoints": True,
    "supportsHitConditionalBreakpoints": True,
    "supportsLogPoints": True,
    "supportsInstructionBreakpoints": True,
    "supportsDataBreakpoints": True,
    "supportsEvaluateForHovers": True,
    "supportsSetVariable": True,
    "supportsSetExpression": True,
    "supportsStepBack": True,
    "supportsSteppingGranularity": True,
    "supportsDisassembleRequest": True,
    "supportsReadMemoryRequest": True,
    "supportsWriteMemoryRequest": True,
    "supportsExceptionInfoRequest": True,
    "supportsRestartRequest": True,
    "supportsTerminateRequest": True,
    "supportsLoadedSourcesRequest": True,
    "supportsDelayedStackTraceLoading": True,
    "exceptionBreakpointFilters": [
        {
            "filter": "fault",
            "label": "Faults",
            "description": "what the program may not do, and budgets that are used up",
            "default": True,
        }
    ],
}


class Adapter:
    """One editor's. `write` sends a message; `defaults` are arguments of "launch" that the editor
    need not give. `handle` is for one thread, `interrupt` and `complain` for any."""

    def __init__(self, write: Callable[[Body], None], defaults: Arguments) -> None:
        self._write = write
        self._defaults = defaults
        self._arguments: Arguments = {}
        self._configured = False
        self.debuggee: Debuggee | None = None
        self.breakpoints = EditorBreakpoints(self._say)
        self.ended = False

    def handle(self, message: Mapping[str, Any]) -> None:
        """Do what a message asks for, and answer it."""
        if message.get("type") != "request" or not isinstance(message.get("command"), str):
            self.complain(f"a message that is no request: {message!r:.200}")
            return
        command, arguments = message["command"], message.get("arguments")
        arguments = {} if arguments is None else arguments
        after: Callable[[], None] | None = None
        try:
            if not isinstance(arguments, Mapping):
                raise DebuggerError(f"arguments of {command!r:.80} that are no object")
            answer = self._answer(command, arguments)
            body, after = answer if isinstance(answer, tuple) else (answer, None)
        except (OsmiaError, OSError, KeyError, ValueError, TypeError, LookupError) as error:
            self._refuse(message, _words(error, command))
            return
        except Exception as error:  # a fault of ours: the editor goes on
            traceback.print_exc()
            self._refuse(message, f"osmia failed at {command!r:.80}: {error!r:.200}")
            return
        self._respond(message, success=True, body=body)
        self._do(after)

    def _do(self, after: Callable[[], None] | None) -> None:
        """What follows the answer: the program moves."""
        if after is None:
            return
        try:
            after()
        except OsmiaError as error:
            self._say(f"{error}\n", "stderr")
            self._event("stopped", {"reason": "pause", "threadId": THREAD, "text": str(error)})

    def _answer(self, command: str, arguments: Arguments) -> Body | tuple[Body, Callable[[], None]]:
        """The body of the answer, and what is to be done behind it."""
        if command in REQUESTS:
            return REQUESTS[command](self._program(), arguments)
        if command in _MOVES:
            debuggee = self._program()
            move = _MOVES[command](debuggee, arguments)
            return (
                {"allThreadsContinued": True} if command == "continue" else {},
                lambda: debuggee.move(move),
            )
        handler = _HANDLERS.get(command)
        if handler is None:
            raise DebuggerError(f"there is no request {command!r:.80} here")
        answer: Body | tuple[Body, Callable[[], None]] = handler(self, arguments)
        return answer

    def _program(self) -> Debuggee:
        if self.debuggee is None:
            raise DebuggerError("no program has been launched")
        return self.debuggee

    def interrupt(self) -> None:
        """Stop the program, where it is moving."""
        debuggee = self.debuggee
        if debuggee is not None:
            debuggee.interrupt()

    def complain(self, text: str) -> None:
        """Tell the editor what is wrong with its messages."""
        self._say(f"{text}\n", "stderr")

    def close(self) -> None:
        """The program goes."""
        debuggee, self.debuggee = self.debuggee, None
        if debuggee is not None:
            debuggee.close()

    # Sending.

    def _say(self, text: str, category: str = "console") -> None:
        self._event("output", {"category": category, "output": text})

    def _event(self, name: str, body: Body) -> None:
        self._write({"type": "event", "event": name, "body": body})

    def _refuse(self, message: Mapping[str, Any], text: str) -> None:
        error = {"id": 1, "format": "{text}", "variables": {"text": text}, "showUser": True}
        self._respond(message, success=False, message=text, body={"error": error})

    def _respond(self, request: Mapping[str, Any], **rest: Any) -> None:
        number = request.get("seq")
        answer = {"request_seq": number if isinstance(number, int) else 0}
        self._write({"type": "response", **answer, "command": request["command"], **rest})

    # Beginning and ending.

    def _initialize(self, arguments: Arguments) -> Body:
        return CAPABILITIES

    def _launch(self, arguments: Arguments) -> tuple[Body, Callable[[], None]]:
        if self.debuggee is not None:
            raise DebuggerError("a program has been launched already")
        self._arguments = {**self._defaults, **arguments}
        self.debuggee = self._launched()
        return {}, lambda: self._event("initialized", {})

    def _launched(self) -> Debuggee:
        launched = launch(self._arguments)
        try:
            debuggee = Debuggee(launched, self.breakpoints, self._event)
        except BaseException:
            launched.close()
            raise
        for remark in debuggee.remarks():
            self._say(f"{remark}\n")
        return debuggee

    def _attach(self, arguments: Arguments) -> Body:
        raise DebuggerError('programs run in osmia\'s vm: "launch" one, there is none to attach to')

    def _configuration_done(self, arguments: Arguments) -> tuple[Body, Callable[[], None]]:
        debuggee = self._program()
        if self._configured:
            return {}, lambda: None
        self._configured = True
        return {}, debuggee.start

    def _restart(self, arguments: Arguments) -> tuple[Body, Callable[[], None]]:
        self._program()
        given = arguments.get("arguments")
        if isinstance(given, Mapping):
            self._arguments = {**self._defaults, **given}
        self.close()
        self.debuggee = debuggee = self._launched()
        for shown in self.breakpoints.put_all(debuggee.session, debuggee.sources):
            self._event("breakpoint", {"reason": "changed", "breakpoint": shown})
        return {}, debuggee.start

    def _terminate(self, arguments: Arguments) -> tuple[Body, Callable[[], None]]:
        ended = self.debuggee is None or self.debuggee.ended
        self.close()
        return {}, lambda: None if ended else self._event("terminated", {})

    def _disconnect(self, arguments: Arguments) -> Body:
        self.close()
        self.ended = True
        return {}

    def _threads(self, arguments: Arguments) -> Body:
        name = self.debuggee.name if self.debuggee is not None else "no program"
        return {"threads": [{"id": THREAD, "name": name}]}

    def _pause(self, arguments: Arguments) -> Body:
        self._program()  # it was interrupted when the request came
        return {}

    # Breakpoints.

    def _ask(self, kind: str, group: str, wanted: Sequence[Arguments]) -> Body:
        session = self.debuggee.session if self.debuggee is not None else None
        sources = self.debuggee.sources if self.debuggee is not None else None
        return {"breakpoints": self.breakpoints.ask(kind, group, wanted, session, sources)}

    def _set_breakpoints(self, arguments: Arguments) -> Body:
        source = arguments["source"]
        if not isinstance(source, Mapping):
            raise DebuggerError(f"a source that is no object: {source!r:.80}")
        path, reference = str(source.get("path") or ""), int(source.get("sourceReference") or 0)
        if arguments.get("breakpoints") is not None:
            wanted = _objects(arguments, "breakpoints")
        else:
            wanted = [{"line": line} for line in arguments.get("lines") or ()]
        asked = [{**each, "path": path, "reference": reference} for each in wanted]
        return self._ask("line", path or f"#{reference}", asked)

    def _set_function_breakpoints(self, arguments: Arguments) -> Body:
        return self._ask("function", "", _objects(arguments, "breakpoints"))

    def _set_instruction_breakpoints(self, arguments: Arguments) -> Body:
        return self._ask("instruction", "", _objects(arguments, "breakpoints"))

    def _set_data_breakpoints(self, arguments: Arguments) -> Body:
        return self._ask("data", "", _objects(arguments, "breakpoints"))

    def _set_exception_breakpoints(self, arguments: Arguments) -> Body:
        self.breakpoints.faults = "fault" in arguments["filters"]
        return {"breakpoints": []}


def _objects(arguments: Arguments, name: str) -> list[Arguments]:
    """An argument that is a list of objects."""
    given = arguments[name]
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise DebuggerError(f"{name} that are no list of objects: {given!r:.80}")
    return given


def _words(error: Exception, command: str) -> str:
    if isinstance(error, KeyError) and not isinstance(error, OsmiaError) and error.args:
        text = str(error.args[0])
        return text if " " in text else f"{command!r} lacks {text!r}"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _by_instructions(arguments: Arguments) -> bool:
    return arguments.get("granularity") == "instruction"


def _next(debuggee: Debuggee, arguments: Arguments) -> Callable[[], Stop]:
    session = debuggee.session
    if _by_instructions(arguments):
        return lambda: session.next(instruction=True)
    return lambda: debuggee.over(session.next)


def _step_in(debuggee: Debuggee, arguments: Arguments) -> Callable[[], Stop]:
    instruction = _by_instructions(arguments)
    return lambda: debuggee.session.step(instruction=instruction)


def _step_back(debuggee: Debuggee, arguments: Arguments) -> Callable[[], Stop]:
    session = debuggee.session
    if _by_instructions(arguments):
        return lambda: session.reverse_next(instruction=True)
    return lambda: debuggee.over(session.reverse_next)


_MOVES: Mapping[str, Callable[[Debuggee, Arguments], Callable[[], Stop]]] = {
    "continue": lambda debuggee, _: debuggee.session.continue_,
    "next": _next,
    "stepIn": _step_in,
    "stepOut": lambda debuggee, _: debuggee.out,
    "stepBack": _step_back,
    "reverseContinue": lambda debuggee, _: debuggee.session.reverse_continue,
}

_HANDLERS: Mapping[str, Callable[[Adapter, Arguments], Any]] = {
    "initialize": Adapter._initialize,
    "launch": Adapter._launch,
    "attach": Adapter._attach,
    "configurationDone": Adapter._configuration_done,
    "restart": Adapter._restart,
    "terminate": Adapter._terminate,
    "disconnect": Adapter._disconnect,
    "threads": Adapter._threads,
    "pause": Adapter._pause,
    "setBreakpoints": Adapter._set_breakpoints,
    "setFunctionBreakpoints": Adapter._set_function_breakpoints,
    "setInstructionBreakpoints": Adapter._set_instruction_breakpoints,
    "setDataBreakpoints": Adapter._set_data_breakpoints,
    "setExceptionBreakpoints": Adapter._set_exception_breakpoints,
}
