"""Memory that is freed stays with the process, for what it asks for next.

The C library hands freed memory back to the system at once where it lies at the end of the heap or
is large. Every page that is then asked for anew costs a fault, and the account of a run, a hundred
columns that live for a moment, spent a fifth of its time on them.
"""

import ctypes
import platform

KEPT_BYTES = 256 << 20
LARGE_BYTES = 32 << 20
"""What is larger is asked of the system each time: the C library allows no more."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_freed() -> bool:
    """Keep up to KEPT_BYTES at the end of the heap; False where the C library is not GNU's."""
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(
        library.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        and library.mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
    )
