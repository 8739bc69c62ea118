"""What real servers hand out of a scrape is what the scrape itself says: Prometheus, VictoriaMetrics."""

import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime

import pytest

from transforms.sources import BY_NAME
from transforms.sources.base import Origin

pytestmark = pytest.mark.integration
ORIGIN = Origin(file="input", modified=datetime(2026, 3, 15, tzinfo=UTC))
SCRAPE = """# TYPE DCGM_FI_DEV_GPU_TEMP gauge
DCGM_FI_DEV_GPU_TEMP{gpu="0", UUID="GPU-1f02a6b4-0000-0000-0000-000000000001", Hostname="gpu-0417"} 41
DCGM_FI_DEV_GPU_TEMP{gpu="1", UUID="GPU-1f02a6b4-0000-0000-0000-000000000002", Hostname="gpu-0417"} NaN
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-1f02a6b4-0000-0000-0000-000000000001",Hostname="gpu-0417"} 575
DCGM_FI_DEV_FB_USED{gpu="1",UUID="GPU-1f02a6b4-0000-0000-0000-000000000002",Hostname="gpu-0417"} 9.223372036854775794e+18
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1f02a6b4-0000-0000-0000-000000000001",Hostname="gpu-0417",err="a\\"b, c"} 88.314159
# TYPE node_load1 gauge
node_load1{node="gpu-0417"} 0.1
# TYPE node_network_carrier_changes_total counter
node_network_carrier_changes_total{node="gpu-0417",device="eth0"} 4
# TYPE node_forks_total counter
node_forks_total{node="gpu-0417"} 1e+06
"""


def need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program}: install the Debian package {program}")
    return path


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def get(url: str, data: bytes | None = None, **query: str) -> bytes:
    full = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    with urllib.request.urlopen(full, data=data, timeout=10) as answer:
        return answer.read()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            get(url)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture
def exporter():
    """An exporter that gives SCRAPE; its port."""

    class Exporter(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(SCRAPE.encode())

        def log_message(self, *said):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def run(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


def values(parsed):
    """Every cell but for its instant: table, thing, metric, value."""
    found = set()
    for name, frame in parsed.frames.items():
        things = [n for n in ("node", "gpu", "slot", "link") if n in frame.columns]
        skipped = {*things, "cluster", "gpu_instance", "observed_at"}
        for row in frame.iter_rows(named=True):
            thing = tuple(row[n] for n in things)
            said = {(k, v) for k, v in row.items() if k not in skipped and v is not None}
            found |= {(name, *thing, *cell) for cell in said}
    return found


def of_the_scrape():
    return BY_NAME["prometheus_text"].parse(SCRAPE.encode(), ORIGIN)


def instants(parsed):
    return sorted({at for frame in parsed.frames.values() for at in frame["observed_at"]})


def test_prometheus_hands_out_what_it_scraped(tmp_path, exporter):
    program, port = need("prometheus"), free_port()
    (tmp_path / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [
                    {
                        "job_name": "gpu",
                        "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}],
                    }
                ],
            }
        )
    )
    process = run(
        [
            program,
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
    )
    try:
        at = f"http://127.0.0.1:{port}"
        wait_for(f"{at}/-/ready", process)
        asked = '{job="gpu",__name__!~"up|scrape_.*"}'
        for _ in range(300):
            matrix = get(f"{at}/api/v1/query", query=f"{asked}[1m]")
            if len(json.loads(matrix)["data"]["result"]) == SCRAPE.count("} "):
                break
            time.sleep(0.1)
        now = time.time()
        vector = get(f"{at}/api/v1/query", query=asked)
        ranged = get(
            f"{at}/api/v1/query_range", query=asked, start=str(now - 1), end=str(now), step="1"
        )
        failed = b"{}"
        try:
            get(f"{at}/api/v1/query", query="node_load1[")
        except urllib.error.HTTPError as error:
            failed = error.read()
    finally:
        stop(process)
    source = BY_NAME["prometheus_json"]
    for answer in (matrix, vector, ranged):
        parsed = source.parse(answer, ORIGIN)
        assert source.sniff(answer.decode()[:65536], "answer.json") == 2
        assert values(parsed) == values(of_the_scrape())
        assert parsed.rejected == 0
        assert parsed.unknown["metric"].to_list() == ["node_forks_total"]
        assert all(abs(moment.timestamp() - now) < 120 for moment in instants(parsed))
    (reason,) = source.parse(failed, ORIGIN).rejects["reason"]
    assert reason.startswith("the query failed: ")


def test_victoria_metrics_exports_what_it_took_in(tmp_path):
    program, port = need("victoria-metrics"), free_port()
    process = run(
        [
            program,
            f"-storageDataPath={tmp_path / 'data'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=100y",
        ]
    )
    stamps = [1772446504781 + 15000 * n for n in range(40)]
    try:
        at = f"http://127.0.0.1:{port}"
        wait_for(f"{at}/health", process)
        for stamp in stamps:
            get(f"{at}/api/v1/import/prometheus?timestamp={stamp}", SCRAPE.encode())
        get(f"{at}/internal/force_flush")
        exported = get(f"{at}/api/v1/export", **{"match[]": '{__name__!=""}', "start": "0"})
        asked = {"query": '{__name__!=""}', "start": str(stamps[0] / 1e3), "step": "15s"}
        ranged = get(f"{at}/api/v1/query_range", end=str(stamps[-1] / 1e3), **asked)
    finally:
        stop(process)
    source = BY_NAME["victoria_export"]
    assert source.sniff(exported.decode()[:65536], "export") == 2
    parsed = source.parse(exported, ORIGIN)
    assert values(parsed) == values(of_the_scrape())
    assert parsed.rejected == 0
    assert parsed.unknown.rows() == [("node_forks_total", len(stamps))]
    assert [round(moment.timestamp() * 1e3) for moment in instants(parsed)] == stamps
    assert BY_NAME["prometheus_json"].parse(ranged, ORIGIN).frames.keys() == parsed.frames.keys()
