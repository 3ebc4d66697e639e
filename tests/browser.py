"""Chromium, an optional extra of the suite (Debian's `chromium`): started in one place."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is optional")

_ALWAYS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
_TIMEOUT = 120


def browse(page: Path, folder: Path, *options: str, milliseconds: int = 3000) -> str:
    """What the browser prints for a page after so much of the page's own time, with `options` that
    say what is wanted: --dump-dom, --screenshot=…; its profile is in `folder`."""
    assert CHROMIUM is not None
    shared = [f"--user-data-dir={folder / 'profile'}", f"--virtual-time-budget={milliseconds}"]
    command = [CHROMIUM, *_ALWAYS, *shared, *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
