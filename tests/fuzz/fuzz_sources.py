"""Coverage-guided fuzzing of every parser: no bytes make one raise, lose or invent a record.

    make fuzz                  ten minutes over all sources
    FUZZ_SOURCE=kernel_log     one source alone
    FUZZ_SECONDS=60 FUZZ_RUNS=800 FUZZ_SEED=1 make fuzz
                               what CI runs: the same inputs each time, so that a red CI can be
                               run again

The first byte of an input picks the source, the rest is the file. Golden cases are the first
corpus; what libFuzzer finds beyond them is kept under .fuzz/corpus, and an input that breaks a
promise lies in .fuzz/ when the run ends with 1.
"""

import os
import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

with atheris.instrument_imports(include=["transforms.sources", "transforms.cells"]):
    from transforms.sources import SOURCES

from test_sources import FOLDERS, HEAD, ORIGIN, assert_keeps_promises, input_of  # noqa: E402

ONLY = os.environ.get("FUZZ_SOURCE")
FUZZED = [source for source in SOURCES if ONLY in (None, source.name)]
HOME = ROOT / ".fuzz"
LONGEST = 20_000  # bytes; the golden cases are shorter


def one_input(data: bytes) -> None:
    if not data:
        return
    source, file = FUZZED[data[0] % len(FUZZED)], data[1:]
    assert_keeps_promises(source, source.parse(file, ORIGIN))
    assert source.sniff(file[:HEAD].decode("utf-8", "replace"), "input") in (0, 1, 2)


def seeded() -> Path:
    """The corpus folder, with every golden case of the fuzzed sources in it."""
    corpus = HOME / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    names = [source.name for source in FUZZED]
    for case in FOLDERS:
        if case.parent.name in names:
            seed = bytes([names.index(case.parent.name)]) + input_of(case).read_bytes()
            (corpus / f"{case.parent.name}-{case.name}").write_bytes(seed[: LONGEST + 1])
    return corpus


if __name__ == "__main__":
    seconds = os.environ.get("FUZZ_SECONDS", "600")
    corpus = str(seeded())
    runs, seed = os.environ.get("FUZZ_RUNS", "-1"), os.environ.get("FUZZ_SEED", "0")
    options = [
        f"-max_total_time={seconds}",
        f"-runs={runs}",
        f"-seed={seed}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={HOME}/",
    ]
    atheris.Setup([sys.argv[0], corpus, *options, "-rss_limit_mb=4096", "-timeout=60"], one_input)
    atheris.Fuzz()
