"""From the text of a C expression to its tree: a precedence climber.

    conditional  = binary ["?" [expression] ":" conditional]
    binary       = unary {operator unary}, by precedence
    unary        = operator unary | "sizeof" … | "(" type ")" unary | postfix
    postfix      = primary {"." name | "->" name | "[" expression "]"}

What `(name) …` is depends on whether the name is a type's, which C finds out from declarations.
Here it is one if C or the kernel has a type of that name, if a `*` stands before the parenthesis
closes, or if an operand follows that no operator could have on its right.
"""

from __future__ import annotations

from osmia.debugger.expressions.integers import INT, literal, wrapped
from osmia.debugger.expressions.nodes import (
    Binary,
    Call,
    Cast,
    Conditional,
    Index,
    Initialiser,
    Literal,
    Member,
    Name,
    Node,
    SizeOf,
    Text,
    TypeWords,
    Unary,
)
from osmia.debugger.expressions.tokens import (
    ASSIGNMENTS,
    ExpressionError,
    Token,
    tokens,
    unquoted,
)

DEEPEST = 64
"""How deep a tree may be: parentheses, and operators in a row."""
_POWERS = {
    symbol: power
    for power, symbols in enumerate(
        ("||", "&&", "|", "^", "&", "== !=", "< <= > >=", "<< >>", "+ -", "* / %"), 1
    )
    for symbol in symbols.split()
}
_PREFIXES = ("-", "+", "!", "~", "*", "&")
WORDS_OF_TYPES = frozenset(
    ("signed", "unsigned", "char", "short", "int", "long", "_Bool", "bool", "void", "float")
)
_TAGS = ("struct", "union", "enum")
_QUALIFIERS = ("const", "volatile")
NAMES_OF_TYPES = frozenset(
    f"{before}{sign}{bits}{after}"
    for bits in (8, 16, 32, 64)
    for before, signs, after in (("", "us", ""), ("__", "us", ""), ("", ("int", "uint"), "_t"))
    for sign in signs
) | frozenset(
    [*(f"__{order}{bits}" for order in ("be", "le") for bits in (16, 32, 64)), "size_t", "ssize_t"]
)


def _goes_on(words: list[str], word: str) -> bool:
    """Whether a word is, behind others, one more of a type's name."""
    if word in WORDS_OF_TYPES:
        return all(each in WORDS_OF_TYPES for each in words)
    return not words and word in NAMES_OF_TYPES


def parse(text: str) -> Node:
    """The tree of an expression. ExpressionError for what is none."""
    return _Parser(tokens(text)).whole()


