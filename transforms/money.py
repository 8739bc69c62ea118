"""GPU time as money: the price of a GPU-hour, and what a loss costs at it (methods S-5).

A price is a setting of the operator, with a currency and the dates between which it holds; none
is built in. Cost of idle time at the average price and the cost of a late run are two views of
one loss: never add them.
"""

GPU_MS_PER_HOUR = 3_600_000
MINUTES_PER_HOUR = 60


def gpu_hours(gpu_ms: int) -> float:
    """GPU-milliseconds as GPU-hours."""
    return gpu_ms / GPU_MS_PER_HOUR


def cost(gpu_ms: int, price_per_gpu_hour: float) -> float:
    """What GPU time costs, in the currency of the price."""
    return gpu_hours(gpu_ms) * price_per_gpu_hour


def implied_price_per_gpu_hour(cost_per_month: float, gpus: int, hours_per_month: float) -> float:
    """The price that a monthly bill implies: say which month (720 h, 730.5 h) beside it."""
    if gpus <= 0 or hours_per_month <= 0:
        raise ValueError(f"needs GPUs and hours, not {gpus} GPUs and {hours_per_month} h")
    return cost_per_month / (gpus * hours_per_month)


def cost_of_standstill(gpus: int, minutes: float, price_per_gpu_hour: float) -> float:
    """What it costs that `gpus` GPUs stand still: a hang, or recovery and rework together."""
    return gpus * minutes / MINUTES_PER_HOUR * price_per_gpu_hour


def cost_of_lost_goodput(cost_per_month: float, goodput: float) -> float:
    """The part of a monthly bill that bought no kept work."""
    return cost_per_month * (1 - goodput)
