"""Memory lent to one file after another holds each file's bytes and nothing of the one before."""

import hashlib

from flows.buffers import BLOCK, Buffers
from flows.identity import Digest

SIZES = (5, BLOCK, BLOCK + 1, 3 * BLOCK, 7, 0, 2 * BLOCK - 1)


def read(buffers, folder, number, size, digest=None):
    path = folder / str(number)
    path.write_bytes(bytes([number + 1]) * size)
    with path.open("rb", buffering=0) as file:
        return buffers.read(file, size, digest or Digest(True))


def test_files_of_any_sizes_one_after_another(tmp_path):
    buffers = Buffers()
    for number, size in enumerate(SIZES):
        digest = Digest(is_bulk=False)
        data = read(buffers, tmp_path, number, size, digest)
        assert data == bytes([number + 1]) * size
        assert str(digest) == hashlib.sha256(data).hexdigest()
        buffers.give_back(data)


def test_memory_given_back_is_lent_again_and_no_other(tmp_path):
    buffers = Buffers()
    first = read(buffers, tmp_path, 0, 9)
    second = read(buffers, tmp_path, 1, 9)
    assert second is not first
    buffers.give_back(first)
    assert read(buffers, tmp_path, 2, 5) is first
    assert second == b"\x02" * 9


def test_memory_that_somebody_looks_at_is_not_lent(tmp_path):
    buffers = Buffers()
    data = read(buffers, tmp_path, 0, 9)
    with memoryview(data) as view:
        buffers.give_back(data)
        assert read(buffers, tmp_path, 1, 5) is not data
        assert view == b"\x01" * 9


def test_what_is_no_buffer_is_not_kept(tmp_path):
    buffers = Buffers()
    for other in (None, b"", b"bytes", bytearray()):
        buffers.give_back(other)
    assert read(buffers, tmp_path, 0, 3) == b"\x01" * 3