class _Parser:
    """Goes through the words of one expression."""

    def __init__(self, words: list[Token]) -> None:
        self._words = words
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        found = self._initialiser() if self._here.text == "{" else self._expression()
        if self._here.kind != "end":
            self._refuse_here()
        return found

    # Words.

    @property
    def _here(self) -> Token:
        return self._words[self._at]

    def _next(self) -> Token:
        self._at += 1
        return self._words[self._at - 1]

    def _takes(self, text: str) -> bool:
        """Go past an operator, if it is here."""
        found = self._here.kind == "operator" and self._here.text == text
        self._at += found
        return found

    def _expect(self, text: str) -> int:
        """Go past an operator that has to be here; its end."""
        if not self._takes(text):
            self._refuse_here(f"{text!r} is missing")
        return self._words[self._at - 1].end

    def _refuse_here(self, problem: str = "") -> None:
        here = self._here
        if here.text in ASSIGNMENTS or here.text in ("++", "--"):
            problem = f"{here.text} changes a value: `set` does that"
        elif here.kind == "end":
            problem = problem or "it ends too early"
        else:
            problem = problem or f"{here.text!r} is not expected"
        raise ExpressionError(problem, here.start)

    def _deeper(self, start: int) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(f"deeper than {DEEPEST} operators", start)

    # Operators.

    def _expression(self) -> Node:
        self._deeper(self._here.start)
        condition = self._binary(1)
        if self._takes("?"):
            yes = None if self._here.text == ":" else self._expression()
            self._expect(":")
            no = self._expression()
            condition = Conditional(condition.start, no.end, condition, yes, no)
        self._depth -= 1
        return condition

    def _binary(self, power: int) -> Node:
        left, held = self._unary(), self._depth
        while self._here.kind == "operator" and _POWERS.get(self._here.text, 0) >= power:
            self._deeper(self._here.start)
            symbol = self._next().text
            right = self._binary(_POWERS[symbol] + 1)
            left = Binary(left.start, right.end, symbol, left, right)
        self._depth = held
        return left

    def _unary(self) -> Node:
        here = self._here
        if here.kind == "name" and here.text == "sizeof":
            return self._sizeof()
        prefix = here.kind == "operator" and here.text in _PREFIXES
        cast = None if prefix else self._cast()
        if not prefix and cast is None:
            return self._postfix()
        self._deeper(here.start)
        if prefix:
            self._next()
        operand = self._unary()
        self._depth -= 1
        if cast is not None:
            return Cast(here.start, operand.end, cast, operand)
        return Unary(here.start, operand.end, here.text, operand)

    def _sizeof(self) -> Node:
        start = self._next().start
        held = self._at
        if self._takes("("):
            found = self._type()
            if found is not None and self._takes(")"):
                return SizeOf(start, self._words[self._at - 1].end, found)
        self._at = held
        self._deeper(start)
        operand = self._unary()
        self._depth -= 1
        return Unary(start, operand.end, "sizeof", operand)

    def _cast(self) -> TypeWords | None:
        """The type of a cast that is here; None for another thing in parentheses."""
        held = self._at
        if self._takes("("):
            found = self._type(typedefs=True)
            if found is not None and self._takes(")") and self._casts(found):
                return found
        self._at = held
        return None

    def _casts(self, found: TypeWords) -> bool:
        """Whether what is in parentheses is a type: of a typedef's name what follows tells."""
        sure = found.pointers or " " in found.name or found.name in WORDS_OF_TYPES | NAMES_OF_TYPES
        here = self._here
        return bool(sure) or here.kind not in ("operator", "end") or here.text in ("(", "!", "~")

    def _type(self, *, typedefs: bool = False) -> TypeWords | None:
        """The type that is named here; None where another word stands."""
        start, words = self._here.start, list[str]()
        while self._here.kind == "name":
            word = self._here.text
            if word in _TAGS and not words:
                self._next()
                if self._here.kind != "name":
                    self._refuse_here(f"{word} what? A name is missing")
                words += [word, self._here.text]
            elif _goes_on(words, word) or (typedefs and not words and word not in _QUALIFIERS):
                words.append(word)
            elif word not in _QUALIFIERS:
                return None
            self._next()
        pointers = 0
        while words and (self._takes("*") or self._here.text in _QUALIFIERS):
            pointers += self._words[self._at - 1].text == "*"
            self._at += self._here.text in _QUALIFIERS
        return TypeWords(start, self._here.start, " ".join(words), pointers) if words else None

    # Operands.

    def _postfix(self) -> Node:
        found, held = self._primary(), self._depth
        while self._here.kind == "operator" and self._here.text in (".", "->", "["):
            self._deeper(self._here.start)
            if self._takes("["):
                inner = self._initialiser() if self._here.text == "{" else self._expression()
                found = Index(found.start, self._expect("]"), found, inner)
                continue
            self._next()
            if self._here.kind != "name":
                self._refuse_here("the name of a member is missing")
            name = self._next()
            found = Member(found.start, name.end, found, name.text)
        self._depth = held
        return found

    def _primary(self) -> Node:
        here = self._here
        match here.kind:
            case "number":
                self._next()
                try:
                    return Literal(here.start, here.end, *literal(here.text))
                except ValueError as error:
                    raise ExpressionError(str(error), here.start) from None
            case "character":
                return self._character()
            case "string":
                return self._string()
            case "name":
                self._next()
                if self._takes("("):
                    return self._call(here)
                return Name(here.start, here.end, here.text)
        if not self._takes("("):
            self._refuse_here()
        found = self._expression()
        end = self._expect(")")
        return found._replace(start=here.start, end=end)

    def _character(self) -> Node:
        here = self._next()
        value = unquoted(here)
        if len(value) != 1:
            raise ExpressionError(f'{here.text} is no one character (text is in "")', here.start)
        number = wrapped(value[0], INT._replace(size=1))
        return Literal(here.start, here.end, number, INT)

    def _string(self) -> Node:
        start, value = self._here.start, b""
        while self._here.kind == "string":
            value += unquoted(self._next())
        return Text(start, self._words[self._at - 1].end, value)

    def _call(self, name: Token) -> Node:
        arguments: list[Node] = []
        while not self._takes(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._expression())
        end = self._words[self._at - 1].end
        return Call(name.start, end, name.text, tuple(arguments))

    def _initialiser(self) -> Node:
        start = self._here.start
        self._deeper(start)
        self._expect("{")
        items: list[tuple[str, Node]] = []
        while not self._takes("}"):
            if items:
                self._expect(",")
                if self._takes("}"):
                    break
            name = ""
            if self._takes("."):
                name = self._next().text
                self._expect("=")
            value = self._initialiser() if self._here.text == "{" else self._expression()
            items.append((name, value))
        self._depth -= 1
        return Initialiser(start, self._words[self._at - 1].end, tuple(items))
