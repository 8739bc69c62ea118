"""The bytes of one file or member as they came: small ones in memory, others on a disk."""

import tempfile
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from flows import identity, packing, trees
from flows.buffers import Buffers
from flows.errors import RefusedError
from flows.landing import Found
from flows.packing import Budget, Stream

SMALL = 64 * 1024**2
CHANGED = "changed while it was read: ingest it again"
_BLOCK = 1 << 20
GZIP = 31  # of zlib: with gzip's header and its checksum


class _Beginning:
    """The first `size` bytes of a file that may grow."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int = -1) -> bytes:
        data = self._file.read(self._left if count < 0 else min(count, self._left))
        self._left -= len(data)
        return data


@dataclass(frozen=True)
class Held:
    """What came under `name`, still packed. `budget` bounds all that is unpacked of its file.

    digest  by what it is known, see `identity`; '' of an archive's member until it is asked for
    data    all of it, where it is in memory
    file    where it can be read from otherwise
    """

    name: str
    digest: str
    size: int
    modified: datetime
    budget: Budget
    data: bytes | bytearray | None = None
    file: BinaryIO | None = None

    def opened(self) -> BinaryIO:
        """From its start, with `seek`; one reader at a time."""
        if self.data is not None:
            return BytesIO(self.data)
        assert self.file is not None
        self.file.seek(0)
        return self.file

    def identified(self, is_bulk: bool) -> "Held":
        """The same, known as bulk samples are or as files are whose bytes are kept."""
        return replace(self, digest=self._digest(is_bulk))

    def _digest(self, is_bulk: bool) -> str:
        if self.data is not None:
            return identity.of_bytes(self.data, is_bulk)
        return identity.of_stream(self.raw(), is_bulk)

    def raw(self) -> "BytesIO | _Beginning":
        """From its start as far as it went when it was hashed."""
        return BytesIO(self.data) if self.data is not None else _Beginning(self.opened(), self.size)

    def text(self, budget: Budget | None = None) -> Stream:
        """The bytes without their compression."""
        return packing.undo(Stream(self.raw()), budget or self.budget)

    def whole(self, most: int) -> bytes | bytearray | None:
        """All the text, or None where it is longer than `most` bytes."""
        if self.data is not None and not packing.is_packed(bytes(self.data[:10])):
            return self.data if len(self.data) <= most else None
        if self.data is not None and (text := _gunzipped(self.data, most)) is not None:
            return text
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
        if self.data is None and self._digest(identity.is_of_bulk(self.digest)) != self.digest:
            raise RefusedError(CHANGED)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def _gunzipped(data: bytes | bytearray, most: int) -> bytes | None:
    """The text of one sound gzip member in one go; None where it is anything else, or longer."""
    member = zlib.decompressobj(wbits=GZIP)
    try:
        text = member.decompress(data, most + 1)
    except zlib.error:
        return None
    is_whole = member.eof and not member.unused_data and len(text) <= most
    return text if is_whole and not packing.is_packed(text[:10]) else None


def hold_in(buffers: Buffers, found: Found) -> Held:
    """Take hold of a file of bulk samples, a small one in memory that is to be given back."""
    about = found.path.stat()  # it may have grown since it was listed
    if found.is_tree or about.st_size > SMALL:
        return hold(found, is_bulk=True)
    modified = datetime.fromtimestamp(int(about.st_mtime), UTC)
    digest = identity.Digest(is_bulk=True)
    with found.path.open("rb", buffering=0) as file:
        data = buffers.read(file, about.st_size, digest)
    return Held(found.name, str(digest), len(data), modified, Budget(len(data)), data=data)


def hold_open(found: Found) -> Held:
    """Take hold of a file whose bytes are still to be read, and told apart from others."""
    about = found.path.stat()
    modified = datetime.fromtimestamp(int(about.st_mtime), UTC)
    file = found.path.open("rb", buffering=0)
    budget = Budget(about.st_size)
    return Held(found.name, "", about.st_size, modified, budget, file=file)  # type: ignore[arg-type]


def hold(found: Found, is_bulk: bool = False) -> Held:
    """Take hold of a file, as long as it is now."""
    if found.is_tree:
        latest = max((p.stat().st_mtime for p in trees.parts(found.path)), default=0.0)
        data = trees.read_tree(found.path)
        modified = datetime.fromtimestamp(int(latest), UTC)
        return hold_bytes(found.name, data, modified).identified(is_bulk)
    file = found.path.open("rb")
    try:
        modified = datetime.fromtimestamp(int(found.path.stat().st_mtime), UTC)
        # Asked for more than there is, Python would first make room for all of it.
        data = file.read(min(found.path.stat().st_size, SMALL) + 1)
        if len(data) <= SMALL:
            file.close()
            return hold_bytes(found.name, data, modified).identified(is_bulk)
        size = found.path.stat().st_size
        file.seek(0)
        digest = identity.of_stream(_Beginning(file, size), is_bulk)
        return Held(found.name, digest, file.tell(), modified, Budget(file.tell()), file=file)
    except BaseException:
        file.close()
        raise


def hold_bytes(name: str, data: bytes, modified: datetime, budget: Budget | None = None) -> Held:
    return Held(name, "", len(data), modified, budget or Budget(len(data)), data=data)


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
        while data:
            file.write(data)
            data = stream.read(_BLOCK)
        stream.check()
        return Held(name, "", file.tell(), modified, budget, file=file)  # type: ignore[arg-type]
    except BaseException:
        file.close()
        raise


def hold_landed(path: Path, name: str, size: int, modified: datetime, staging: Path | None) -> Held:
    """Take hold of bytes that a lake kept, as they came under `name`."""
    with path.open("rb") as file:
        held = hold_member(name, Stream(packing.Zstd(file)), modified, Budget(size), staging)
        return held.identified(is_bulk=False)
