"""Memory that becomes executable, a socket that becomes standard input, names of the kernel's."""

import pytest

from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

MMAP, CLOSE, DUP, DUP2, SOCKET, FCNTL, PRCTL, DUP3 = 9, 3, 32, 33, 41, 72, 157, 292
FSOPEN = 430
ANONYMOUS = 0x22  # private as well
READ_WRITE, READ_EXECUTE, ALL = 3, 5, 7
UNIX, STREAM, SET_NAME = 1, 1, 15
A_SOCKET = ["call", SOCKET, 1, UNIX, STREAM, 0]  # becomes descriptor 3


def test_memory_that_can_be_written_and_executed_is_counted(kernel: Kernel) -> None:
    seen = kernel.run(["call", MMAP, 7, 0, 4096, ALL, ANONYMOUS, -1, 0])
    assert seen.unusual == {("executable_memory", "mapped writable"): 7}


def test_anonymous_memory_for_code_is_counted_and_other_memory_is_not(kernel: Kernel) -> None:
    seen = kernel.run(
        ["call", MMAP, 2, 0, 4096, READ_EXECUTE, ANONYMOUS, -1, 0],
        ["call", MMAP, 5, 0, 4096, READ_WRITE, ANONYMOUS, -1, 0],
    )
    assert seen.unusual == {("executable_memory", "mapped"): 2}


def test_memory_that_was_refused_is_not_counted(kernel: Kernel) -> None:
    assert kernel.run(["call", MMAP, 1, 0, 0, ALL, ANONYMOUS, -1, 0]).unusual == {}


@pytest.mark.parametrize(
    "moves",
    [
        [["call", DUP2, 1, 3, 0]],
        [["call", DUP3, 1, 3, 0, 0]],
        [["call", CLOSE, 1, 0], ["call", DUP, 1, 3]],
        [["call", CLOSE, 1, 0], ["call", FCNTL, 1, 3, 0, 0]],
    ],
)
def test_a_socket_that_becomes_the_input_is_counted(
    kernel: Kernel, moves: list[list[str | int]]
) -> None:
    seen = kernel.run(A_SOCKET, *moves)
    assert seen.unusual == {("input_socket", "unix"): 1}


def test_a_child_that_will_execute_something_is_told_apart(kernel: Kernel) -> None:
    seen = kernel.run(A_SOCKET, ["fork", 1, [["call", DUP2, 1, 3, 0]]])
    assert seen.unusual == {("input_socket", "unix before an exec"): 1}


def test_other_files_and_other_descriptors_are_not(kernel: Kernel) -> None:
    seen = kernel.run(A_SOCKET, ["call", DUP2, 1, 1, 0], ["call", DUP2, 1, 3, 9])
    assert seen.unusual == {}


def test_a_process_that_takes_the_name_of_a_kernel_thread_says_so(kernel: Kernel) -> None:
    seen = kernel.run(
        ["call", PRCTL, 1, SET_NAME, "@kworker/0:1"], ["call", PRCTL, 1, SET_NAME, "@worker-1"]
    )
    assert seen.operations["set_name", "kworker/0:1", 0] == 1
    assert ("set_name", "worker-1", 0) not in seen.operations


def test_the_calls_that_make_a_mount_are_operations(kernel: Kernel) -> None:
    seen = kernel.run(["call", FSOPEN, 1, "@tmpfs", 0])
    assert seen.operations["mount", "tmpfs", 0] == 1
