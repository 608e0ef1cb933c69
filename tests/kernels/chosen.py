"""Which tests of the kernel side run in a guest, and which of them on every change."""

from __future__ import annotations

from pathlib import Path

__all__ = ["EVERY_CHANGE", "MODULES", "ROOT", "command"]

ROOT = Path(__file__).resolve().parents[2]
OWN = "tests/kernels/guest_tests.py"
MODULES = (
    OWN,
    *sorted(f"tests/bpf/{path.name}" for path in (ROOT / "tests/bpf").glob("test_*.py")),
)

# What this kernel has not: modules of its package that nothing loads, the end of a notifier whose
# last process is a zombie, a newer tracepoint.
NOT_THERE = ("test_sockets_of_other_families_are_known_by_kind", "notifier", "newer_name")
# Emulated, everything takes some twenty times as long. What runs on every change is of each kind
# what differs by kernel: calls, refusals, files, rings, processes and their phases, connections,
# privileges, what was there before, losses, the optional hooks, the BCC loader, one recording.
EVERY_CHANGE = (
    OWN, "tests/bpf/test_arguments.py", "tests/bpf/test_bcc_loader.py",
    "tests/bpf/test_callers.py", "tests/bpf/test_cgroups.py",
    "tests/bpf/test_denied.py", "tests/bpf/test_file_changes.py", "tests/bpf/test_files.py",
    "tests/bpf/test_io_uring.py", "tests/bpf/test_losses.py", "tests/bpf/test_network.py",
    "tests/bpf/test_network_dns.py", "tests/bpf/test_news.py", "tests/bpf/test_optional.py",
    "tests/bpf/test_privileges.py", "tests/bpf/test_processes.py", "tests/bpf/test_seeds.py",
    "tests/bpf/test_syscalls.py",
)  # fmt: skip
# What shows nothing more there: storms and floods, user space, the same again by another way.
SLOW = (
    "storm", "flood", "threads", "too_long", "every_change_of_a_file", "without_end", "unknown",
    "light", "nothing_is_left", "do_not_fit", "recording_through", "under_way_when",
    "no_exec_is_lost", "can_be_tried", "doctor", "can_be_recorded and bcc",
    "test_callers and calls", "sockets_that_had_a_name", "chose_is_outgoing", "ring_of_lives",
    "map_of_sequences", "without_a_slot", "quota_is_a_workload",
)  # fmt: skip


def command(modules: tuple[str, ...], *, is_all: bool) -> str:
    """Return the command line that runs *modules* in the guest; all of them, or not the slow."""
    left_out = NOT_THERE if is_all else (*NOT_THERE, *SLOW)
    words = " or ".join(f"({one})" for one in left_out)
    return (
        ".venv/bin/python -m pytest -q --color=no --tb=short -p no:cacheprovider"
        f" -p tests.kernels.reporting -k 'not ({words})' {' '.join(modules)}"
    )
