"""What settings.toml says of models and of GPUs' peaks: what MFU is a share of (methods G-5).

[[models]]                         # the first whose `run` fits a run counts
run = "pretrain-*"                 # a run's name, or a pattern with * ? [ ]
parameters = 405e9                 # active ones: of a mixture of experts those that a token passes
layers = 126                       # these three together add the attention term
hidden = 16384                     # heads x size of a head
sequence = 8192                    # tokens
tokens_per_step = 16_777_216       # of steps whose log tells none; may be left out
recomputed = 0.33                  # FLOPs done again in the backward pass over model FLOPs: for HFU

[[peaks]]                          # the first whose `gpu_model` fits a GPU's model counts
gpu_model = "*H100*SXM*"
peak_flops = 989e12                # FLOP/s of one GPU, dense, in the number format in use
number_format = "bf16"
source = "vendor's data sheet of 2024-03, without sparsity"
capped_flops = 800e12              # at the clock that a power or clock cap allows; may be left out

No peak is built in: which number holds depends on the format, the board and its power limit.
"""

from dataclasses import dataclass, fields
from typing import Any

import polars as pl

FEWEST_PARAMETERS, LOWEST_PEAK = 1e4, 1e9
ATTENTION = ("layers", "hidden", "sequence")


@dataclass(frozen=True)
class Model:
    """What a run trains; `run` is a name or a pattern."""

    run: str
    parameters: float
    layers: int | None = None
    hidden: int | None = None
    sequence: int | None = None
    tokens_per_step: int | None = None
    recomputed: float | None = None


@dataclass(frozen=True)
class Peak:
    """The most FLOP/s that one GPU of a model can do; `gpu_model` is a name or a pattern."""

    gpu_model: str
    peak_flops: float
    number_format: str
    source: str
    capped_flops: float | None = None


def model(said: dict[str, Any]) -> Model:
    """One of [[models]]; KeyError for what is missing, ValueError for what cannot be meant."""
    _known(said, "models", Model)
    found = Model(
        run=_text(said, "run", "models"),
        parameters=_positive(said, "parameters", "models"),
        layers=_whole(said, "layers"),
        hidden=_whole(said, "hidden"),
        sequence=_whole(said, "sequence"),
        tokens_per_step=_whole(said, "tokens_per_step"),
        recomputed=_positive(said, "recomputed", "models") if "recomputed" in said else None,
    )
    if found.parameters < FEWEST_PARAMETERS:
        raise ValueError(
            f"models: {found.run} has {found.parameters:g} parameters: give their number, 405e9"
        )
    if any(n in said for n in ATTENTION) and not all(n in said for n in ATTENTION):
        raise ValueError(f"models: {found.run} needs all of {', '.join(ATTENTION)}, or none")
    return found


def peak(said: dict[str, Any]) -> Peak:
    """One of [[peaks]]; the same errors."""
    _known(said, "peaks", Peak)
    found = Peak(
        gpu_model=_text(said, "gpu_model", "peaks"),
        peak_flops=_positive(said, "peak_flops", "peaks"),
        number_format=_text(said, "number_format", "peaks"),
        source=_text(said, "source", "peaks"),
        capped_flops=_positive(said, "capped_flops", "peaks") if "capped_flops" in said else None,
    )
    if min(found.peak_flops, found.capped_flops or found.peak_flops) < LOWEST_PEAK:
        raise ValueError(
            f"peaks: {found.peak_flops:g} FLOP/s of {found.gpu_model}: give FLOP/s, 989e12"
        )
    if (found.capped_flops or 0) > found.peak_flops:
        raise ValueError(f"peaks: capped_flops of {found.gpu_model} is above its peak_flops")
    return found


def model_rows(said: tuple[Model, ...]) -> pl.DataFrame:
    """The warehouse's table `models`; `place` is their order, the first that fits counts."""
    whole = dict.fromkeys((*ATTENTION, "tokens_per_step"), pl.Int64())
    schema = {"place": pl.Int64(), "run": pl.String(), "parameters": pl.Float64(), **whole}
    return _rows(said, schema | {"recomputed": pl.Float64()})


def peak_rows(said: tuple[Peak, ...]) -> pl.DataFrame:
    """The warehouse's table `peaks`, in their order."""
    schema: dict[str, pl.DataType] = {
        "place": pl.Int64(),
        "gpu_model": pl.String(),
        "peak_flops": pl.Float64(),
        "number_format": pl.String(),
        "source": pl.String(),
        "capped_flops": pl.Float64(),
    }
    return _rows(said, schema)


def _rows(said: tuple[Model, ...] | tuple[Peak, ...], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(
        [{"place": place} | vars(one) for place, one in enumerate(said)], schema=schema
    )


def _known(said: dict[str, Any], name: str, kind: type[Model] | type[Peak]) -> None:
    if strange := sorted(said.keys() - {field.name for field in fields(kind)}):
        raise ValueError(f"{name}: unknown {', '.join(strange)}")


def _text(said: dict[str, Any], name: str, of: str) -> str:
    value = said[name]
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{of}: {name} is {value!r}, a text is needed")
    return value


def _positive(said: dict[str, Any], name: str, of: str) -> float:
    value = said[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise TypeError(f"{of}: {name} is {value!r}, a number above 0 is needed")
    return float(value)


def _whole(said: dict[str, Any], name: str) -> int | None:
    value = said.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise TypeError(f"models: {name} is {value!r}, a whole number above 0 is needed")
    return value
