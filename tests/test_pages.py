"""The pages that osmia writes, in a browser: what must be seen is there, on a screen and on a
narrow one, light and dark. Chromium is an optional extra of the suite (Debian's `chromium`)."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.cli import main
from osmia.symbols import Frame, Sample, StackProfile
from osmia.verifier.log import logs_in
from osmia.verifier.page import Page
from osmia.verifier.report import report_of

from .browser import browse, needs_chromium

pytestmark = [pytest.mark.slow, needs_chromium]

LIMIT = Path(__file__).parents[1] / "examples" / "testing" / "limit.bpf.c"
WINDOW = (1000, 700)
#: Colours that differ by no more are one, after antialiasing.
_NEAR = 40


class Seen:
    """A page as Chromium shows it: the text of its elements, and its picture."""

    def __init__(self, page: Path, folder: Path, *options: str, window: tuple[int, int]) -> None:
        picture = folder / "page.png"
        size = f"--window-size={window[0]},{window[1]}"
        self.text = browse(page, folder, size, *options, "--dump-dom")
        browse(page, folder, size, *options, f"--screenshot={picture}")
        from PIL import Image

        with Image.open(io.BytesIO(picture.read_bytes())) as image:
            self.size = image.size
            counted: Any = image.convert("RGB").getcolors(image.size[0] * image.size[1])
        self.colours: dict[tuple[int, int, int], int] = {colour: count for count, colour in counted}

    @property
    def background(self) -> tuple[int, int, int]:
        """The colour that most of it has."""
        return max(self.colours, key=lambda colour: self.colours[colour])

    def has_colours(self, wanted: Callable[[int, int, int], bool]) -> int:
        """How many pixels have a colour of that kind."""
        return sum(count for colour, count in self.colours.items() if wanted(*colour))


def _reddish(red: int, green: int, blue: int) -> bool:
    return red > green + _NEAR and red > blue + _NEAR


def _greenish(red: int, green: int, blue: int) -> bool:
    return green > red + 10 and green > blue + 10


@pytest.fixture(scope="module")
def coverage_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("coverage") / "coverage.html"
    with osmia.compile(LIMIT).load("vm") as bpf:
        with osmia.cover(bpf) as coverage:
            bpf.programs["limiter"].run(bytes(64))
        coverage.write(path)
    return path


def test_the_coverage_page_shows_the_source_and_what_ran(
    coverage_page: Path, tmp_path: Path
) -> None:
    seen = Seen(coverage_page, tmp_path, window=WINDOW)
    for wanted in ("limit.bpf.c", "branches", "if (ethernet-&gt;h_proto"):
        assert wanted in seen.text
    assert seen.size == WINDOW
    assert seen.has_colours(_reddish) > 100  # lines that did not run
    assert seen.has_colours(_greenish) > 100  # and those that did


def test_the_coverage_page_is_dark_where_the_reader_wants_it(
    coverage_page: Path, tmp_path: Path
) -> None:
    light = Seen(coverage_page, tmp_path, window=WINDOW)
    (tmp_path / "dark").mkdir()
    dark = Seen(
        coverage_page,
        tmp_path / "dark",
        "--blink-settings=preferredColorScheme=0",
        window=WINDOW,
    )
    assert sum(light.background) > 600
    assert sum(dark.background) < 200


def test_the_verifier_s_page_shows_the_refusal_beside_the_source(tmp_path: Path) -> None:
    log = (
        "; if (!value) @ a.c:7\n0: R1=ctx() R10=fp0\n"
        "0: (b7) r0 = 0                        ; R0_w=0\n"
        "; return *value; @ a.c:8\n"
        "1: (79) r0 = *(u64 *)(r0 +0)\nR0 invalid mem access 'scalar'\n"
        "processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 "
        "mark_read 0\n"
    )
    page = Page("a.bpf.o")
    for name, each in logs_in(log.encode()):
        page.add(report_of(each, name))
    path = tmp_path / "verify.html"
    path.write_text(page.text())
    seen = Seen(path, tmp_path, window=WINDOW)
    for wanted in ("rejected", "R0 invalid mem access", "return *value;"):
        assert wanted in seen.text
    assert len(seen.colours) > 20  # there is text, not an empty page


@pytest.mark.parametrize("window", [WINDOW, (400, 700)])
def test_a_flame_graph_fills_its_width(tmp_path: Path, window: tuple[int, int]) -> None:
    frames = [Frame(0x1000 + n, f"function_{n}") for n in range(4)]
    profile = StackProfile([Sample(tuple(frames[:depth]), 10) for depth in (2, 3, 4)])
    path = tmp_path / "flame.html"
    profile.save(path)
    seen = Seen(path, tmp_path, window=window)
    assert "function_3" in seen.text
    boxes = seen.has_colours(lambda red, green, blue: red > blue + _NEAR)
    assert boxes > window[0] * 12


@pytest.mark.usefixtures("capfd")
def test_the_cost_of_a_program_is_a_flame_graph(tmp_path: Path) -> None:
    path = tmp_path / "cost.html"
    arguments = ["prog", "profile", str(LIMIT), "--packet", "00" * 64, "--engine", "vm"]
    assert main([*arguments, "-o", str(path)]) == 0
    seen = Seen(path, tmp_path, window=WINDOW)
    assert "limiter" in seen.text
