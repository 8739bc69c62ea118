"""Series read together are series read one by one: names, labels, and what cannot be read."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from transforms import series_places
from transforms.metrics import CLAIMS
from transforms.series import LONGEST_LABELS, NODE_NAMER, SLOT_NAMER
from transforms.series_frames import SHAPE, one_by_one, together

WITH_WHERE = [name for name, found in CLAIMS.items() if any(c.metric.where for c in found)]
NAMES = [
    *("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "nvidia_smi_power_draw_watts"),
    *("node_infiniband_link_downed_total", "node_load1", NODE_NAMER, SLOT_NAMER, "nobody_knows"),
    *WITH_WHERE[:3],
]
LABELS = (
    *("Hostname", "hostname", "node", "nodename", "instance", "UUID", "uuid", "gpu", "index"),
    *("cluster", "GPU_I_ID", "device", "port", "cpu", "state", "mode", "sensor"),
)
VALUES = (
    *("", "0", "7", "n1", "n2:9400", "localhost:9400", "GPU-1f", "mlx5_0", "a b", r"q\"\n\\"),
    "5c1a2b3c-0000-4000-8000-000000000001",
)


def texts():
    pairs = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(VALUES)), max_size=5)
    sound = pairs.map(lambda told: ",".join(f'{name}="{value}"' for name, value in told))
    odd = st.sampled_from(['gpu="0",', 'gpu="0"', "gpu=0", 'gpu="0" UUID="x"', " ", "", "{", 'a="'])
    return st.one_of(sound, odd, st.none())


@given(st.lists(st.tuples(st.sampled_from(NAMES), texts()), max_size=12, unique=True))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_together_as_one_by_one(told):
    heads = pl.DataFrame(told, schema={"name": pl.String, "labels": pl.String}, orient="row")
    assert_frame_equal(together(heads), one_by_one(heads))


@given(st.lists(st.tuples(st.sampled_from(NAMES[:6]), texts()), max_size=40, unique=True))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_texts_of_one_shape_as_one_by_one(told):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_places, "WORTH_IT", 1)
        heads = pl.DataFrame(told, schema={"name": pl.String, "labels": pl.String}, orient="row")
        assert_frame_equal(together(heads), one_by_one(heads))


VARIANTS = (
    *('gpu="{n}",UUID="GPU-{n}",Hostname="n-{n}"', 'gpu="{n}", UUID="GPU-{n}", hostname="",'),
    *('minor_number="{n}",uuid="5C1A2B3C-0000-4000-8000-{n:012}",instance="n{n}:9400"', "gpu={n}"),
    *('Hostname="",instance="localhost:{n}",gpu="",index="{n}"', 'gpu="{n}",gpu="{n}"', 'gpu="é{n}"'),
    *(r'gpu="{n}",Hostname="a\"{n}"', 'device="mlx5_{n}",port="{n}",cluster="c{n}",GPU_I_ID="{n}"'),
    *('instance="n:{n}",nodename="n{n}"', 'instance="127.0.0.1:{n}"', 'cpu="{n}"', 'port="",device=""'),
)  # fmt: skip


def test_many_texts_of_many_shapes_as_one_by_one(monkeypatch):
    monkeypatch.setattr(series_places, "WORTH_IT", 20)
    labels = [text.replace("{n:012}", f"{n:012}").replace("{n}", str(n)) for n in range(30) for text in VARIANTS]  # fmt: skip
    for first in (labels, labels[::-1], sorted(labels)):
        kinds = {"name": [NAMES[n % 6] for n in range(len(first))], "labels": first}
        heads = pl.DataFrame(kinds).unique(maintain_order=True)
        assert_frame_equal(together(heads), one_by_one(heads))
        told, rest = series_places.placed_alike(pl.Series(first).unique(maintain_order=True))
        assert len(told) > 3
        assert sum(frame.height for frame in told) + len(rest) == len(set(first))


def test_every_metric_on_a_thing_that_has_it_all():
    text = 'Hostname="n1",UUID="GPU-1",gpu="3",GPU_I_ID="7",device="mlx5_0",port="1",cluster="c"'
    heads = pl.DataFrame({"name": list(CLAIMS), "labels": [text] * len(CLAIMS)})
    told = together(heads)
    assert told.schema == pl.Schema(SHAPE)
    assert_frame_equal(told, one_by_one(heads))


def test_labels_that_are_too_long_are_refused_with_their_length():
    text = f'gpu="0",note="{"x" * LONGEST_LABELS}"'
    heads = pl.DataFrame({"name": NAMES, "labels": [text] * len(NAMES)})
    assert_frame_equal(together(heads), one_by_one(heads))
    assert together(heads)["series_problem"].str.contains("longer than").all()
