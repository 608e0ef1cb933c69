"""The kernel's hash of a sequence of calls is the learner's."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from learner.grams import map_of
from profiler.assembly import ngrams_columns

pytestmark = pytest.mark.unit

BPF = Path(__file__).parents[2] / "bpf"
SOURCE = """
typedef unsigned long long __u64;
#define __always_inline inline __attribute__((always_inline))
#include "gram_hash.h"
int known(const __u64 *bits, __u64 gram) { return has_gram(bits, gram); }
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernel's header, compiled for this machine."""
    place = tmp_path_factory.mktemp("hash")
    (place / "hash.c").write_text(SOURCE)
    words = ["clang", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-I", str(BPF)]
    subprocess.run([*words, "-o", place / "hash.so", place / "hash.c"], check=True)
    return ctypes.CDLL(str(place / "hash.so"))


def symbols(gram: np.ndarray) -> np.ndarray:
    """Return packed grams as the learner has them: from rows of table `ngrams`."""
    columns = ngrams_columns(gram.view([("gram", "<u8")]))
    numbers = columns["gram"].view("<u2").reshape(-1, 6).astype(np.int32)
    return columns["arch"].astype(np.int32)[:, None] << 16 | numbers


def packed(random: np.random.Generator, size: int) -> np.ndarray:
    """Return grams of every architecture, with numbers that are none and that do not fit."""
    numbers = random.integers(0, 1024, (size, 6), np.uint64)
    numbers[random.random((size, 6)) < 0.1] = 1023
    numbers[random.random((size, 6)) < 0.1] = 1022
    gram = random.integers(0, 5, size, np.uint64) << np.uint64(60)
    for place in range(6):
        gram |= numbers[:, place] << np.uint64(10 * place)
    return gram


def is_known(kernel: ctypes.CDLL, bits: bytes, gram: np.ndarray) -> list[bool]:
    room = (ctypes.c_uint64 * (len(bits) // 8)).from_buffer_copy(bits)
    return [bool(kernel.known(room, ctypes.c_uint64(one))) for one in gram.tolist()]


def test_each_sequence_sets_the_two_bits_that_the_kernel_looks_at(kernel: ctypes.CDLL) -> None:
    for one in packed(np.random.default_rng(1), 300):
        bits = map_of(symbols(np.array([one])))
        assert sum(map(int.bit_count, bits)) in {1, 2}
        assert is_known(kernel, bits, np.array([one])) == [True]


def test_others_are_not_known_and_no_two_architectures_are_one(kernel: ctypes.CDLL) -> None:
    random = np.random.default_rng(2)
    known, other = packed(random, 500), packed(random, 500)
    bits = map_of(symbols(known))
    assert all(is_known(kernel, bits, known))
    # Of 500 known, 0.02 % are taken for known by chance.
    assert sum(is_known(kernel, bits, other)) <= 2
    assert sum(is_known(kernel, bits, known ^ np.uint64(1 << 60))) <= 2


def test_none_are_known_where_there_are_none(kernel: ctypes.CDLL) -> None:
    bits = map_of(np.empty((0, 6), np.int32))
    assert bits == bytes(1 << 13)
    assert not any(is_known(kernel, bits, packed(np.random.default_rng(3), 50)))
