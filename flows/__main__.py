"""The program `faultledger`, also as `python -m flows`: one command, and out."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from flows.cli import main


def run() -> NoReturn:
    """Run the command that was called, and leave without taking the program apart.

    To let go one by one of all that imports have made costs a quarter of a second, and what there
    is to write is written by then. Prefect, and whoever else has threads, ends as it sees fit.
    """
    code = main()
    if "prefect" in sys.modules or threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # its reader is gone
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
