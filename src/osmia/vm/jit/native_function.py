"""One native function (see `osmia.vm.native`) to LLVM IR, from its Python source.

Conditions on what is known are decided here, and the branches not taken disappear.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from functools import cache
from types import FunctionType

from osmia.vm import native
from osmia.vm.jit.emitter import MASK, Emitter, Value, function, text
from osmia.vm.jit.intrinsics import INTRINSICS, Module

_BINARY: Mapping[type[ast.operator], tuple[str, Callable[[int, int], int]]] = {
    ast.Add: ("add", lambda a, b: a + b),
    ast.Sub: ("sub", lambda a, b: a - b),
    ast.Mult: ("mul", lambda a, b: a * b),
    ast.FloorDiv: ("udiv", lambda a, b: a // b),
    ast.Mod: ("urem", lambda a, b: a % b),
    ast.BitAnd: ("and", lambda a, b: a & b),
    ast.BitOr: ("or", lambda a, b: a | b),
    ast.BitXor: ("xor", lambda a, b: a ^ b),
    ast.LShift: ("shl", lambda a, b: a << b),
    ast.RShift: ("lshr", lambda a, b: a >> b),
}
_COMPARE: Mapping[type[ast.cmpop], tuple[str, Callable[[int, int], bool]]] = {
    ast.Eq: ("eq", lambda a, b: a == b),
    ast.NotEq: ("ne", lambda a, b: a != b),
    ast.Lt: ("ult", lambda a, b: a < b),
    ast.LtE: ("ule", lambda a, b: a <= b),
    ast.Gt: ("ugt", lambda a, b: a > b),
    ast.GtE: ("uge", lambda a, b: a >= b),
}


@cache
def parsed(target: FunctionType) -> ast.FunctionDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(target)))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


@cache
def _assigned(target: FunctionType) -> list[str]:
    """The variables that a function assigns, once for each time."""
    return [
        node.id
        for node in ast.walk(parsed(target))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]


class NativeFunction:
    """One native function with some parameters known."""

    def __init__(
        self, module: Module, symbol: str, name: str, known: tuple[int | None, ...]
    ) -> None:
        self.module: Module = module
        self.symbol = symbol
        self.target = native.NATIVE[name]
        self.definition = parsed(self.target)
        self.body: Emitter = Emitter()
        self.constants: dict[str, int] = {}
        self.parameters: list[str] = []
        self.loops: list[tuple[str, str]] = []
        stored = _assigned(self.target)
        self.stored = set(stored)
        names = [argument.arg for argument in self.definition.args.args]
        self.once = {name for name in stored if stored.count(name) == 1} - set(names)
        self.initial: dict[str, Value] = {}
        for parameter, value in zip(names, known, strict=True):
            if not isinstance(value, int):
                self.parameters.append(parameter)
            if parameter in self.stored:
                self.initial[parameter] = value if isinstance(value, int) else f"%a_{parameter}"
            elif isinstance(value, int):
                self.constants[parameter] = value

    def text(self) -> str:
        """The function's IR."""
        body = self.body
        body.lines.append("entry:")
        for name in sorted(self.stored):
            body.line(f"%l_{name} = alloca i64")
        for name, value in self.initial.items():
            body.line(f"store i64 {text(value)}, ptr %l_{name}")
        self.statements(self.definition.body)
        body.ret(0)
        signature = ", ".join(["ptr %base", *(f"i64 %a_{p}" for p in self.parameters)])
        return function(self.symbol, signature, body)

    def result(self) -> int | None:
        """What the translated function returns if it does nothing else."""
        *rest, last = self.body.lines[1:]
        plain = all(line.endswith("= alloca i64") for line in rest)
        number = last.removeprefix("  ret i64 ")
        return int(number) if plain and number.isdecimal() else None

    def statements(self, nodes: list[ast.stmt]) -> None:
        """Statements one after the other; what follows a return is dropped."""
        for node in nodes:
            if self.body.closed:
                return
            match node:
                case ast.Return(value=ast.expr() as value):
                    self.body.ret(self.expression(value))
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self.assign(name, self.expression(value))
                case ast.Expr(value=ast.Constant()):
                    pass
                case ast.Expr(value=ast.Call() as call):
                    self.call(call)
                case ast.If():
                    self.conditional(node)
                case ast.While():
                    self.loop(node)
                case ast.Break():
                    self.body.jump(self.loops[-1][1])
                case ast.Continue():
                    self.body.jump(self.loops[-1][0])
                case ast.Pass():
                    pass
                case _:
                    raise self.unknown(node)

    def unknown(self, node: ast.AST) -> TypeError:
        """The subset does not have this."""
        line = getattr(node, "lineno", 0)
        return TypeError(f"{self.target.__name__}, line {line}: {ast.dump(node)[:80]}")

    def assign(self, name: str, value: Value) -> None:
        """A variable that is assigned a known number, and only once, is that number."""
        if isinstance(value, int) and name in self.once:
            self.constants[name] = value & MASK
        else:
            self.body.line(f"store i64 {text(value)}, ptr %l_{name}")

    def conditional(self, node: ast.If) -> None:
        """`if`, of which only the branch taken remains when it is known."""
        body = self.body
        yes, no, end = body.label("if"), body.label("else"), body.label("end")
        known = self.condition(node.test, yes, no)
        if known is not None:
            self.statements(node.body if known else node.orelse)
            return
        body.block(yes)
        self.statements(node.body)
        if not body.closed:
            body.jump(end)
        body.block_closed(no)
        self.statements(node.orelse)
        if not body.closed:
            body.jump(end)
        body.block_closed(end)

    def loop(self, node: ast.While) -> None:
        """`while`."""
        body = self.body
        test, inside, end = body.label("while"), body.label("do"), body.label("done")
        body.block(test)
        known = self.condition(node.test, inside, end)
        if known is not None:
            body.jump(inside if known else end)
        body.block_closed(inside)
        self.loops.append((test, end))
        self.statements(node.body)
        self.loops.pop()
        if not body.closed:
            body.jump(test)
        body.block_closed(end)

    def condition(self, node: ast.expr, yes: str, no: str) -> bool | None:
        """Jump to one of two blocks; when the way is known, say so and jump nowhere."""
        body = self.body
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                known = self.condition(operand, no, yes)
                return None if known is None else not known
            case ast.BoolOp(op=operation, values=values):
                return self.all_or_any(values, isinstance(operation, ast.And), yes, no)
            case ast.Compare(left=left, ops=[ast.In()], comparators=[ast.Tuple(elts=choices)]):
                tests: list[ast.expr] = []
                for one in choices:
                    tests.append(ast.Compare(left=left, ops=[ast.Eq()], comparators=[one]))
                return self.all_or_any(tests, False, yes, no)
            case ast.Compare(left=left, ops=[compare], comparators=[right]):
                a, b = self.expression(left), self.expression(right)
                predicate, decide = _COMPARE[type(compare)]
                if isinstance(a, int) and isinstance(b, int):
                    return decide(a & MASK, b & MASK)
                body.branch(body.value(f"icmp {predicate} i64 {text(a)}, {text(b)}"), yes, no)
                return None
            case _:
                value = self.expression(node)
                if isinstance(value, int):
                    return bool(value & MASK)
                body.branch(body.value(f"icmp ne i64 {value}, 0"), yes, no)
                return None

    def all_or_any(self, values: list[ast.expr], every: bool, yes: str, no: str) -> bool | None:
        """`and` and `or`, evaluated as far as needed."""
        jumped = False
        for value in values:
            rest = self.body.label("rest")
            known = self.condition(value, rest if every else yes, no if every else rest)
            if known is None:
                jumped = True
                self.body.block_closed(rest)
            elif known is not every:
                if jumped:
                    self.body.jump(no if every else yes)
                    return None
                return not every
        if jumped:
            self.body.jump(yes if every else no)
            return None
        return every

    def expression(self, node: ast.expr) -> Value:
        """A value."""
        match node:
            case ast.Constant(value=int() as number):
                return number & MASK
            case ast.Name(id=name):
                return self.variable(name)
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                return int(getattr(self.target.__globals__[module], name)) & MASK
            case ast.BinOp(left=left, op=operator, right=right):
                a, b = self.expression(left), self.expression(right)
                operation, compute = _BINARY[type(operator)]
                if isinstance(a, int) and isinstance(b, int):
                    return compute(a, b) & MASK
                return self.body.binary(operation, a, b)
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                value = self.expression(operand)
                return ~value & MASK if isinstance(value, int) else self.invert(value)
            case ast.IfExp():
                return self.choice(node)
            case ast.Call():
                return self.call(node)
            case _:
                raise self.unknown(node)

    def invert(self, value: str) -> str:
        """All bits of a value inverted."""
        return self.body.binary("xor", value, MASK)

    def variable(self, name: str) -> Value:
        """A known number, a parameter, a local variable, or a constant of the module."""
        if name in self.constants:
            return self.constants[name]
        if name in self.stored:
            return self.body.value(f"load i64, ptr %l_{name}")
        if name in self.parameters:
            return f"%a_{name}"
        return int(self.target.__globals__[name]) & MASK

    def choice(self, node: ast.IfExp) -> Value:
        """A conditional expression."""
        body = self.body
        place = body.local("i64")
        yes, no, end = body.label("if"), body.label("else"), body.label("end")
        known = self.condition(node.test, yes, no)
        if known is not None:
            return self.expression(node.body if known else node.orelse)
        for label, value in ((yes, node.body), (no, node.orelse)):
            body.block_closed(label)
            body.line(f"store i64 {text(self.expression(value))}, ptr {place}")
            body.jump(end)
        body.block_closed(end)
        return body.value(f"load i64, ptr {place}")

    def call(self, node: ast.Call) -> Value:
        """A call of an intrinsic or of another native function."""
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        arguments = [self.expression(argument) for argument in node.args]
        intrinsic = INTRINSICS.get(name)
        if intrinsic is not None:
            return intrinsic(self.module, self.body, arguments)
        if name not in native.NATIVE:
            raise self.unknown(node)
        return self.module.call(self.body, name, arguments)
