"""DNS replies, the names they give, and whose replies count."""

import os
import socket
import subprocess
import sys
import tracemalloc
from pathlib import Path

import dns.message
import dns.opcode
import dns.rrset
import pytest

from profiler import dns as subject
from profiler.dns import Names, Reply, parse_reply, resolvers_of

pytestmark = pytest.mark.unit

SECOND = 1_000_000_000
A, AAAA = 1, 28


def address(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def wire(question: str, *answers: str, kind: str = "A", rcode: int = 0, flags: int = 0) -> bytes:
    """Return a reply to *question* with *answers* such as `a.b. 30 IN A 10.0.0.1`."""
    reply = dns.message.make_response(dns.message.make_query(question, kind))
    for answer in answers:
        name, ttl, rdclass, rdtype, rest = answer.split(" ", 4)
        reply.answer.append(dns.rrset.from_text(name, int(ttl), rdclass, rdtype, rest))
    reply.set_rcode(rcode)
    reply.flags |= flags
    return reply.to_wire()


def reply(name: str, *addresses: str, ttl: int = 600) -> Reply:
    answers = tuple(address(text) for text in addresses)
    return Reply(name.encode(), A, 0, answers, ttl, (name.encode(),))


def test_a_reply_has_a_question_and_addresses():
    payload = wire("Redis.Shop.svc", "redis.shop.svc. 30 IN A 10.0.0.2")
    assert parse_reply(payload) == Reply(
        qname=b"redis.shop.svc", qtype=A, rcode=0, answers=(address("10.0.0.2"),), ttl=30,
        names=(b"redis.shop.svc",),
    )  # fmt: skip


def test_aliases_are_followed_in_any_order():
    found = parse_reply(
        wire(
            "www.example.org",
            "c.example.net. 60 IN A 10.0.0.3",
            "b.example.net. 20 IN CNAME c.example.net.",
            "www.example.org. 300 IN CNAME b.example.net.",
        )
    )
    assert found is not None
    assert found.answers == (address("10.0.0.3"),)
    assert found.names == (b"www.example.org", b"b.example.net", b"c.example.net")
    assert found.ttl == 20


def test_an_address_of_a_name_that_was_not_asked_for_is_not_taken():
    found = parse_reply(wire("a.example", "bank.example. 60 IN A 10.0.0.3"))
    assert found is not None
    assert found.answers == ()


def test_aliases_in_a_circle_end():
    found = parse_reply(wire("a.example", "a.example. 60 IN CNAME b.example.",
                             "b.example. 60 IN CNAME a.example."))  # fmt: skip
    assert found is not None
    assert found.names == (b"a.example", b"b.example")


def test_sixteen_byte_addresses_are_answers_too():
    found = parse_reply(wire("a.example", "a.example. 60 IN AAAA fd00::1", kind="AAAA"))
    assert found is not None
    assert (found.qtype, found.answers) == (AAAA, (address("fd00::1"),))


def test_a_name_that_does_not_exist_is_a_reply():
    found = parse_reply(wire("none.example", rcode=3))
    assert found is not None
    assert (found.rcode, found.answers, found.ttl) == (3, (), 0)


def test_a_dot_within_a_label_does_not_make_another_name():
    found = parse_reply(wire(r"bank\.example.evil", r"bank\.example.evil. 60 IN A 10.0.0.1"))
    assert found is not None
    assert found.qname == rb"bank\.example.evil"


def test_a_question_and_other_messages_are_no_reply():
    assert parse_reply(dns.message.make_query("a.example", "A").to_wire()) is None
    assert parse_reply(wire("a.example", flags=dns.opcode.to_flags(4))) is None
    assert parse_reply(b"") is None
    assert parse_reply(b"\0" * 512) is None


def test_a_message_that_ends_early_gives_what_is_before_its_end():
    payload = wire("a.example", *(f"a.example. 60 IN A 10.0.0.{n}" for n in range(1, 60)))
    assert len(payload) > 512
    found = parse_reply(payload[:512])
    assert found is not None
    assert found.qname == b"a.example"
    assert len(found.answers) > 20
    for size in range(len(payload)):
        parse_reply(payload[:size])


def test_a_name_is_known_to_the_workload_that_asked_and_to_no_other():
    names = Names()
    names.learn(1, reply("redis", "10.0.0.2"), True, 0)
    assert names.name_of(1, address("10.0.0.2"), SECOND) == ("redis", "resolver")
    assert names.name_of(2, address("10.0.0.2"), SECOND) is None


def test_a_name_is_valid_a_while_longer_than_it_says_but_not_for_ever():
    names = Names()
    names.learn(1, reply("short", "10.0.0.2", ttl=0), True, 0)
    names.learn(1, reply("long", "10.0.0.3", ttl=2**31), True, 0)
    assert names.name_of(1, address("10.0.0.2"), 300 * SECOND) == ("short", "resolver")
    assert names.name_of(1, address("10.0.0.2"), 301 * SECOND) is None
    assert names.name_of(1, address("10.0.0.3"), 86_401 * SECOND) is None


def test_an_untrusted_answer_does_not_take_the_place_of_a_trusted_one():
    names = Names()
    names.learn(1, reply("redis", "10.0.0.2"), True, 0)
    names.learn(1, reply("evil", "10.0.0.2"), False, SECOND)
    assert names.name_of(1, address("10.0.0.2"), SECOND) == ("redis", "resolver")
    later = 601 * SECOND
    names.learn(1, reply("evil", "10.0.0.2"), False, later)
    assert names.name_of(1, address("10.0.0.2"), later) == ("evil", "untrusted")
    names.learn(1, reply("redis", "10.0.0.2"), True, later)
    assert names.name_of(1, address("10.0.0.2"), later) == ("redis", "resolver")


def test_a_workload_that_asks_for_very_many_names_forgets_only_its_own():
    names = Names()
    names.learn(2, reply("redis", "10.0.0.2"), True, 0)
    tracemalloc.start()
    for number in range(20_000):
        names.learn(1, Reply(b"x", A, 0, (number.to_bytes(4, "big"),), 1, (b"x",)), True, 0)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert names.name_of(2, address("10.0.0.2"), 0) == ("redis", "resolver")
    assert names.name_of(1, (19_999).to_bytes(4, "big"), 0) is not None
    assert names.name_of(1, (1).to_bytes(4, "big"), 0) is None
    assert size < 4 << 20


def test_a_name_that_is_no_text_can_still_be_written():
    names = Names()
    names.learn(1, Reply(b"\xff.example", A, 0, (b"\x0a\0\0\1",), 1, ()), True, 0)
    assert names.name_of(1, b"\x0a\0\0\1", 0) == (r"\xff.example", "resolver")


class Root:
    """Stands for `/proc/PID/root` of a container: `_read_below` is asked for it alone."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "etc/resolv.conf"
        self.file.parent.mkdir(parents=True)
        self._root = str(directory)

    def read(self) -> bytes:
        return subject._read_below(self._root, "etc/resolv.conf")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


def test_the_resolvers_of_a_process_are_those_of_its_own_file():
    file = Path("/etc/resolv.conf")
    lines = file.read_text().split() if file.exists() else []
    wanted = {address(w) for at, w in enumerate(lines) if at and lines[at - 1] == "nameserver"}
    assert resolvers_of(os.getpid()) <= wanted


def test_a_process_that_is_gone_has_no_resolvers():
    assert resolvers_of(2**30) == frozenset()


def test_resolvers_are_read_as_the_c_library_reads_them(monkeypatch):
    content = (
        b"# comment\nsearch a b\nnameserver 10.0.0.1\n nameserver\t::ffff:10.0.0.2 # x\n"
        b"nameserver x\nnameserver\nnameserver fe80::1%eth0\nnameserver 10.0.0.4\n\xff\n"
    )
    monkeypatch.setattr(subject, "_read_below", lambda *_: content)
    assert resolvers_of(1) == {address("10.0.0.1"), address("10.0.0.2"), address("fe80::1")}


def test_a_link_is_followed_inside_the_root_and_not_out_of_it(root, tmp_path):
    (tmp_path / "host.conf").write_text("nameserver 10.9.9.9\n")
    (root.file.parent / "real").write_text("nameserver 10.0.0.1\n")
    root.file.symlink_to("/etc/real")
    assert root.read() == b"nameserver 10.0.0.1\n"
    for outside in ("../../host.conf", "../../../../host.conf", str(tmp_path / "host.conf")):
        root.file.unlink()
        root.file.symlink_to(outside)
        with pytest.raises(OSError, match=r"."):
            root.read()


def test_what_is_no_small_regular_file_is_not_read(root):
    def fifo() -> None:
        os.mkfifo(root.file)

    def circle() -> None:
        root.file.symlink_to("resolv.conf")

    def huge() -> None:
        with root.file.open("wb") as file:
            file.truncate(1 << 40)

    for make in (fifo, root.file.mkdir, circle, huge, root.file.touch):
        make()
        with pytest.raises(OSError):  # noqa: PT011  which one depends on what is there
            root.read()
        root.file.rmdir() if root.file.is_dir() else root.file.unlink()


def test_a_file_of_procfs_is_not_read():
    with pytest.raises(FileNotFoundError):
        subject._read_below("/", "proc/self/status")


def test_the_parser_is_not_imported_before_it_is_needed():
    source = "import profiler.dns, sys; sys.exit('dns.message' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == 0
