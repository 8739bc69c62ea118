"""Text to the bytes of a file, compressed where the name says so.

Zstandard frames depend on the library's version and on the level alone, and the version is
pinned by requirements.lock; gzip would depend on the zlib that Python happens to be built with.
"""

from collections.abc import Iterable

import zstandard

LEVEL = 12


def pack(path: str, lines: Iterable[str]) -> bytes:
    """Join lines, each ended, and compress when `path` ends in .zst."""
    data = "".join(f"{line}\n" for line in lines).encode()
    if not path.endswith(".zst"):
        return data
    return zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(data)


def csv(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    """Plain CSV lines; None is empty, and a value with a comma or quote is quoted."""
    return [",".join(header), *(",".join(_cell(value) for value in row) for row in rows)]


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if any(sign in text for sign in ',"\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def unpack(path: str, data: bytes) -> str:
    """The text of a file that `pack` made."""
    if path.endswith(".zst"):
        data = zstandard.ZstdDecompressor().decompress(data)
    return data.decode()
