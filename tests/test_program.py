"""The program leaves at once, and all that it had to write is written."""

import subprocess
import sys

import pytest


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


LEAVING = """
import atexit, sys, threading
from flows import __main__ as program
atexit.register(lambda: print("written at exit"))
{more}
program.main = lambda: print("said", end="") or {code}
program.run()
"""


@pytest.mark.parametrize("more", ["", "import prefect", "threading.Timer(0.2, print).start()"])
@pytest.mark.parametrize("code", [0, 1, 2])
def test_what_was_said_is_written_and_the_code_is_kept(more, code):
    done = ended(LEAVING.format(more=more, code=code))
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith("said")
    assert done.stdout.rstrip().endswith("written at exit")


def test_a_reader_that_is_gone_is_no_error():
    call = [sys.executable, "-m", "flows", "sources"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        program.stdout.close()
        said = program.stderr.read()
        assert (program.wait(), said) == (0, b"")


def test_a_wrong_call_says_so_in_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "flows", "ask", "nothing"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("faultledger: ")
    assert done.stderr.count("\n") == 1
