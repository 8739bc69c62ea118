"""What the machine words of cluster managers and health agents mean: the `reason` of a report.

    NodeNotReady       Unknown, host unreachable: counts if a run was interrupted by it
    FilesystemIsReadOnly  Host, NVMe / local disk: the same
    OOMKilling         Software (user): a program's own error
    MaintenanceScheduled  Planned: no sign of trouble
    Scheduled, Pulled  routine: no sign of anything

Words compare without case, punctuation and a number at their end (`DCGMHealthCode110`). A word
that says too little alone ("Failed") is read with its message; the first row that fits decides.
`counts` is the rule of `transforms.codes.COUNTS`. Adding or moving a row changes what past weeks
say, so `CLUSTER_REASONS_VERSION` goes up with it. Words in none of the rows are read as free text
by `transforms.reasons`, and the share of those that it cannot read either is itself reported.
"""

import re
from typing import NamedTuple

import polars as pl

CLUSTER_REASONS_VERSION = "2026-11-1"

_UNREACHABLE = ("Unknown", "host unreachable")
_OS = ("Host", "OS / driver / kernel")
_DISK = ("Host", "NVMe / local disk")
_DIMM = ("Host", "DIMM")
_PRESSURE = ("Host", "memory, disk or process ids short")
_RUNTIME = ("Software (system)", "container runtime")
_IMAGE = ("Software (system)", "container image")
_AGENT = ("Software (system)", "health agent")
_STORAGE = ("Storage", "filesystem mount, metadata, bandwidth")
_NIC = ("Network", "NIC")
_OPTIC = ("Network", "cable / optic / switch port")
_OVERLAY = ("Network", "container network")
_NVLINK = ("NVLink", "link / switch")
_USER = ("Software (user)", "program error")
_MEMORY = ("Software (user)", "host out of memory")
_MAINTENANCE = ("Planned", "maintenance")
_PREEMPTED = ("Planned", "preempted")
_RECLAIMED = ("Planned", "reclaimed by the provider")
_SCALED = ("Planned", "scaled down")
_MANUAL = ("Human", "manual")
_ROUTINE = ("Unknown", "routine")


class Reading(NamedTuple):
    """What some words mean, if `detail` (in lower case) is found in the message."""

    words: str
    home: tuple[str, str]
    counts: str
    detail: str = ""


