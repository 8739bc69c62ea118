"""NVRx's cycle records beside a scheduler's and a training log: when a crash was noticed."""

import json

from lakes import take, write

from flows import warehouse
from flows.derive import derive

SACCT = """JobID|Cluster|Submit|Eligible|Start|End|State|ExitCode|NNodes|NodeList|AllocTRES
4711|alpha|2026-03-02T07:59:00|2026-03-02T07:59:00|2026-03-02T08:00:00|2026-03-02T09:30:00|FAILED|1:0|2|n[1-2]|billing=16,gres/gpu=16,node=2
"""


def test_the_launcher_notices_before_the_scheduler_does(tmp_path):
    """The last step ends at 09:00, the launcher sees it at 09:05, the job ends at 09:30."""
    step = {"run": "llm", "job_id": "4711", "event": "step", "seconds": 600}
    steps = [
        {**step, "t": f"2026-03-02T{8 + minute // 60:02}:{minute % 60:02}:00Z", "step": minute}
        for minute in range(20, 70, 10)
    ]
    steps.append(
        {"run": "llm", "job_id": "4711", "event": "job_start", "t": "2026-03-02T08:02:00Z"}
    )
    cycle = {
        "job_id": "4711", "attempt_index": 0, "cycle_number": 0,
        "cycle_start_time": "2026-03-02T08:01:00Z", "cycle_end_time": "2026-03-02T09:05:00Z",
        "active_nodes": "n[1-2]", "standby_nodes": "",
    }  # fmt: skip
    files = {
        "sacct.psv": SACCT,
        "train.ndjson": "".join(json.dumps(row) + "\n" for row in steps),
        "cycle_info.4711.0.0": json.dumps(cycle, indent=2),
    }
    lake = tmp_path / "lake"
    take(lake, write(tmp_path / "in", files))
    derive(lake)
    asked = "SELECT run, strftime(failed_at, '%H:%M'), strftime(detected_at, '%H:%M') FROM interruptions"
    assert warehouse.query(lake, asked).rows() == [("llm", "09:00", "09:05")]
    leaves = "SELECT leaf, sum(gpu_ms)::BIGINT // 960000 FROM run_time GROUP BY 1"
    minutes = dict(warehouse.query(lake, leaves).rows())
    assert (minutes["hang"], minutes["decide"], minutes["ideal"]) == (5, 25, 50)
