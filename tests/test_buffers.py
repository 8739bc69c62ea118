"""Memory lent to one file after another holds each file's bytes and nothing of the one before."""

import hashlib

from flows.buffers import BLOCK, Buffers
from flows.identity import Digest

SIZES = (5, BLOCK, BLOCK + 1, 3 * BLOCK, 7, 0, 2 * BLOCK - 1)


def written(folder, number, size):
    path = folder / str(number)
    path.write_bytes(bytes([number + 1]) * size)
    return path


def test_files_of_any_sizes_one_after_another(tmp_path):
    buffers = Buffers()
    for number, size in enumerate(SIZES):
        digest = Digest(is_bulk=False)
        data = buffers.read(written(tmp_path, number, size), digest)
        assert data == bytes([number + 1]) * size
        assert str(digest) == hashlib.sha256(data).hexdigest()
        buffers.give_back(data)


def test_memory_given_back_is_lent_again_and_no_other(tmp_path):
    buffers = Buffers()
    first = buffers.read(written(tmp_path, 0, 9), Digest(True))
    second = buffers.read(written(tmp_path, 1, 9), Digest(True))
    assert second is not first
    buffers.give_back(first)
    assert buffers.read(written(tmp_path, 2, 5), Digest(True)) is first
    assert second == b"\x02" * 9


def test_memory_that_somebody_looks_at_is_not_lent(tmp_path):
    buffers = Buffers()
    data = buffers.read(written(tmp_path, 0, 9), Digest(True))
    with memoryview(data) as view:
        buffers.give_back(data)
        assert buffers.read(written(tmp_path, 1, 5), Digest(True)) is not data
        assert view == b"\x01" * 9


def test_what_is_no_buffer_is_not_kept(tmp_path):
    buffers = Buffers()
    for other in (None, b"", b"bytes", bytearray()):
        buffers.give_back(other)
    assert buffers.read(written(tmp_path, 0, 3), Digest(True)) == b"\x01" * 3