# fmt: off
READINGS: tuple[Reading, ...] = (
    # nodes that went away or came back
    Reading("NodeNotReady NodeStatusUnknown NodeUnreachable NodeLost", _UNREACHABLE, "corroborate"),
    Reading("RequeuedForNodeFailure KilledForNodeFailure RemovedFromJob MissingFromNode", _UNREACHABLE, "corroborate"),
    Reading("Rebooted NodeRebooted UnexpectedReboot", ("Unknown", "unexpected reboot"), "corroborate"),
    Reading("TaintManagerEviction NodeControllerEviction DeletionByTaintManager DeletionByPodGC", _UNREACHABLE, "no_secondary"),
    Reading("NodeReady Starting RegisteredNode NodeAllocatableEnforced NodeHasSufficientMemory NodeHasNoDiskPressure NodeHasSufficientPID NodeSchedulable Uncordon CIDRAssignmentFailed CIDRNotAvailable Synced NodePasswordValidationComplete", _ROUTINE, "no"),
    # kernel, drives, memory: node-problem-detector and the EKS node monitoring agent
    Reading("KernelDeadlock DockerHung KernelOops KernelPanic KernelBug SoftLockup HardLockup", _OS, "corroborate"),
    Reading("TaskHung AppBlocked UnregisterNetDevice FrequentUnregisterNetDevice IODelays NTPProblem ConntrackExceededKernel ForkFailedOutOfPIDs", _OS, "precursor"),
    Reading("KernelReady", _OS, "corroborate"),
    Reading("ReadonlyFilesystem FilesystemIsReadOnly XfsShutdown XfsHasShutdown Ext4Error IOError InstanceStoreIOError FilesystemCorruptionProblem DiskFailure", _DISK, "corroborate"),
    Reading("Ext4Warning DiskBadBlock KubeletDiskUsageSlow InvalidDiskCapacity SlowDisk", _DISK, "precursor"),
    Reading("MemoryReadError", _DIMM, "precursor"),
    Reading("MemoryHardwareError UncorrectableMemoryError", _DIMM, "corroborate"),
    Reading("CPUHardwareError MachineCheck HardwareError", ("Host", "CPU / MCE"), "corroborate"),
    Reading("NodeHasDiskPressure DiskPressure NodeHasInsufficientMemory MemoryPressure NodeHasInsufficientPID PIDPressure KubeletHasDiskPressure KubeletHasInsufficientMemory KubeletHasInsufficientPID EvictionThresholdMet FreeDiskSpaceFailed ImageGCFailed ContainerGCFailed ApproachingKernelPidMax ApproachingMaxOpenFiles", _PRESSURE, "precursor"),
    Reading("OOMKilling SystemOOM OOMKilled PodOOMKilling", _MEMORY, "no_user"),
    Reading("AppCrash NvidiaNCCLError", _USER, "no_user"),
    # agents and runtimes of the node
    Reading("KubeletNotReady KubeletFailed KubeletUnhealthy ContainerRuntimeUnhealthy ContainerdUnhealthy DockerUnhealthy ContainerRuntimeFailed ContainerRuntimeReady ContainerRuntimeNotReady", _RUNTIME, "corroborate"),
    Reading("FrequentKubeletRestart FrequentContainerdRestart FrequentDockerRestart RepeatedRestart KubeletRepeatedRestart ContainerdRepeatedRestart CorruptDockerOverlay CorruptDockerImage FailedCreatePodSandBox FailedCreatePodContainer FailedKillPod PodStuckTerminating ServiceFailedToStart FailedSync", _RUNTIME, "precursor"),
    Reading("KubeletStart ContainerdStart DockerStart NodeConfigReload", _ROUTINE, "no"),
    Reading("DCGMError", _AGENT, "precursor"),
    # GPUs and their links
    Reading("XidCriticalError GPUXIDErrors GPUXidError XIDHWErrors XIDHWErrorsDetected XidError NvidiaXidError AcceleratedHardwareReady DCGMDiagnosticFailure GPUUnhealthy UnhealthyGPU UnhealthyDevice GPUHealthProblem", ("GPU", "unspecified"), "corroborate"),
    Reading("DCGMHealthCode DCGMFieldError", ("GPU", "unspecified"), "precursor"),
    Reading("GPUMissing NvidiaDeviceCountMismatch NvidiaDeviceLost GPULost GPUCountMismatch GPUFellOffBus GPUFallenOffBus", ("GPU", "lost"), "corroborate"),
    Reading("NvidiaDoubleBitError NeuronHBMUncorrectableError GPUDoubleBitError GPUECCError", ("GPU", "HBM uncorrectable"), "corroborate"),
    Reading("NeuronSRAMUncorrectableError NeuronNCUncorrectableError", ("GPU", "SRAM uncorrectable"), "corroborate"),
    Reading("NeuronDMAError", ("GPU", "microcontroller / timeout"), "corroborate"),
    Reading("NvidiaRemappingRowsFailed RowRemapFailure GPURowRemapFailure", ("GPU", "row remap exhausted"), "corroborate"),
    Reading("NvidiaPageRetirement RowRemapPending", ("GPU", "row remap exhausted"), "precursor"),
    Reading("NvidiaPowerError NvidiaThermalError GPUThrottled GPUThermalViolation GPUPowerViolation", ("GPU", "thermal / power capping"), "precursor"),
    Reading("NvidiaPCIeError", ("PCIe", "AER, width/speed downgrade"), "precursor"),
    Reading("NvidiaNVLinkError NVLinkError NVLinkStatusInactive NVLinkInactive NvidiaFabricError FabricManagerNotRunning", _NVLINK, "corroborate"),
    # GPUd's and NVSentinel's own words
    Reading("MemoryOOM MemoryOOMCgroup MemoryOOMKillConstraint", _MEMORY, "no_user"),
    Reading("NvidiaNCCLSegfaultInLibNCCL", _USER, "no_user"),
    Reading("MemoryEDACCorrectableErrors", _DIMM, "precursor"),
    Reading("CPUSoftLockup", _OS, "corroborate"),
    Reading("CPUBlockedTooLong", _OS, "precursor"),
    Reading("RAIDArrayFailure FilesystemReadOnly NVMePathFailure NVMeTimeout NVMeDeviceDisabled", _DISK, "corroborate"),
    Reading("NoSpaceLeft", _PRESSURE, "precursor"),
    Reading("RowRemappingFailed", ("GPU", "row remap exhausted"), "corroborate"),
    Reading("RowRemappingPending", ("GPU", "row remap exhausted"), "precursor"),
    Reading("HWSlowdown GPUThermalWatch GPUThermalMarginWatch", ("GPU", "thermal / power capping"), "precursor"),
    Reading("SysLogsGPUFallenOff", ("GPU", "lost"), "corroborate"),
    Reading("FabricManagerNVSwitchFatalError", _NVLINK, "corroborate"),
    Reading("FabricManagerNVSwitchNonFatalError", _NVLINK, "precursor"),
    # networks
    Reading("NetworkUnavailable NetworkingReady InterfaceNotUp InterfaceNotRunning NoRouteCreated IBLinkDown", _NIC, "corroborate"),
    Reading("IBLinkFlapping IBLinkFlap InfiniBandLinkFlapping LinkFlapping EFAErrorMetric", _OPTIC, "precursor"),
    Reading("NetworkNotReady CNIError IPAMDNotReady IPAMDNotRunning IPAMDNoIPs IPAMDInconsistentState IPAMDRepeatedlyRestart KubeProxyNotReady FailedToUpdateEndpoint MissingDefaultRoutes MissingIPRoutes MissingIPRules MissingLoopbackInterface UnexpectedRejectRule", _OVERLAY, "precursor"),
    # volumes and images
    Reading("FailedMount FailedAttachVolume FailedMapVolume FailedUnmount StorageReady VolumeFailed", _STORAGE, "corroborate"),
    Reading("ImagePullBackOff ErrImagePull ErrImageNeverPull ImageInspectError InvalidImageName RegistryUnavailable FailedPullImage", _IMAGE, "precursor"),
    Reading("Failed BackOff", _IMAGE, "precursor", r"image|errimage|pull"),
    Reading("Failed", _MEMORY, "no_user", r"oomkilled|out of memory"),
    Reading("BackOff CrashLoopBackOff", _USER, "no_user", r"restarting|crash"),
    Reading("CrashLoopBackOff", _USER, "no_user"),
    Reading("Failed FailedCreatePodSandBox", _RUNTIME, "precursor", r"runtime|sandbox|containerd|runc|cri-o|oci"),
    Reading("UnexpectedAdmissionError", ("GPU", "unspecified"), "corroborate", r"gpu|nvidia|amd\.com"),
    # plans, and what people and autoscalers do
    Reading("MaintenanceScheduled NodeMaintenance UpcomingMaintenance ScheduledEvent VMEventScheduled FreezeScheduled RebootScheduled RedeployScheduled TerminateScheduled MaintenanceWindowStarted DrainScheduled Drain Draining Drained NodeDraining NodeUpgrade Upgrade RollingUpgrade SurgeUpgrade ScheduledMaintenance NodeShutdown Shutdown", _MAINTENANCE, "no"),
    Reading("SpotInterruption SpotInterrupted SpotToBeReclaimed PreemptScheduled PreemptionNotice NodePreempted InstancePreempted SpotRebalanceRecommendation RebalanceRecommendation InstanceTerminating InstanceStopping", _RECLAIMED, "no"),
    Reading("TerminationByKubelet TerminatedByKubelet", _MAINTENANCE, "no"),
    Reading("Preempted Preempting PreemptionByScheduler EvictedDueToPreempted EvictedDueToPreemption QuotaReclaimed", _PREEMPTED, "no"),
    Reading("ScaleDown ScaleDownFailed DeletingNode RemovingNode DisruptionTerminating DisruptionLaunching DisruptionBlocked Unconsolidatable Terminating", _SCALED, "no"),
    Reading("NodeNotSchedulable Cordon Cordoned EvictionByEvictionAPI", _MANUAL, "no"),
    # the everyday life of pods and jobs; Evicted and Killing follow from something that is said elsewhere
    Reading("Scheduled Pulling Pulled Created Started Killing Completed Complete SuccessfulCreate SuccessfulDelete SuccessfulRescale SuccessfulMountVolume SuccessfulAttachVolume SandboxChanged FailedScheduling Nominated NotTriggerScaleUp TriggeredScaleUp AddedInterface LeaderElection Evicted EvictedByEviction Unhealthy ProbeWarning ProbeError FailedKillPodSandbox NodeAffinity NoPods Suspended Resumed Admitted QuotaReserved CreatedWorkload FinishedWorkload DeletedWorkload Updated Pending Released", _ROUTINE, "no"),
    Reading("BackoffLimitExceeded DeadlineExceeded PodFailurePolicy FailedJobs FailureTarget JobFailed PyTorchJobFailed MPIJobFailed RayJobFailed ExceededGracePeriod", _USER, "no"),
    Reading("JobCreated PyTorchJobCreated PyTorchJobRunning PyTorchJobSucceeded PyTorchJobRestarting AllJobsCompleted RestartJobSet JobSetRestart", _ROUTINE, "no"),
)
# fmt: on
_TYPES = {"word": pl.String, "class": pl.String, "component": pl.String, "counts": pl.String}


