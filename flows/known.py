"""Which sources are known: those in code, the mappings that came with it, and the caller's own."""

from functools import cache, lru_cache
from pathlib import Path

from flows import mapping
from flows.errors import CallError
from flows.reading import Options
from flows.share import share
from transforms.sources import BY_NAME, SOURCES
from transforms.sources.base import Source


def sources(options: Options | None = None) -> dict[str, Source]:
    """Sources by name; the caller's mapping wins over a shipped one of its name."""
    every = [*SOURCES, *shipped()]
    if options and options.mapping:
        every.append(of_mapping(options.mapping))
    return {source.name: source for source in every}


def forced(options: Options) -> Source | None:
    """The source that the caller says all files are of, by its name or by a mapping."""
    if options.mapping and options.source:
        raise CallError("--as and --map both say how to read the files: give one.")
    if options.mapping:
        return of_mapping(options.mapping)
    return named(options.source, options) if options.source else None


def named(name: str, options: Options | None = None) -> Source:
    known = sources(options)
    if name not in known:
        raise CallError(f"no source {name}: there are {', '.join(sorted(known))}.")
    return known[name]


def is_bulk(name: str) -> bool:
    """Whether a source reads samples, of which no bytes are kept; no mapping does."""
    return name in BY_NAME and BY_NAME[name].is_bulk


@cache
def shipped() -> tuple[Source, ...]:
    folder = share("sample_data") / "mappings"
    return tuple(
        mapping.as_source(mapping.read(path), is_ours=True) for path in sorted(folder.glob("*.sql"))
    )


def of_mapping(path: Path) -> Source:
    return _held(mapping.read(path))


@lru_cache(maxsize=8)
def _held(header: mapping.Header) -> Source:
    """Its SELECT is looked at once, not for every file."""
    return mapping.as_source(header)
