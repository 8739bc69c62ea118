"""Every format that can be read. A new one is one file here and one line below."""

from transforms.sources.base import Source

SOURCES: tuple[Source, ...] = ()
BY_NAME: dict[str, Source] = {source.name: source for source in SOURCES}
