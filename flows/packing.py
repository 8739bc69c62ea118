"""Undoing what files are packed in: gzip, zstd, xz and bzip2 by magic number, tar and zip.

Everything is read as a stream and nothing is ever written where an archive says: a member's name
is only a name. One budget bounds all that comes out of a file, however deep its wrappings go.
"""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import zstandard

from flows.errors import RefusedError, TornError

HEAD = 64 * 1024
WRAPPINGS = 2  # a file packed by one program and then by another
LEAST_ALLOWED = 256 * 1024**2
MOST_GROWTH = 250  # times its size: real logs reach 100 under xz, bombs start at 1,000
MOST_MEMBERS = 200_000
_BROKEN = (
    *(EOFError, OSError, OverflowError, struct.error, zlib.error, lzma.LZMAError),
    *(zstandard.ZstdError, zipfile.BadZipFile, tarfile.TarError),
)
_STEP = 1 << 20
_SPARSE_STEP = 4096  # zstd makes 32 MiB of a kilobyte at worst


def both_ends(file: BinaryIO, size: int) -> bytes:
    """Beginning and end of a Parquet file, which names its columns at its end; else nothing."""
    file.seek(0)
    start = file.read(4)
    if start == b"PAR1":
        file.seek(max(4, size - HEAD + 4))
        return start + file.read(HEAD)
    file.seek(0)
    return b""


@dataclass
class Budget:
    """How many bytes may still come out of one file, all its wrappings together."""

    size: int
    spent: int = 0

    @property
    def limit(self) -> int:
        return max(LEAST_ALLOWED, MOST_GROWTH * self.size)

    def spend(self, count: int) -> None:
        self.spent += count
        if self.spent > self.limit:
            raise RefusedError(
                f"unpacks to more than {self.limit:,} bytes out of {self.size:,}: "
                "if it is no bomb, unpack it yourself and name what is inside"
            )


class Stream:
    """Bytes in order with a look ahead; a packing that breaks is a `TornError` where it breaks."""

    def __init__(self, raw: Any, how: str = "", budget: Budget | None = None) -> None:
        self._how, self._budget = how, budget
        # A plain `read` of a torn file would drop what came before the tear.
        self._read = getattr(raw, "read1", raw.read)
        self._ahead = b""
        self._broken: Exception | None = None

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end or where the packing breaks."""
        while len(self._ahead) < count and (more := self._more(count - len(self._ahead))):
            self._ahead += more
        return self._ahead[:count]

    def read(self, count: int = -1) -> bytes:
        """As of a file: `count` bytes, fewer only at the end, all without a count."""
        parts, left = [self._ahead if count < 0 else self._ahead[:count]], count
        self._ahead = self._ahead[len(parts[0]) :]
        left -= len(parts[0])
        while (count < 0 or left > 0) and (more := self._more(_STEP if count < 0 else left)):
            parts.append(more)
            left -= len(more)
        if self._broken and not any(parts):
            raise self._broken
        return b"".join(parts) if len(parts) > 1 else parts[0]

    def read_all(self, largest: int) -> bytes:
        """All that is left; refuse what is longer than `largest`."""
        data = self.read(largest + 1)
        self.check()
        if len(data) > largest:
            raise RefusedError(f"larger than {largest:,} bytes: split the file")
        return data

    def check(self) -> None:
        """Raise what broke, if anything did so far."""
        if self._broken:
            raise self._broken

    def _more(self, count: int) -> bytes:
        if self._broken:
            return b""
        try:
            more = self._read(min(count, _STEP))
            if self._budget:
                self._budget.spend(len(more))
        except RefusedError as error:
            self._broken = error
            return b""
        except _BROKEN as error:
            said = f"broken {self._how} file" if self._how else "cannot be read"
            self._broken = TornError(f"{said} ({error}): copy it again")
            return b""
        return more


class Zstd:
    """One or more zstd frames; unlike the library's own reader it notices a missing end."""

    def __init__(self, raw: Any) -> None:
        self._raw, self._rest, self._held = raw, b"", b""
        self._frame: Any = None

    def read(self, count: int) -> bytes:
        while not self._held:
            data = self._rest or self._raw.read(_SPARSE_STEP)
            self._rest = b""
            if not data:
                if self._frame is not None:
                    raise EOFError("the last frame lacks its end")
                return b""
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._held = self._frame.decompress(data)
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
        some, self._held = self._held[:count], self._held[count:]
        return some


_OPENERS: dict[str, tuple[bytes, Callable[[Any], Any]]] = {
    "gzip": (b"\x1f\x8b", lambda raw: gzip.GzipFile(fileobj=raw)),
    "zstd": (b"\x28\xb5\x2f\xfd", Zstd),
    "xz": (b"\xfd7zXZ\x00", lzma.LZMAFile),
    "bzip2": (b"BZh", bz2.BZ2File),
}
SUFFIXES = (".gz", ".zst", ".xz", ".bz2")


