"""The report in a real browser, at the width of a phone and of a desk."""

import functools
import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import attempt, problem
from porism import pipeline
from porism.evaluate import report
from porism.records import Status, Verdict, to_row

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync"
)
PROBE = """<!doctype html><title>wait</title><iframe id=f style="width:{width}px;height:900px;border:0"></iframe>
<script>
const errors = [];
f.onload = () => {{
  const page = f.contentDocument, wide = page.documentElement.scrollWidth - page.documentElement.clientWidth;
  const text = [...page.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height).filter(h => h > 0);
  document.title = JSON.stringify({{wide, small: Math.min(...text), svgs: page.querySelectorAll('svg').length,
    scripts: page.scripts.length, outside: page.querySelectorAll('link,[src]').length}});
}};
f.src = 'report.html';
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A served folder with a report on three sets with long names and many groups."""
    import json

    run = tmp_path_factory.mktemp("site") / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text("name: run\n")
    paths = []
    for side in range(2):
        rows = []
        for n in range(60):
            own = problem(n, set=f"a set with a long name {n % 3}", group=f"a group with a long name/{n % 9}")
            status = Status.CORRECT if (n * 7 + side * 3) % 5 < 1 + 2 * side else Status.WRONG
            rows.append(attempt(n, problem=own, verdict=Verdict(status=status, answer="1"), text="a long line " * 30))
        paths.append(run.parent / f"{side}.jsonl")
        paths[-1].write_text("".join(json.dumps(to_row(row)) + "\n" for row in rows))
    stage = pipeline.prepare("compare", "", {"before": str(paths[0]), "after": str(paths[1])})
    pipeline.execute(stage, run / "1-compare")
    (run / "stages.json").write_text('["1-compare"]')
    report.write(run)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(run))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield run, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (scripts/install-debian.sh)")
@pytest.mark.parametrize("width", [360, 1200])
def test_the_report_fits_and_can_be_read(site: tuple[Path, str], width: int, tmp_path: Path) -> None:
    run, address = site
    (run / "probe.html").write_text(PROBE.format(width=width))
    command = [CHROMIUM or "", *FLAGS.split(), f"--user-data-dir={tmp_path}", "--virtual-time-budget=5000"]
    done = subprocess.run(
        [*command, "--enable-logging=stderr", "--dump-dom", f"{address}/probe.html"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    import json

    found = json.loads(re.search(r"<title>(.*?)</title>", done.stdout).group(1))  # type: ignore[union-attr]
    assert found["wide"] <= 0, "the page scrolls sideways"
    assert found["small"] >= 8, "text in plots is too small to read"
    assert found["svgs"] >= 4
    assert found["scripts"] == found["outside"] == 0, "the page stands alone"
    assert "CONSOLE" not in done.stderr, done.stderr
