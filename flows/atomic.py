"""Writing that a crash cannot tear: a draft beside, made durable, then put in place at once."""

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def publish(path: Path, staging: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a draft in `staging`, then make it `path`, whole or not at all.

    `staging` lies on the same filesystem, outside every folder that readers list: a reader's
    glob would take a half-written draft for data.
    """
    staging.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=staging, prefix=_ours())
    os.close(handle)
    draft = Path(name)
    try:
        write(draft)
        draft.chmod(0o644)
        flush(draft)
        os.replace(draft, path)
        flush(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def publish_bytes(path: Path, staging: Path, data: bytes) -> None:
    publish(path, staging, lambda draft: draft.write_bytes(data))


def draft_folder(staging: Path) -> Path:
    staging.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=staging, prefix=_ours()))


def sweep(staging: Path) -> None:
    """Remove the drafts that killed processes of this machine left behind."""
    for draft in staging.glob(f"{socket.gethostname()}~*~*"):
        if not _lives(int(draft.name.split("~")[1])):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)


def _ours() -> str:
    return f"{socket.gethostname()}~{os.getpid()}~"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def link(path: Path, to: Path) -> None:
    """Give a file another name; nothing where it is gone by now."""
    try:
        os.link(path, to)
    except FileNotFoundError:
        return  # its day lost its last row since we looked
    except OSError:
        shutil.copy2(path, to)  # a filesystem without hard links


def flush(path: Path) -> None:
    """Have the kernel put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock named by `path`; wait for whoever has it. A dead process holds none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