def undo(stream: Stream, budget: Budget) -> Stream:
    """The stream without its compression, told by magic number; archives stay as they are."""
    for _ in range(WRAPPINGS + 1):
        how = _compression(stream.peek(10))
        if not how:
            return stream
        stream = Stream(_OPENERS[how][1](stream), how, budget)
    raise RefusedError("compressed more than twice over: unpack it once and name what is inside")


def is_packed(start: bytes) -> bool:
    """Whether what begins so (10 bytes tell) is compressed."""
    return bool(_compression(start))


def _compression(start: bytes) -> str:
    for how, (magic, _) in _OPENERS.items():
        if start.startswith(magic):
            # Three letters are no proof: a level and the first block's own number follow.
            if how == "bzip2" and start[4:10] not in (b"1AY&SY", b"\x17rE8P\x90"):
                continue
            return how
    return ""


def archive_kind(start: bytes) -> str:
    """'tar', 'zip' or '' for what begins so (512 bytes tell)."""
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if len(start) >= tarfile.BLOCKSIZE and start[0]:
        try:
            tarfile.TarInfo.frombuf(start[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
            return "tar"
        except tarfile.HeaderError:
            return ""
    return ""


@dataclass(frozen=True)
class Member:
    """One member of an archive: its bytes, or why there are none, and whether data is lost so."""

    name: str
    modified: datetime | None
    stream: Stream | None
    trouble: str = ""
    is_loss: bool = False


def members(stream: Stream, reopened: Callable[[], BinaryIO], budget: Budget) -> Iterator[Member]:
    """Every member but folders, in order; each stream lasts until the next member is asked for.

    `reopened` gives the archive from its start and with `seek`, which zip needs. A torn archive
    raises TornError after the members before the tear.
    """
    is_zip = archive_kind(stream.peek(tarfile.BLOCKSIZE)) == "zip"
    for count, member in enumerate(_of_zip(reopened(), budget) if is_zip else _of_tar(stream)):
        if count >= MOST_MEMBERS:
            raise RefusedError(f"more than {MOST_MEMBERS:,} members: unpack it and name the folder")
        yield member


class _Header(tarfile.TarInfo):
    """A header that says so where the library would take damage for the archive's end."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> tarfile.TarInfo:  # type: ignore[override]
        try:
            return super().fromtarfile(tar)  # type: ignore[return-value]
        except (tarfile.EOFHeaderError, RefusedError):  # type: ignore[attr-defined]
            raise
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            raise TornError("torn tar file (it has no end mark): copy it again") from error
        except (tarfile.HeaderError, ValueError) as error:
            raise TornError(f"torn tar file ({error}): copy it again") from error


def _of_tar(stream: Stream) -> Iterator[Member]:
    try:
        with tarfile.open(fileobj=cast(Any, stream), mode="r|", tarinfo=_Header) as archive:
            for entry in archive:
                archive.members = []  # type: ignore[attr-defined]  # the library keeps them all
                if entry.isdir():
                    continue
                name = printable(entry.name)
                if trouble := _no_plain_file(entry):
                    yield Member(name, None, None, trouble)
                elif entry.issparse():
                    why = "stored sparse: pack it again without --sparse"
                    yield Member(name, None, None, why, is_loss=True)
                else:
                    held = Stream(archive.extractfile(entry), "tar")
                    yield Member(name, _instant(entry.mtime), held)
    except _BROKEN as error:
        raise TornError(f"torn tar file ({error}): copy it again") from error


def _no_plain_file(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return f"a link to {printable(entry.linkname)}: what it names is not in this entry"
    return "" if entry.isreg() else "a device, a pipe or of an unknown kind: no file to read"


def _of_zip(file: BinaryIO, budget: Budget) -> Iterator[Member]:
    try:
        with file, zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if entry.is_dir():
                    continue
                name = printable(entry.filename)
                if entry.flag_bits & 1:
                    why = "encrypted: unpack it and name what is inside"
                    yield Member(name, None, None, why, is_loss=True)
                    continue
                with archive.open(entry) as inside:
                    yield Member(name, _zip_instant(entry.extra), Stream(inside, "zip", budget))
    except (NotImplementedError, RuntimeError, ValueError, *_BROKEN) as error:
        if isinstance(error, RefusedError):
            raise
        raise TornError(f"broken zip file ({error}): copy it again") from error


def _zip_instant(extra: bytes) -> datetime | None:
    """The member's own instant where the archive has it in UTC (field UT), else none."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 0x5455 and length >= 5 and len(extra) >= 9 and extra[4] & 1:
            return _instant(struct.unpack_from("<i", extra, 5)[0])
        extra = extra[4 + length :]
    return None


def _instant(epoch_s: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(epoch_s), UTC)
    except (OverflowError, ValueError, OSError):
        return None


def printable(name: str) -> str:
    """A name as it may be shown and stored: control characters and broken text replaced."""
    whole = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in whole)
