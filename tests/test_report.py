"""The evaluation page: whole, self-contained, and safe whatever a model says."""
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from weatherman.evaluation.report import loss_curve, page
from weatherman.evaluation.statistics import compare

HOSTILE = '<script>alert("x")</script> & "quotes"'


@pytest.fixture
def text():
    held_out = compare([(10.0, 4), (6.0, 2)], [(8.0, 4), (7.0, 2)], seed=1)
    result = {"run": "trial", "base_model": "some/model", "steps": 40, "held_out": held_out,
              "by_domain": [("weather", 2, 2.6, 2.5)],
              "answers": [{"name": "a", "system": "Be brief.", "user": HOSTILE, "tools": False, "before": "",
                           "after": HOSTILE}],
              "max_new_tokens": 80, "data": {"path": "data/processed/test.jsonl", "sha256": "0" * 64},
              "finished_at": "2026-11-21T00:00:00Z"}
    return page(result, ([(1, 4.0), (40, 3.0)], [(0, 4.2), (40, 3.1)]))


def test_nothing_is_loaded_from_elsewhere_and_model_output_is_escaped(text):
    assert "<script" not in text and text.count("&lt;script&gt;") == 2
    assert not re.search(r'(src|href)\s*=|url\(|@import', text)


def test_tags_are_balanced(text):
    class Check(HTMLParser):
        stack = []

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "line", "circle", "polyline"):
                self.stack.append(tag)

        def handle_endtag(self, tag):
            if tag not in ("line", "circle", "polyline"):
                assert self.stack.pop() == tag

    Check().feed(text)
    assert Check.stack == []


def test_curve_stays_inside_its_frame():
    svg = loss_curve([(1, 4.0), (2, 3.5)], [(0, 4.1), (2, 3.0)])
    for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", svg):
        assert 0 <= float(x) <= 760 and 0 <= float(y) <= 300
    assert svg.count("<circle") == 2


def test_a_browser_draws_it(text, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no chromium here; apt-get install chromium")
    (tmp_path / "report.html").write_text(text)
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
               "--window-size=1000,1400", f"--screenshot={tmp_path / 'shot.png'}", f"file://{tmp_path / 'report.html'}"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "shot.png").stat().st_size > 20_000
