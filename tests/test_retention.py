"""Old samples go when they have been derived from; what was concluded of them stays for good."""

import json
import shutil
from datetime import timedelta

import polars as pl
import pytest
from lakes import at, bytes_of
from test_sample_files import TABLE, frame

from flows import making, retention
from flows.cli import main
from flows.derive import derive
from flows.errors import DataError
from flows.lake import Lake
from transforms.tables import hourly, samples

HOURS = range(30)  # from 2026-03-02T07:00 to the next day's 13:00
NOW = at("2026-03-03T20:00")


def hour(n, count=24):
    """Half an hour's worth of samples, one a minute, of a counter and a gauge."""
    rows = frame(
        n, power_w=[600.0 + n + i for i in range(count)], energy_j=[100.0 * n + i for i in range(count)]
    )  # fmt: skip
    began = at("2026-03-02T07:00") + timedelta(hours=n)
    instants = [began + timedelta(minutes=i * 2) for i in range(count)]
    return rows.with_columns(pl.Series("observed_at", instants, TABLE.dtypes["observed_at"]))


@pytest.fixture(scope="module")
def derived(tmp_path_factory):
    made = Lake(tmp_path_factory.mktemp("whole") / "lake")
    made.merge(TABLE, pl.concat(hour(n) for n in HOURS))
    derive(made.root)
    return made.root


@pytest.fixture
def lake(derived, tmp_path):
    shutil.copytree(derived, tmp_path / "lake")  # with the files' times, by which notes know them
    return Lake(tmp_path / "lake")


def keep(lake, **ages):
    said = "\n".join(f'{table} = "{age}"' for table, age in ages.items())
    (lake.root / "settings.toml").write_text(f"[retention]\n{said}\n")


def hours(lake, table=TABLE):
    return [label[4:].replace("/hour=", " ") for label in lake.partitions(table)]


def test_without_a_setting_nothing_ever_goes(lake):
    before = bytes_of(lake.root)
    assert retention.retain(lake.root, at("2036-01-01"), is_dry_run=False) == []
    assert bytes_of(lake.root) == before


def test_a_dry_run_says_what_would_go_and_drops_nothing(lake, capsys):
    keep(lake, gpu_samples="24h")
    before = bytes_of(lake.root)
    asked = ["retain", "--lake", str(lake.root), "--as-of", "2026-03-03T20:00:00Z", "--dry-run"]
    assert main(asked) == 0
    size = sum(p.stat().st_size for p in list(lake.partitions(TABLE).values())[:13])
    told = f"gpu_samples: 13 files of {size:,} bytes would go, all before 2026-03-02T20:00Z\n"
    assert capsys.readouterr().out == told
    assert bytes_of(lake.root) == before


def test_samples_go_by_whole_hours_and_all_that_was_concluded_stays(lake):
    keep(lake, gpu_samples="24h")
    before = bytes_of(lake.root, "derived")
    (gone,) = retention.retain(lake.root, NOW, is_dry_run=False)
    assert (len(gone.labels), gone.until, gone.waiting) == (13, at("2026-03-02T20:00"), 0)
    assert hours(lake)[0] == "2026-03-02 20"
    assert len(hours(lake)) == len(HOURS) - 13
    derive(lake.root)
    assert bytes_of(lake.root, "derived") == before


@pytest.mark.parametrize("trouble", ["notes lost", "new code", "more samples", "all old gone"])
def test_no_later_derivation_makes_dropped_hours_out_of_nothing(lake, monkeypatch, trouble):
    keep(lake, gpu_samples="24h")
    now = at("2026-03-05") if trouble == "all old gone" else NOW
    retention.retain(lake.root, now, is_dry_run=False)
    before = {t: lake.read(t) for t in (*hourly.OF_SAMPLES, hourly.HEARD_HOURLY)}
    if trouble == "notes lost":
        shutil.rmtree(lake.state(""))
    elif trouble == "new code":
        monkeypatch.setattr(making, "_code", lambda: "another")
    elif trouble == "more samples":
        lake.merge(TABLE, hour(HOURS.stop))
    else:
        lake.merge(TABLE, hour(100))
    derive(lake.root)
    for table, rows in before.items():
        after = lake.read(table)
        new = after.join(rows, on=table.key, how="anti")
        assert after.join(rows, on=table.key, how="semi").equals(rows), table.name
        assert (new.height > 0) == (trouble in ("more samples", "all old gone") and rows.height > 0)