_COUNTS = {w.lower(): r.counts for r in READINGS for w in r.words.split() if not r.detail}


def is_known(reason: str) -> bool:
    """True for a word that means something by itself."""
    return _bare(reason) in _COUNTS


def may_end_a_run(reason: str) -> bool:
    """True for a word that may be why a run ended."""
    return _COUNTS.get(_bare(reason)) == "corroborate"


def _bare(reason: str) -> str:
    return re.sub(r"\d+$", "", re.sub("[^a-z0-9]", "", reason.lower()))


def bare(reason: pl.Expr) -> pl.Expr:
    """A machine word as the catalogue compares it: `DCGMHealthCode110` is dcgmhealthcode."""
    return reason.str.to_lowercase().str.replace_all("[^a-z0-9]", "").str.replace(r"\d+$", "")


def catalogue() -> pl.DataFrame:
    """One row per word and condition: word, class, component, counts, detail; the first fits."""
    rows = [(w.lower(), *r.home, r.counts, r.detail) for r in READINGS for w in r.words.split()]
    return pl.DataFrame(rows, schema={**_TYPES, "detail": pl.String}, orient="row")


def read_reasons(events: pl.DataFrame) -> pl.DataFrame:
    """Add `class`, `component` and `counts` by `reason` and `detail`; null for unknown words.

    Keeps every row and their order.
    """
    rows = catalogue().with_row_index("number")
    plain = rows.filter(pl.col("detail") == "").unique("word", keep="first")
    by_word = dict(plain.select("word", "number").iter_rows())
    word, said = bare(pl.col("reason")), pl.col("detail").str.to_lowercase()
    conditional = [
        pl.when((word == name) & said.str.contains(pattern)).then(pl.lit(number, pl.UInt32))
        for number, name, pattern in rows.filter(pl.col("detail") != "")
        .select("number", "word", "detail")
        .iter_rows()
    ]
    found = pl.coalesce(
        *conditional, word.replace_strict(by_word, default=None, return_dtype=pl.UInt32)
    )
    return (
        events.with_columns(found.alias("number"))
        .join(rows.drop("word", "detail"), on="number", how="left", maintain_order="left")
        .drop("number")
    )
