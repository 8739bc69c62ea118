"""Telemetry of one node's GPUs: dcgm-exporter scrapes, and rows of `nvidia-smi --query-gpu`.

The scrapes are Prometheus text with the time of each sample, metric by metric; the CSV has a row
per GPU every five minutes.
"""

from transforms.simulate.fleet import MODEL
from transforms.simulate.history import History
from transforms.simulate.moments import at
from transforms.simulate.telemetry import Slice

HELP = {
    "DCGM_FI_DEV_GPU_UTIL": ("gauge", "GPU utilization (in %)."),
    "DCGM_FI_DEV_POWER_USAGE": ("gauge", "Power draw (in W)."),
    "DCGM_FI_DEV_GPU_TEMP": ("gauge", "GPU temperature (in C)."),
    "DCGM_FI_DEV_MEMORY_TEMP": ("gauge", "Memory temperature (in C)."),
    "DCGM_FI_DEV_SM_CLOCK": ("gauge", "SM clock frequency (in MHz)."),
    "DCGM_FI_DEV_FB_USED": ("gauge", "Framebuffer memory used (in MiB)."),
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": (
        "counter",
        "Total number of single-bit volatile ECC errors.",
    ),
    "DCGM_FI_DEV_ROW_REMAP_PENDING": ("gauge", "Whether a row remap is pending."),
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": ("counter", "Total number of PCIe retries."),
    "DCGM_FI_DEV_XID_ERRORS": ("gauge", "Value of the last XID error encountered."),
}

SMI_HEADER = (
    "timestamp, index, uuid, serial, pci.bus_id, name, temperature.gpu, temperature.memory, "
    "power.draw [W], utilization.gpu [%], clocks.current.sm [MHz], memory.used [MiB], "
    "ecc.errors.corrected.volatile.total"
)
SMI_EVERY = 5


def scrapes(history: History, piece: Slice) -> list[str]:
    """Every sample of a slice, metric by metric; power has three decimals, the rest none."""
    host = history.nodes[piece.node].name
    times = piece.times.tolist()
    lines = []
    for metric, (kind, meaning) in HELP.items():
        lines += [f"# HELP {metric} {meaning}", f"# TYPE {metric} {kind}"]
        digits = 3 if metric.endswith("POWER_USAGE") else 0
        values = piece.values[metric].tolist()
        for row, time in enumerate(times):
            for slot, value in enumerate(values[row]):
                if piece.alive[row, slot]:
                    board = history.gpu_in(piece.node, slot, time)
                    lines.append(
                        f'{metric}{{gpu="{slot}",UUID="{board.uuid}",device="nvidia{slot}",'
                        f'modelName="{MODEL}",Hostname="{host}"}} {value:.{digits}f} {time}'
                    )
    return lines


def query_gpu(history: History, piece: Slice) -> list[str]:
    lines = [SMI_HEADER]
    values = piece.values
    for row in range(0, len(piece.times), SMI_EVERY):
        moment = at(int(piece.times[row]))
        stamp = f"{moment:%Y/%m/%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
        for slot in range(piece.alive.shape[1]):
            if not piece.alive[row, slot]:
                continue
            board = history.gpu_in(piece.node, slot, int(piece.times[row]))
            lines.append(
                f"{stamp}, {slot}, {board.uuid}, {board.serial}, 0000{board.pci}.0, {MODEL}, "
                f"{values['DCGM_FI_DEV_GPU_TEMP'][row, slot]:.0f}, "
                f"{values['DCGM_FI_DEV_MEMORY_TEMP'][row, slot]:.0f}, "
                f"{values['DCGM_FI_DEV_POWER_USAGE'][row, slot]:.2f} W, "
                f"{values['DCGM_FI_DEV_GPU_UTIL'][row, slot]:.0f} %, "
                f"{values['DCGM_FI_DEV_SM_CLOCK'][row, slot]:.0f} MHz, "
                f"{values['DCGM_FI_DEV_FB_USED'][row, slot]:.0f} MiB, "
                f"{values['DCGM_FI_DEV_ECC_SBE_VOL_TOTAL'][row, slot]:.0f}"
            )
    return lines
