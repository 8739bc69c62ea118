"""Signs out of samples in incidents: witnesses of what a log told, failures where none did."""

import pytest
from incident_frames import at, derived, event, found

ECC = {"kind": "ecc_uncorrected", "metric": "ecc_uncorrected_volatile", "amount": 1.0}


def shown(seconds, poll_s=15, node="n1", device="GPU-a", **more):
    began = at(seconds)
    return {
        "cluster": "c",
        "node": node,
        "device": device,
        "began": began,
        "hour_at": began.replace(minute=0, second=0, microsecond=0),
        "since": at(seconds - poll_s),
        "ended": began,
        "times": 1,
        "to_value": 1.0,
        "is_continued": False,
        "is_lower_bound": False,
        "note": "",
        **ECC,
        **more,
    }


def log(seconds, code):
    return event(seconds, code=code)


def test_an_uncorrected_error_that_no_log_told_is_a_failure_of_its_gpu():
    (row,) = found(sample_signals=[shown(100)]).to_dicts()
    assert (row["counts"], row["class"], row["component"]) == (True, "GPU", "HBM uncorrectable")
    assert row["gpus"] == ["GPU-a"]


@pytest.mark.parametrize("poll_s", [15, 60, 600, 1500])
def test_beside_a_log_it_is_a_witness_however_slow_the_polling(poll_s):
    rows = {"kernel_events": [log(0, 48)], "sample_signals": [shown(poll_s - 5, poll_s)]}
    alone = found(kernel_events=rows["kernel_events"]).to_dicts()
    together = found(**rows).to_dicts()
    told = ["incident", "began", "ended", "root_kind", "root_code", "counts", "node", "device"]
    assert [[r[n] for n in told] for r in together] == [[r[n] for n in told] for r in alone]
    members = derived(**rows)["incident_members"].sort("source_table")
    assert dict(members.select("source_table", "role").iter_rows()) == {
        "kernel_events": "root",
        "sample_signals": "witness",
    }


def test_an_error_after_the_next_poll_is_another_one():
    assert len(found(kernel_events=[log(0, 48)], sample_signals=[shown(1000, 15)])) == 2


def test_one_error_told_by_several_counters_is_one_sign():
    other = {"metric": "ecc_uncorrected_aggregate"}
    rows = [shown(100), shown(100, **other), shown(400, is_continued=True)]
    assert derived(sample_signals=rows)["incident_members"].height == 1


def test_the_last_xid_of_samples_is_the_one_of_the_log():
    gauge = shown(10, kind="xid", metric="xid_code", to_value=79.0)
    (row,) = found(kernel_events=[log(0, 79)], sample_signals=[gauge]).to_dicts()
    assert (row["root_code"], row["events"], row["device"]) == (79, 2, "0000:3b:00")
    (alone,) = found(sample_signals=[gauge]).to_dicts()
    assert (alone["root_code"], alone["counts"], alone["gpus"]) == (79, True, ["GPU-a"])


def test_a_missing_gpu_and_corrected_errors_alone_are_no_failures():
    silent = {
        "device_kind": "gpu",
        "cluster": "c",
        "node": "n1",
        "device": "GPU-a",
        "last_ok": at(0),
        "day": at(0).date(),
        "first_ok": at(900),
        "interval_ms": 15_000,
        "sort": "alone",
        "silent_together": 1,
    }
    (row,) = found(silences=[silent]).to_dicts()
    assert (row["component"], row["counts"]) == ("GPU lost", False)
    assert found(silences=[silent | {"sort": "with its node"}]).is_empty()
    assert found(sample_signals=[shown(0, kind="ecc_corrected")]).is_empty()
