"""The report in a real browser, at the width of a desk and of a hand."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from grading.outputs import FORMATS
from tests.grading.test_outputs import sample

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files",
    "--virtual-time-budget=2000",
)  # fmt: skip
FRAME = """<!doctype html><body style="margin:0">
<iframe id="f" src="report.html" style="width:{width}px;height:900px;border:0"></iframe>
<pre id="out"></pre><script>
document.getElementById('f').onload = event => {{
  const page = event.target.contentDocument, root = page.documentElement;
  const unseen = element => element.getBoundingClientRect().width < 5;
  const hidden = [...page.querySelectorAll('h1, h2, li, p')].filter(unseen).length;
  document.getElementById('out').textContent =
    'width ' + root.scrollWidth + ' of ' + root.clientWidth + ' hidden ' + hidden +
    ' letters ' + page.body.innerText.length;
}};
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")


def measured(page: str, width: int, folder) -> dict[str, int]:
    """How wide the page is in a frame of this width, how much is not seen, and how much there is to read."""
    (folder / "report.html").write_text(page, "utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width), "utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", frame.as_uri()]
    found = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=90, check=False
    ).stdout
    numbers = re.search(r"width (\d+) of (\d+) hidden (\d+) letters (\d+)", found)
    assert numbers is not None, found[-500:]
    return dict(zip(("needs", "has", "hidden", "letters"), map(int, numbers.groups()), strict=True))


@pytest.mark.parametrize("width", [1280, 390])
def test_it_can_be_read_without_scrolling_sideways(width, tmp_path):
    found = measured(FORMATS["html"][1](sample(name="a-name-without-any-blank-" * 6)), width, tmp_path)
    assert found["has"] in range(width - 20, width + 1)
    assert found["needs"] <= found["has"]
    assert found["hidden"] == 0
    assert found["letters"] > 500


def test_a_page_that_is_too_wide_is_noticed(tmp_path):
    page = FORMATS["html"][1](sample()).replace("<main>", '<main><div style="width:600px">wide</div>')
    found = measured(page, 390, tmp_path)
    assert found["needs"] > found["has"]
