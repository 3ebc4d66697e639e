"""The HTML page: standalone, escaped, small for large logs, and its script reads them."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode
from pathlib import Path

from osmia.verifier.embedded_log import VISITS, pieces
from osmia.verifier.files import reports_of_file
from osmia.verifier.log import VerifierLog, logs_in
from osmia.verifier.page import Page
from osmia.verifier.report import report_of

from ..browser import browse, needs_chromium
from .programs import NEW, PASTED

VISIT = "8: (bf) r3 = r1                       ; R1=pkt(r=64) R3=scalar(umax={})\n"
NOTE = "mark_precise: frame0: regs=r4 stack= before 13: (05) goto pc-6\n"


def page_of(text: str, title: str = "log") -> str:
    page = Page(title)
    for name, log in logs_in(text.encode()):
        page.add(report_of(log, name))
    return page.text()


def test_the_page_stands_alone_and_escapes() -> None:
    text = page_of(PASTED.replace("call();", "</script><b>&"), "<title>")
    assert "<title>&lt;title&gt;</title>" in text
    assert "&lt;/script&gt;&lt;b&gt;&amp;" in text
    assert "<b>&" not in text
    assert not re.search(r'(src|href)="[^#]', text)
    assert "default-src 'none'" in text


def test_it_has_the_verdict_the_path_and_where_the_value_came_from() -> None:
    text = page_of(PASTED)
    assert "main: rejected" in text
    assert "R3 invalid mem access &#x27;scalar&#x27;" in text
    assert "Where R3 came from" in text and "from the context, offset 12" in text
    row = r'<tr data-slots="3,4,5"[^>]*><td>9</td><td>3</td><td>50.0%</td><td>\*\(int \*\)key = 1;'
    assert re.search(row, text)


def test_the_log_is_in_it_in_pieces_without_notes() -> None:
    lines = "".join(VISIT.format(n) + NOTE for n in range(3 * VISITS + 5))
    log = VerifierLog(("0: R1=ctx() R10=fp0\n" + lines).encode())
    found = {piece.number: zlib.decompress(b64decode(piece.data)) for piece in pieces(log)}
    assert sorted(found) == [0, 1, 2, 3]
    assert found[1].count(b"\n") == VISITS
    assert found[3].startswith(VISIT.format(3 * VISITS).encode())
    assert b"mark_precise" not in b"".join(found.values())


def test_of_a_log_that_is_too_long_the_beginning_and_the_end_are_kept() -> None:
    lines = "".join(VISIT.format(n) for n in range(20 * VISITS))
    log = VerifierLog(("0: R1=ctx() R10=fp0\n" + lines).encode())
    numbers = sorted(piece.number for piece in pieces(log, most=len(lines) // 2))
    assert numbers[0] == 0 and numbers[-1] == 19
    assert 8 <= len(numbers) <= 12


def test_a_log_of_50_MiB_makes_a_page_of_a_few_with_few_elements() -> None:  # noqa: N802
    lines = "".join(VISIT.format(n) + NOTE * 2 for n in range(250_000))
    text = "0: R1=ctx() R10=fp0\n; x = y; @ a.c:3\n" + lines
    assert len(text) > 48 << 20
    page = page_of(text)
    assert len(page) < 8 << 20
    assert page.count("<tr") < 50


DRIVE = """<script>
setTimeout(async () => {
  document.querySelector("[data-slots*='4']").click();
  await new Promise((done) => setTimeout(done, 300));
  const found = document.createElement("div");
  found.id = "states";
  found.textContent = document.getElementById("panel").textContent;
  document.body.append(found);
  document.querySelector(".origins [data-visit]").click();
}, 50);
</script></body>"""


@needs_chromium
def test_a_browser_shows_instructions_states_and_the_log(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(page_of(PASTED).replace("</body>", DRIVE))
    shown = browse(page, tmp_path, "--dump-dom", milliseconds=4000)
    states = re.search(r'<div id="states">(.*?)</div>', shown, re.DOTALL)
    assert states is not None
    assert "Instructions" in states[1] and "r3 += 4" in states[1]
    panel = re.search(r'<aside id="panel">(.*?)</aside>', shown, re.DOTALL)
    assert panel is not None
    assert "Visit 5 of 6" in panel[1]
    assert "R3_w=scalar(umin=4,umax=4294967299)" in panel[1]
    assert 'class="now"' in panel[1]


def test_the_data_of_the_script_are_json(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(NEW)
    (report,) = reports_of_file(path)
    page = Page("x")
    page.add(report)
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', page.text(), re.DOTALL)
    assert found is not None
    (program,) = json.loads(found[1])
    assert program["slots"]["4"] == ["exit", 2, 0, [4, 5]]
