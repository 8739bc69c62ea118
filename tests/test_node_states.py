"""What a node's state means for service, in the words of Slurm's and of Kubernetes' tools."""

import polars as pl
import pytest

from transforms.node_states import classify


def judged(state: str, reason: str | None = None) -> tuple[str, str, str]:
    asked = pl.DataFrame({"state": [state], "reason": [reason]}, schema_overrides={"reason": pl.String})  # fmt: skip
    return classify(asked).select("service", "class", "component").row(0)


@pytest.mark.parametrize(
    ("state", "service"),
    [
        ("Ready", "up"),
        ("NotReady", "down"),
        ("Ready,SchedulingDisabled", "down"),
        ("NotReady,SchedulingDisabled", "down"),
        ("Unknown", "unknown"),
    ],
)
def test_the_words_of_kubectl_are_understood(state, service):
    assert judged(state)[0] == service


@pytest.mark.parametrize(
    ("state", "reason", "verdict"),
    [
        ("DOWN*", "NodeStatusUnknown: Kubelet stopped posting node status.", ("down", "Unknown", "host unreachable")),
        ("DOWN", "KubeletNotReady: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message: cni plugin not initialized", ("down", "Software (system)", "container runtime")),
        ("DOWN", "KubeletNotReady: PLEG is not healthy: pleg was last seen active 3m7s ago", ("down", "Software (system)", "container runtime")),
        ("DRAIN", "cordoned; NvidiaXID79Error: detected XID-79 on the instance", ("down", "GPU", "lost")),
        ("DRAIN", "cordoned", ("down", "Human", "manual")),
        ("DRAIN", "tainted ToBeDeletedByClusterAutoscaler", ("planned", "Planned", "scaled down")),
        ("DRAIN", "tainted cloud.google.com/impending-node-termination", ("planned", "Planned", "scaled down")),
        ("DOWN*", "Not responding", ("down", "Unknown", "host unreachable")),
    ],
)  # fmt: skip
def test_why_a_kubernetes_node_is_out_is_read_from_its_conditions_and_taints(
    state, reason, verdict
):
    assert judged(state, reason) == verdict
