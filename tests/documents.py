"""Running what stands in documents: code blocks, and what their comments say comes out."""

from __future__ import annotations

import ast
import re
import tokenize
from io import StringIO
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language, each with its line numbers in the document."""
    text = document.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return ["\n" * text.count("\n", 0, each.start(1)) + each[1] for each in found]


def write_programs(document: Path, directory: Path) -> None:
    """The document's C programs under the names in their first comments."""
    for source in blocks(document, "c"):
        name = re.match(r"\s*/\* ([\w.]+) \*/", source)
        assert name is not None
        (directory / name[1]).write_text(source.lstrip())


def results(block: str) -> dict[int, Any]:
    """What comments behind a line say that its expression gives: a literal, up to "; " or ": "."""
    told = {}
    for token in tokenize.generate_tokens(StringIO(block).readline):
        if token.type == tokenize.COMMENT:
            text = re.split(r"[;:] ", token.string.lstrip("# "), maxsplit=1)[0]
            try:
                told[token.start[0]] = ast.literal_eval(text)
            except (ValueError, SyntaxError):
                continue
    return told


class Checked(ast.NodeTransformer):
    """Wraps expressions of which a comment tells the result in a comparison with it."""

    def __init__(self, told: dict[int, Any]) -> None:
        self.told = told

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if node.end_lineno not in self.told:
            return node
        told = ast.parse(repr(self.told[node.end_lineno]), mode="eval").body
        node.value = ast.Call(ast.Name("equal", ast.Load()), [node.value, told], [])
        return node


def equal(value: object, told: object) -> None:
    assert value == told


def run(document: Path, block: str, names: dict[str, Any]) -> None:
    tree = Checked(results(block)).visit(ast.parse(block))
    code = compile(ast.fix_missing_locations(tree), str(document), "exec")
    names["equal"] = equal
    exec(code, names)
