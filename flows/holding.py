"""The bytes of one file or member as they came: small ones in memory, others on a disk."""

import hashlib
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from flows import packing, trees
from flows.errors import RefusedError
from flows.landing import Found
from flows.packing import Budget, Stream

SMALL = 64 * 1024**2
_BLOCK = 1 << 20


class _Beginning:
    """The first `size` bytes of a file that may grow, hashed on their way."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size
        self.sha256 = hashlib.sha256()

    def read(self, count: int = -1) -> bytes:
        data = self._file.read(self._left if count < 0 else min(count, self._left))
        self._left -= len(data)
        self.sha256.update(data)
        return data


@dataclass(frozen=True)
class Held:
    """What came under `name`, still packed. `budget` bounds all that is unpacked of its file."""

    name: str
    sha256: str
    size: int
    modified: datetime
    budget: Budget
    data: bytes | None = None
    file: BinaryIO | None = None  # of more than SMALL bytes

    def opened(self) -> BinaryIO:
        """From its start, with `seek`; one reader at a time."""
        if self.data is not None:
            return BytesIO(self.data)
        assert self.file is not None
        self.file.seek(0)
        return self.file

    def raw(self) -> "BytesIO | _Beginning":
        """From its start as far as it went when it was hashed."""
        return BytesIO(self.data) if self.data is not None else _Beginning(self.opened(), self.size)

    def text(self, budget: Budget | None = None) -> Stream:
        """The bytes without their compression."""
        return packing.undo(Stream(self.raw()), budget or self.budget)

    def whole(self, most: int) -> bytes | None:
        """All the text, or None where it is longer than `most` bytes."""
        if self.data is not None and not packing.is_packed(self.data[:10]):
            return self.data if len(self.data) <= most else None
        stream = self.text(Budget(self.size))
        text = stream.read(most + 1)
        stream.check()
        return text if len(text) <= most else None

    def without_bytes(self) -> "Held":
        """What is known of it, once nobody needs its bytes any more."""
        self.close()
        return replace(self, data=b"", file=None)

    def head(self) -> bytes:
        if names := packing.both_ends(self.opened(), self.size):
            return names
        try:
            return self.text(Budget(self.size)).peek(packing.HEAD)
        except RefusedError:
            return b""  # reading it whole will say so

    def check(self) -> None:
        """Refuse a file that was changed, not only added to, since it was hashed."""
        if self.data is None and _hash(_Beginning(self.opened(), self.size)) != self.sha256:
            raise RefusedError("changed while it was read: ingest it again")

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def hold(found: Found) -> Held:
    """Take hold of a file, as long as it is now."""
    if found.is_tree:
        latest = max((p.stat().st_mtime for p in trees.parts(found.path)), default=0.0)
        data = trees.read_tree(found.path)
        return hold_bytes(found.name, data, datetime.fromtimestamp(int(latest), UTC))
    file = found.path.open("rb")
    try:
        modified = datetime.fromtimestamp(int(found.path.stat().st_mtime), UTC)
        # Asked for more than there is, Python would first make room for all of it.
        data = file.read(min(found.path.stat().st_size, SMALL) + 1)
        if len(data) <= SMALL:
            file.close()
            return hold_bytes(found.name, data, modified)
        size = found.path.stat().st_size
        file.seek(0)
        sha256 = _hash(_Beginning(file, size))
        return Held(found.name, sha256, file.tell(), modified, Budget(file.tell()), file=file)
    except BaseException:
        file.close()
        raise


def hold_bytes(name: str, data: bytes, modified: datetime, budget: Budget | None = None) -> Held:
    sha256 = hashlib.sha256(data).hexdigest()
    return Held(name, sha256, len(data), modified, budget or Budget(len(data)), data=data)


def hold_member(
    name: str, stream: Stream, modified: datetime, budget: Budget, staging: Path | None
) -> Held:
    """Take hold of an archive's member; a large one goes to a nameless file in `staging`."""
    data = stream.read(SMALL + 1)
    stream.check()
    if len(data) <= SMALL:
        return hold_bytes(name, data, modified, budget)
    if staging:
        staging.mkdir(parents=True, exist_ok=True)
    file = tempfile.TemporaryFile(dir=staging)  # noqa: SIM115  (closed by Held)
    try:
        sha256 = hashlib.sha256()
        while data:
            sha256.update(data)
            file.write(data)
            data = stream.read(_BLOCK)
        stream.check()
        return Held(name, sha256.hexdigest(), file.tell(), modified, budget, file=file)  # type: ignore[arg-type]
    except BaseException:
        file.close()
        raise


def hold_landed(path: Path, name: str, size: int, modified: datetime, staging: Path | None) -> Held:
    """Take hold of bytes that a lake kept, as they came under `name`."""
    with path.open("rb") as file:
        return hold_member(name, Stream(packing.Zstd(file)), modified, Budget(size), staging)


def _hash(beginning: _Beginning) -> str:
    while beginning.read(_BLOCK):
        pass
    return beginning.sha256.hexdigest()
