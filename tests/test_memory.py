"""Freed memory is used again where the process is told to keep it."""

import platform
import subprocess
import sys

import pytest

COLUMNS = """
import resource, sys
import numpy as np
from flows.memory import keep_freed
if sys.argv[1] == "keep":
    assert keep_freed()
def columns():
    return [np.arange(1_000_000) + n for n in range(10)]
columns()
columns()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    columns()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    out = subprocess.run(
        [sys.executable, "-c", COLUMNS, how], check=True, capture_output=True, text=True
    )
    return int(out.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides by itself")
def test_columns_that_were_freed_cost_no_faults_again():
    assert faults("keep") < faults("give back") / 10
