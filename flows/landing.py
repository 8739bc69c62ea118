"""Finding files and saying what they are: walk, unpack, and ask every source how sure it is."""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from flows.errors import CallError
from transforms.sources import BY_NAME, SOURCES
from transforms.sources.base import Source

HEAD = 64 * 1024
LARGEST = 2 * 1024**3
NOT_INPUT = {"settings.toml", "license", "changelog", "makefile"}
PACKED = (".gz", ".zst")


class RefusedError(ValueError):
    """A whole file cannot be taken; the message is the reason."""


@dataclass(frozen=True)
class Found:
    """One file of the call. `name` is how rows will cite it: relative to the folder given."""

    path: Path
    name: str
    size: int
    asked_for: bool  # named by the caller rather than met in a folder


def walk(paths: Iterable[Path]) -> Iterator[Found]:
    """Every file named or inside a folder named, sorted by name; hidden ones are passed over."""
    found: dict[Path, Found] = {}
    for path in paths:
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.is_file())
            for file in inside:
                name = file.relative_to(path)
                if not any(part.startswith(".") for part in name.parts):
                    found.setdefault(
                        file.resolve(), Found(file, name.as_posix(), file.stat().st_size, False)
                    )
        elif path.exists():
            found[path.resolve()] = Found(path, path.name, path.stat().st_size, True)
        else:
            raise CallError(f"{path}: no such file or folder. Name one that exists.")
    yield from sorted(found.values(), key=lambda f: (f.name, str(f.path)))


def is_beside_the_point(file: Found) -> bool:
    """Documentation, settings and planted truth lie among real inputs and are none."""
    path = Path(file.name)
    return not file.asked_for and (
        path.name.lower() in NOT_INPUT
        or path.suffix.lower() == ".md"
        or path.stem.lower() in ("readme", "license")
        or "truth" in path.parts[:-1]
    )


def unpack(data: bytes, largest: int = LARGEST) -> bytes:
    """Undo gzip or zstd by their magic numbers; refuse what is torn or grows beyond `largest`."""
    if data[:2] == b"\x1f\x8b":
        return _bounded(gzip.GzipFile(fileobj=io.BytesIO(data)), "gzip", largest)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        return _bounded(reader, "zstd", largest)
    if len(data) > largest:
        raise RefusedError(f"larger than {largest:,} bytes: split the file")
    return data


def _bounded(
    stream: io.IOBase | zstandard.ZstdDecompressionReader, how: str, largest: int
) -> bytes:
    try:
        data = stream.read(largest + 1)  # type: ignore[union-attr]
    except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
        raise RefusedError(f"broken {how} file ({error}): copy it again") from error
    if len(data) > largest:
        raise RefusedError(f"unpacks to more than {largest:,} bytes: split the file")
    return data


def head(path: Path) -> bytes:
    """The first 64 KiB of the text in `path`, read no further than that takes."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            return _peek(gzip.GzipFile(fileobj=file))
        if start == b"\x28\xb5\x2f\xfd":
            return _peek(zstandard.ZstdDecompressor().stream_reader(file))
        return file.read(HEAD)


def _peek(stream: io.IOBase | zstandard.ZstdDecompressionReader) -> bytes:
    read = b""
    try:
        while len(read) < HEAD and (more := stream.read(HEAD - len(read))):  # type: ignore[union-attr]
            read += more
    except (EOFError, OSError, zlib.error, zstandard.ZstdError):
        pass  # torn further on: reading the whole file will say so
    return read


def recognise(start: bytes, name: str, sources: Iterable[Source] = SOURCES) -> tuple[Source, ...]:
    """The sources surest that a file starting so is theirs: one, several as sure, or none."""
    text = start.decode("utf-8", errors="replace")
    for suffix in PACKED:
        name = name.removesuffix(suffix)
    sure = {source: source.sniff(text, name) for source in sources}
    best = max(sure.values(), default=0)
    return tuple(s for s, how in sure.items() if how == best) if best else ()


def source_named(name: str) -> Source:
    if name not in BY_NAME:
        raise CallError(f"no source {name}: there are {', '.join(sorted(BY_NAME))}.")
    return BY_NAME[name]