def test_an_hour_that_waits_for_its_derivation_stays_and_so_does_all_after_it(tmp_path):
    lake = Lake(tmp_path / "lake")
    lake.merge(TABLE, pl.concat(hour(n) for n in HOURS))
    keep(lake, gpu_samples="24h")
    (going,) = retention.retain(lake.root, NOW, is_dry_run=False)
    assert (going.labels, going.waiting) == ((), 13)
    derive(lake.root)
    lake.merge(TABLE, hour(5).with_columns(pl.col("observed_at") + timedelta(seconds=1)))
    (going,) = retention.retain(lake.root, NOW, is_dry_run=False)
    assert (len(going.labels), going.waiting) == (4, 9)  # the fifth is needed for the sixth
    assert hours(lake)[0] == "2026-03-02 11"
    derive(lake.root)
    (going,) = retention.retain(lake.root, NOW, is_dry_run=False)
    assert (len(going.labels), going.waiting) == (9, 0)


def test_rollups_go_later_than_their_samples(lake):
    keep(lake, gpu_samples="12h", gpu_hourly="24h")
    going = retention.retain(lake.root, NOW, is_dry_run=False)
    assert [(g.table.name, len(g.labels)) for g in going] == [
        ("gpu_samples", 25),
        ("gpu_hourly", 13),
    ]
    kept = bytes_of(lake.root, "derived")
    derive(lake.root)
    assert bytes_of(lake.root, "derived") == kept
    assert hours(lake, hourly.GPU_HOURLY)[0] == "2026-03-02 20"
    assert lake.read(hourly.FLEET_HOURLY)["hour_at"].min() == at("2026-03-02T07:00")


@pytest.mark.parametrize(
    ("ages", "message"),
    [
        ({"gpu_hourly": "30d"}, "retention of gpu_hourly is shorter than that of gpu_samples"),
        ({"gpu_hourly": "1d", "gpu_samples": "2d"}, "gpu_hourly is shorter"),
        ({"kernel_events": "30d"}, "retention of kernel_events: only these can go: gpu_samples"),
        ({"arrivals": "30d"}, "retention of arrivals"),
        ({"gpu_samples": "a while"}, "say days or hours"),
        ({"gpu_samples": "0d"}, "say days or hours"),
    ],
    ids=lambda x: "-".join(x) if isinstance(x, dict) else "",
)
def test_a_retention_that_cannot_be_meant_is_refused(lake, ages, message):
    keep(lake, **ages)
    before = bytes_of(lake.root)
    with pytest.raises(DataError, match=message):
        retention.retain(lake.root, NOW, is_dry_run=False)
    assert bytes_of(lake.root) == before


def test_killed_while_dropping_the_rest_goes_the_next_time(lake, monkeypatch):
    keep(lake, gpu_samples="24h")
    before = bytes_of(lake.root, "derived")
    remove, left = retention.Lake.drop, 5

    def killed(self, table, labels):
        remove(self, table, labels[:left])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retention.Lake, "drop", killed)
        with pytest.raises(KeyboardInterrupt):
            retention.retain(lake.root, NOW, is_dry_run=False)
    derive(lake.root)
    assert bytes_of(lake.root, "derived") == before
    (going,) = retention.retain(lake.root, NOW, is_dry_run=False)
    assert len(going.labels) == 13 - left
    assert json.loads((lake.root / "dropped.json").read_text()) == {
        "gpu_samples": {
            "clusters": ["c"],
            "since": "2026-03-02T07:00:00+00:00",
            "until": "2026-03-02T20:00:00+00:00",
        }
    }
    derive(lake.root)
    assert bytes_of(lake.root, "derived") == before


def test_only_samples_and_their_rollups_may_go():
    assert set(retention.MAY_GO) == {
        *(table.name for table in samples.ALL),
        *("gpu_hourly", "link_hourly", "node_hourly", "fleet_hourly"),
    }
