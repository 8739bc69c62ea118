"""The demo as a user runs it: real flows on a real Prefect server, and the page in a real browser."""

import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--allow-file-access-from-files", "--virtual-time-budget=10000"),
)
MEASURE = """<!doctype html><body style="margin:0"><iframe id="page" src="{page}"
style="width:{width}px;height:900px;border:0"></iframe><pre id="said"></pre><script>
document.getElementById('page').onload = function () {{
  const d = this.contentDocument, shown = e => e.getClientRects().length > 0;
  document.getElementById('said').textContent = [
    d.documentElement.scrollWidth, d.querySelectorAll('section').length,
    [...d.querySelectorAll('svg')].filter(shown).length,
    [...d.querySelectorAll('svg text')].filter(t => shown(t)
      && t.getBoundingClientRect().height < 7).length].join(' ');
}};</script>"""

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The lake that the demo leaves, and what it printed."""
    root = tmp_path_factory.mktemp("demo") / "lake"
    command = [sys.executable, "-m", "flows", "demo", "--lake", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return root, done.stdout


def test_it_ends_with_a_headline_and_where_to_look(demo: tuple[Path, str]):
    root, printed = demo
    assert re.search(r"Fleet goodput: \d+\.\d %", printed)
    assert re.search(r"Failures per 1000 node-days: \d+ \(\d+ to \d+\)", printed)
    (page,) = re.findall(r"^Report +(\S+W11\S+)$", printed, re.MULTILINE)
    assert Path(page) == root / "reports" / "2026-W11" / "report.html"
    assert Path(page).stat().st_size > 100_000


def test_prefect_kept_every_run_and_a_link_to_the_report(demo: tuple[Path, str]):
    root, _ = demo
    with sqlite3.connect(root / ".state" / "prefect" / "prefect.db") as kept:
        flows = kept.execute(
            "SELECT flow.name, flow_run.state_type, count(*) FROM flow_run "
            "JOIN flow ON flow.id = flow_run.flow_id GROUP BY 1, 2 ORDER BY 1"
        ).fetchall()
        artifacts = kept.execute("SELECT type, data FROM artifact").fetchall()
    assert flows == [
        ("derive", "COMPLETED", 1),
        ("ingest", "COMPLETED", 1),
        ("weekly", "COMPLETED", 2),
    ]
    assert any(kind == "markdown" and "report.html" in data for kind, data in artifacts)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_fits_the_window_and_its_letters_can_be_read(
    demo: tuple[Path, str], width: int, tmp_path: Path
):
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    page = demo[0] / "reports" / "2026-W11" / "report.html"
    outer = tmp_path / "outer.html"
    outer.write_text(MEASURE.format(page=page.as_uri(), width=width))
    command = [
        CHROMIUM,
        *QUIET,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1400,1000",
    ]
    done = subprocess.run(
        [*command, "--dump-dom", outer.as_uri()], capture_output=True, text=True, timeout=120
    )
    said = re.search(r'<pre id="said">([\d ]+)</pre>', done.stdout)
    assert said, done.stdout[-500:] + done.stderr[-500:]
    scroll, sections, pictures, tiny = map(int, said[1].split())
    assert scroll <= width
    assert sections >= 7
    assert pictures >= 5
    assert tiny == 0
