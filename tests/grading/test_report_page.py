"""The report in a real browser: as wide as a desk and a hand, light and dark, cut off from any network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from grading.outputs.page import report
from tests.grading.sample_grade import rich

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=2000",
)  # fmt: skip
DARK, LIGHT = 0, 1
# The report in a frame of some width, and what a script that is not its own finds there. Contrast is that of
# WCAG, of every element with words in it, over the backgrounds behind it.
FRAME = """<!doctype html><body style="margin:0">
<iframe id="f" src="report.html" style="width:WIDTHpx;height:900px;border:0"></iframe>
<pre id="out"></pre><script>
const numbers = text => text.match(/[\\d.]+/g).map(Number);
function colour(text) {
  const [r, g, b, a = 1] = numbers(text.replace('srgb', ''));
  return text.startsWith('color(') ? [r, g, b, a] : [r / 255, g / 255, b / 255, a];
}
const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3]));
const linear = x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
document.getElementById('f').onload = event => {
  const page = event.target.contentDocument, view = event.target.contentWindow;
  const root = page.documentElement;
  for (const fold of page.querySelectorAll('details')) fold.open = true;
  let worst = [21, ''];
  const unseen = [];
  for (const element of page.body.querySelectorAll('*')) {
    const texts = [...element.childNodes].filter(node => node.nodeType === 3);
    const own = texts.map(node => node.data.trim()).filter(words => words);
    const style = view.getComputedStyle(element), box = element.getBoundingClientRect();
    if (!own.length || style.display === 'none' || (!box.width && element.closest('.head, .label'))) continue;
    if (box.width < 5 || box.height < 5 || box.left < 0) unseen.push(own.join(' '));
    let behind = [];
    for (let e = element; e; e = e.parentElement) behind.unshift(view.getComputedStyle(e).backgroundColor);
    const back = behind.map(colour).reduce((under, top) => over(top, under), [1, 1, 1]);
    const ink = colour(element instanceof view.SVGElement ? style.fill : style.color);
    const [high, low] = [light(over(ink, back)), light(back)].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < worst[0]) worst = [contrast, own.join(' ')];
  }
  document.getElementById('out').textContent = 'FOUND' + JSON.stringify({
    needs: root.scrollWidth, has: root.clientWidth, unseen, contrast: worst[0], faintest: worst[1],
    title: page.title, letters: page.body.innerText.length,
    back: view.getComputedStyle(page.body).backgroundColor,
    headings: [...page.querySelectorAll('h1, h2')].map(e => e.innerText),
    nameless: [...page.querySelectorAll('img:not([alt]), svg:not([aria-label]), [alt=""]')].length,
    broken: [...page.images].filter(i => !i.naturalWidth).length,
  }) + 'END';
};
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")


def opened(page: str, folder: Path, width: int = 1280, scheme: int = LIGHT) -> dict[str, Any]:
    """What is found in the page, and `asked`: what it wanted of the network."""
    (folder / "report.html").write_text(page, "utf-8")
    frame, log = folder / "frame.html", folder / "net.json"
    frame.write_text(FRAME.replace("WIDTH", str(width)), "utf-8")
    command = [
        str(CHROMIUM), *FLAGS, f"--blink-settings=preferredColorScheme={scheme}", f"--log-net-log={log}",
        f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000", "--dump-dom", frame.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=90, check=False).stdout
    found = re.search(r'<pre id="out">FOUND(\{.*\})END', dom, re.DOTALL)
    assert found is not None, dom[-500:]
    urls = set(re.findall(r'"url":"((?:https?|wss?)://[^"]*)"', log.read_text("utf-8")))
    # Chromium wants to know the time and whose browser it is, of its maker, and is not let.
    asked = sorted(url for url in urls if not f".{urlsplit(url).hostname}".endswith(".google.com"))
    return {
        **json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")),
        "asked": asked,
    }


@pytest.mark.parametrize(("width", "scheme"), [(1280, LIGHT), (1280, DARK), (390, LIGHT), (390, DARK)])
def test_it_can_be_read(width, scheme, tmp_path):
    page = report(rich("a-name-without-any-blank-" * 6))
    found = opened(page, tmp_path, width, scheme)
    assert found["has"] in range(width - 20, width + 1), "the frame does not have the width that is tested"
    assert found["needs"] <= found["has"], "one has to scroll sideways"
    assert (found["unseen"], found["nameless"], found["broken"]) == ([], 0, 0)
    assert found["contrast"] >= 4.5, f"{found['faintest']!r} is faint: WCAG AA asks for 4.5"
    assert (found["back"] == "rgb(250, 248, 244)") == (scheme == LIGHT)
    assert found["headings"][1:4] == ["1. Perceptron, 1957", "2. XOR, 1969", "3. MLP revival, 1986: digits"]
    assert found["letters"] > 2000
    assert found["asked"] == []
    assert len(page.encode()) < 2_000_000


def test_what_makes_a_page_unreadable_is_noticed(tmp_path):
    wide = '<div style="width:600px">wide</div><p style="color:#ccc">faint</p>'
    hidden = '<p style="width:1px;overflow:hidden">thin</p><img src="data:image/png;base64,AA">'
    found = opened(report(rich()).replace("<main>", f"<main>{wide}{hidden}"), tmp_path, 390)
    assert found["needs"] > found["has"]
    assert found["contrast"] < 2
    assert found["faintest"] == "faint"
    assert found["unseen"] == ["thin"]
    assert (found["nameless"], found["broken"]) == (1, 1)


ATTACK = '<img alt="a" src="http://192.0.2.1/seen.png"><script>document.title = "ran"</script>'


def test_what_slips_through_an_escape_neither_runs_nor_calls_home(tmp_path):
    page = report(rich()).replace("<main>", f"<main>{ATTACK}")
    found = opened(page, tmp_path)
    assert found["asked"] == []
    assert found["title"] != "ran"


def test_a_page_that_asks_the_network_is_noticed(tmp_path):
    page = re.sub(r"<meta http-equiv[^>]*>", "", report(rich())).replace("<main>", f"<main>{ATTACK}")
    found = opened(page, tmp_path)
    assert found["asked"] == ["http://192.0.2.1/seen.png"]
    assert found["title"] == "ran"
