"""The page of a class: nothing from elsewhere, nothing that a student could slip in, and heads that sort."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from grading.classroom.page import page
from grading.classroom.table import Row, Table
from grading.submissions.profiles import chosen
from tests.grading.sample_grade import sample
from tests.grading.test_report_page import CHROMIUM, FLAGS

EVIL = "<script>alert(1)</script>"
FRAME = """<!doctype html><body style="margin:0">
<iframe id="f" src="class.html" style="width:390px;height:900px;border:0"></iframe>
<pre id="out"></pre><script>
document.getElementById('f').onload = event => {
  const page = event.target.contentDocument, heads = [...page.querySelectorAll('thead th button')];
  const names = () => [...page.querySelectorAll('tbody th')].map(cell => cell.textContent);
  const found = {wide: page.documentElement.scrollWidth, start: names()};
  for (const [column, what] of [[2, 'points'], [0, 'student'], [6, 'MiB']]) {
    heads[column].click(); found[what] = names();
    heads[column].click(); found[what + ' down'] = names();
  }
  document.getElementById('out').textContent = 'found ' + JSON.stringify(found);
};
</script>"""


def table(*names):
    """Each with a quarter of a point more than the one before; the last one could not be graded."""
    found = []
    for i, name in enumerate(names[:-1]):
        grade = sample(name, message=f"off {EVIL}")
        grade.milestones[0].score += i / 4
        for milestone in grade.milestones:
            milestone.peak_mib = 9.0 + 40 * i  # 9, 49, 89, 129: numbers do not sort as words do
        found.append(Row.of(name, grade))
    return Table([*found, Row(names[-1], "error", problem=EVIL)], chosen(["xor", "mlp"]), 7, 20.0)


def test_it_asks_for_nothing_and_shows_what_students_write_as_it_is():
    text = page(table("a", EVIL, "b"))
    assert text.count("<script") == 1
    assert "alert(1)" not in re.sub(r"&lt;script&gt;alert\(1\)&lt;/script&gt;", "", text)
    assert not re.search(r"(src|href)=.?(https?:|//)|url\(|@import", text)
    assert "script-src 'sha256-" in text
    assert 'href="%3Cscript%3Ealert%281%29%3C%2Fscript%3E/report.html"' in text


def test_a_row_says_what_was_found():
    text = page(table("alice", "bob"))
    assert '<a href="alice/report.html">alice</a>' in text
    assert "14.0 of 17" in text
    assert "91.23 %" in text
    assert "The grader failed" in text, "and is among what went wrong"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
def test_a_click_on_a_head_sorts(tmp_path):
    (tmp_path / "class.html").write_text(page(table("dan", "amy", "eve10", "eve9", "bo")), "utf-8")
    (tmp_path / "frame.html").write_text(FRAME, "utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    shown = subprocess.run(
        [*command, (tmp_path / "frame.html").as_uri()], capture_output=True, text=True, encoding="utf-8",
        timeout=90, check=False,
    ).stdout  # fmt: skip
    found = re.search(r"found (\{.*?\})<", shown)
    assert found is not None, shown[-500:]
    order = json.loads(found[1])
    assert order["start"] == ["dan", "amy", "eve10", "eve9", "bo"]
    assert order["points"] == ["dan", "amy", "eve10", "eve9", "bo"], "without a value: at the end"
    assert order["points down"] == ["eve9", "eve10", "amy", "dan", "bo"]
    assert order["student"] == ["amy", "bo", "dan", "eve9", "eve10"]
    assert order["MiB"] == ["dan", "amy", "eve10", "eve9", "bo"]
    assert order["MiB down"] == ["eve9", "eve10", "amy", "dan", "bo"]
    assert order["wide"] <= 390, "the table scrolls, the page does not"
