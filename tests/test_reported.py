"""What a board's controller or a health agent reports joins the incident of the same fault."""

from incident_frames import at, attempt, derived, event


def board(seconds, sensor="Power Supply PSU 1", event="Failure detected", level="critical", **more):
    return {
        "cluster": "c", "node": "n1", "observed_at": at(seconds), "record": "1", "sensor": sensor,
        "event": event, "direction": "asserted", "level": level, "clock": "stamped",
        "file": "sel", "line_no": int(seconds) + 1, **more,
    }  # fmt: skip


def agent(seconds, reason="XidCriticalError", level="critical", code=0, detail="", **more):
    return {
        "cluster": "c", "node": "n1", "observed_at": at(seconds), "reporter": "gpud",
        "object": "node n1", "reason": reason, "code": code, "device": "", "detail": detail,
        "level": level, "file": "k8s", "line_no": int(seconds) + 1, **more,
    }  # fmt: skip


def found(*columns, **rows):
    incidents = derived(**rows)["incidents"].filter(definition="coalesced-180s")
    return incidents.select(columns).rows()


def test_an_agent_that_echoes_the_kernels_xid_is_another_witness_of_it():
    made = found(
        "root_code",
        "events",
        "class",
        kernel_events=[event(0)],
        cluster_events=[agent(20, code=79)],
    )
    assert made == [(79, 2, "GPU")]


def test_an_agent_alone_still_tells_the_xid():
    assert found("root_code", "counts", cluster_events=[agent(0, code=79)]) == [(79, True)]


def test_a_critical_report_counts_only_when_a_run_was_interrupted_by_it():
    lost = attempt(-7200, 30, state="NODE_FAIL")
    assert found("class", "counts", bmc_events=[board(0)]) == [("Host", False)]
    assert found("class", "counts", bmc_events=[board(0)], run_attempts=[lost]) == [("Host", True)]


def test_warnings_ends_and_plans_never_count():
    quiet = [
        board(0, level="warning"),
        board(4000, direction="deasserted"),
        board(8000, level="info"),
    ]
    plan = agent(0, reason="MaintenanceScheduled", detail="node maintenance planned")
    made = found("counts", bmc_events=quiet, cluster_events=[plan | {"node": "n2"}])
    assert set(made) == {(False,)}
