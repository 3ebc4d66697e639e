"""docs/refusals.md is what the kinds say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_document_is_what_the_kinds_say() -> None:
    path = ROOT / "tools/generate_refusals.py"
    spec = importlib.util.spec_from_file_location("generate_refusals", path)
    assert spec is not None and spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    written = generator.DOCUMENT.read_text(encoding="utf-8")
    assert written == generator.render(), "run tools/generate_refusals.py"
