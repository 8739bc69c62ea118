"""What console logs of training share: names of files, stamps, intervals of steps, long files."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from lakes import take, write

from flows import warehouse
from flows.derive import derive
from transforms.sources import BY_NAME, train_intervals
from transforms.sources.base import Origin
from transforms.sources.console import NO_STAMP, attempt_of, console_lines, stamped

MODIFIED = datetime(2026, 3, 15, tzinfo=UTC)
T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)


def origin(file: str = "run.log", **more: str) -> Origin:
    return Origin(file, MODIFIED, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("file", "run", "job_id"),
    [
        ("logs/slurm-4711.out", "slurm-4711", "4711"),
        ("slurm-4711_3.out.gz", "slurm-4711_3", "4711_3"),
        ("llm-70b_4711.log", "llm-70b", "4711"),
        ("log-nemo_gpt3-126m_55012.out", "log-nemo_gpt3-126m", "55012"),
        ("llm-70b.log", "llm-70b", ""),
        ("train-20260302.log", "train-20260302", ""),
        ("result_0.txt", "result_0", ""),
        (".log", ".log", ""),
        ("4711.out", "4711", ""),
    ],
)
def test_a_file_is_named_after_its_run_and_perhaps_its_job(file, run, job_id):
    who = attempt_of(origin(file))
    assert (who.run, who.job_id, who.restart) == (run, job_id, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02 08:00:00,250 - root", "2026-03-02T08:00:00.250000Z"),
        ("[NeMo I 2026-03-02 08:00:00 nemo_logging:381]", "2026-03-02T08:00:00.000000Z"),
        ("2026-03-02T08:00:00.5Z [2026-03-02 09:00:00] ", "2026-03-02T09:00:00.000000Z"),
        ("2026-03-02T08:00:00+01:00 0: ", "2026-03-02T07:00:00.000000Z"),
        ("I0302 08:00:00.123456 1 metric_logger.py:196]", "2026-03-02T08:00:00.123456Z"),
        ("I1231 23:59:59.000001 1 metric_logger.py:196]", "2025-12-31T23:59:59.000001Z"),
        ("I1399 08:00:00.0 x]", None),
        ("1926-03-02 08:00:00 ", None),
        ("step", None),
    ],
)
def test_the_last_stamp_before_a_message_is_its_time(text, expected):
    lines = pl.DataFrame({"line_no": [1], "line": [text], "head": [text]})
    (row,) = stamped(lines, origin()).to_dicts()
    at = (
        None
        if row["at"] is None
        else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=row["at"])
    )
    assert (at and at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")) == expected
    assert (row["fault"] is None) == (expected is not None)


def test_a_line_without_a_stamp_says_what_to_do():
    lines = pl.DataFrame({"line_no": [1], "line": ["x"], "head": ["x"]})
    assert stamped(lines, origin())["fault"].to_list() == [NO_STAMP]


def test_colours_go_and_overwritten_pieces_of_a_bar_stay():
    data = b"\x1b[32mINFO\x1b[0m a\r\n 10%|#\r 20%|##\x1b[K\r\n\n\x1b]0;title\x07b"
    assert console_lines(data).rows() == [(1, "INFO a"), (2, " 10%|#"), (2, " 20%|##"), (4, "b")]


def iteration(step: int, at: datetime, took_ms: float, last: int = 10**6) -> str:
    return f" [{at:%Y-%m-%d %H:%M:%S}] iteration {step:8d}/{last:8d} | consumed samples: {step:12d} | elapsed time per iteration (ms): {took_ms:.1f} | learning rate: 1.0E-04 |"


def megatron(text: str) -> dict[str, pl.DataFrame]:
    parsed = BY_NAME["megatron_log"].parse(text.encode(), origin())
    return {**parsed.frames, "rejects": parsed.rejects}


def test_a_long_log_tells_every_iteration_once_and_without_overlap():
    """Twenty thousand lines of ten iterations each, a save every thousand."""
    lines, at = [], T0
    for step in range(10, 200_001, 10):
        at += timedelta(seconds=30)
        lines.append(iteration(step, at, 3000))
        if step % 1000 == 0:
            lines += [
                f"saving checkpoint at iteration {step:7d} to /c",
                f"  successfully saved checkpoint from iteration {step:7d} to /c",
            ]
            at += timedelta(seconds=7)
    frames = megatron("\n".join(lines))
    steps = frames["steps"].sort("step")
    assert steps["step"].to_list() == list(range(1, 200_001))
    assert (steps["began"] >= steps["ended"].shift(1))[1:].all()
    assert (steps["ended"] - steps["began"]).unique().to_list() == [timedelta(seconds=3)]
    saves = frames["checkpoints"].sort("step")
    assert saves["step"].to_list() == list(range(1000, 200_001, 1000))
    took = (saves["block_ended"] - saves["began"]).to_list()
    assert took == [timedelta(seconds=7)] * 199 + [None]


@pytest.mark.parametrize("seed", range(8))
def test_lines_told_at_once_say_what_they_say_one_by_one(seed, monkeypatch):
    """Jumps, repeats, clocks that go back, torn lines and saves between stretches of plain lines."""
    chance = random.Random(seed)
    lines, at, step = [], T0, 0
    for _ in range(600):
        step += chance.choice([1, 1, 1, 1, 10]) if chance.random() < 0.98 else -chance.randrange(40)
        gap = chance.choice([0, 1, 3, 10, 30]) if chance.random() < 0.99 else -5
        at += timedelta(seconds=gap)
        took = chance.choice([0, 999.9995, 1147.6005, 3000, 86_400_000.1])
        line = iteration(max(step, 0), at, 1).replace("(ms): 1.0", f"(ms): {took}")
        lines.append(line if chance.random() < 0.99 else line[: chance.randrange(len(line))])
        if chance.random() < 0.02:
            lines.append(f"saving checkpoint at iteration {step:7d} to /c")
    text = "\n".join(lines)
    at_once = BY_NAME["megatron_log"].parse(text.encode(), origin())
    monkeypatch.setattr(train_intervals, "FEWEST", 10**9)
    one_by_one = BY_NAME["megatron_log"].parse(text.encode(), origin())
    assert at_once.rejects.equals(one_by_one.rejects)
    assert (at_once.accepted, at_once.ignored) == (one_by_one.accepted, one_by_one.ignored)
    for name, frame in one_by_one.frames.items():
        assert at_once.frames[name].equals(frame, null_equal=True), name
    assert one_by_one.frames["steps"].height > 300


def test_runs_of_plain_lines_are_found():
    text = "\n".join(iteration(n, T0 + timedelta(seconds=3 * n), 3000) for n in range(1, 101))
    ours = pl.DataFrame({"line_no": range(100), "step": range(100), "at": range(0, 200, 2)})
    marked = train_intervals.plain_stretches(ours.with_columns(took=1, is_sound=True))
    assert marked["plain"].is_not_null().sum() == 99
    assert megatron(text)["steps"].height == 100


@pytest.mark.parametrize("step", [999_999_999_999, 10**14])
def test_a_torn_number_makes_no_flood_of_steps(step):
    lines = [iteration(10, T0, 1000, 10**15), iteration(step, T0 + timedelta(days=1), 1000, 10**15)]
    assert megatron("\n".join(lines))["steps"].height <= 20


def test_a_rollback_is_told_under_the_same_numbers():
    lines = [
        iteration(n, T0 + timedelta(seconds=10 * i), 1000)
        for i, n in enumerate([10, 20, 30, 20, 30])
    ]
    steps = megatron("\n".join(lines))["steps"]
    assert steps.sort("began")["step"].to_list() == [*range(1, 31), *range(11, 31)]


def lightning(*pieces: str) -> dict[str, pl.DataFrame]:
    return dict(BY_NAME["lightning_log"].parse("\n".join(pieces).encode(), origin()).frames)


def bar(epoch: int, n: int, clock: str) -> str:
    return f"Epoch {epoch}: {10 * n:3d}%|{'#' * n:<10}| {n}/10 [{clock}<00:15,  0.20it/s, v_num=0]"


def test_a_stamp_sets_the_bar_right_for_the_steps_that_follow_it():
    """Thirty seconds that no bar counted passed between the epochs; what was told stays."""
    steps = lightning(
        bar(0, 5, "01:40"),
        "[2026-03-02 08:02:00] five",
        bar(0, 10, "03:20"),
        "[2026-03-02 08:04:10] saved",
        bar(1, 0, "00:00"),
        bar(1, 5, "01:40"),
        bar(1, 10, "03:20"),
    )["steps"]
    spans = steps.group_by("line_no").agg(pl.col("began").min(), pl.col("ended").max())
    zero = T0 + timedelta(seconds=20)
    first = [(0, 100), (100, 200)]
    later = [(229, 329), (329, 429)]  # the bar cuts off up to a second
    told = [tuple(zero + timedelta(seconds=s) for s in span) for span in first + later]
    assert spans.sort("began").select("began", "ended").rows() == told
    assert steps["step"].sort().to_list() == list(range(1, 21))


def test_what_a_restored_checkpoint_held_is_not_told_again():
    frames = lightning(
        "[2026-03-02 08:00:00] Restoring states from the checkpoint path at /c/epoch=1-step=14.ckpt",
        bar(1, 5, "00:10"),
        bar(1, 8, "01:20"),
        "[2026-03-02 08:02:00] on",
    )
    assert frames["steps"]["step"].to_list() == [15, 16, 17, 18]
    assert frames["checkpoints"].select("kind", "step").rows() == [("restore", 14)]


CASES = Path(__file__).parent / "cases" / "sources"


def test_a_requeued_run_is_accounted_for_from_its_console_alone(tmp_path):
    """1,024 GPUs for 105 s, 8 s of steps lost; 495 s later 512 GPUs go on from the checkpoint."""
    case = CASES / "megatron_log" / "requeued_job_appends_to_its_log"
    files = write(tmp_path / "in", {"llm-70b_4711.out": (case / "input.out").read_text()})
    lake = tmp_path / "lake"
    take(lake, files)
    derive(lake)
    asked = "SELECT leaf, sum(gpu_ms)::BIGINT / 1000 FROM run_time GROUP BY 1"
    found = dict(warehouse.query(lake, asked).rows())
    assert found.pop("ideal") + found.pop("slow") == (12 + 8) * 1024 + 16 * 512
    assert found == pytest.approx(
        {
            "init": 62 * 1024 + 10 * 512,
            "restore": 10 * 1024 + 30 * 512,
            "eval_or_custom": 3 * 1024,
            "ckpt_stall": 2 * 1024,
            "step_lost": 8 * 1024,
            "queue_wait": 495 * 512,
            "unknown": 9 * 512,  # the last save never said that it was over
        },
        abs=1.1,
    )


@pytest.mark.parametrize(
    "name",
    [
        "megatron_log",
        "nemo_log",
        "torchtitan_log",
        "maxtext_log",
        "hf_trainer_log",
        "lightning_log",
    ],
)
def test_what_a_growing_log_said_of_steps_stays_said(name):
    """Cut after any line, a log tells steps that the whole one tells too: none is taken back."""
    parse = BY_NAME[name].parse
    for case in sorted((CASES / name).iterdir()):
        (file,) = case.glob("input.*")
        lines = file.read_bytes().splitlines(keepends=True)
        whole = parse(b"".join(lines), origin()).frames.get("steps")
        for cut in range(1, len(lines)):
            early = parse(b"".join(lines[:cut]), origin()).frames.get("steps")
            if early is not None and whole is not None:
                keys = ["restart", "step"]
                missing = early.join(whole, on=keys, how="anti")
                assert missing.is_empty(), (case.name, cut, missing)
