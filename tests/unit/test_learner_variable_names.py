"""Which names of files are one of many, and what stands for them."""

import random
import string

import pytest

from learner.variable_names import variable_names

pytestmark = pytest.mark.unit

LETTERS = string.ascii_lowercase + string.digits + "_"


def made_up(length: int, count: int, *, letters: str = LETTERS, seed: int = 1) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(letters, k=length)) for _ in range(count)]


def patterns(paths: list[str], created: list[str] | None = None) -> set[str]:
    return set(variable_names(paths, paths if created is None else created).values())


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        ([f"/var/lib/app/state.{name}" for name in made_up(8, 9)], "/var/lib/app/state.*"),
        ([f"/tmp/tmp{name}" for name in made_up(8, 9)], "/tmp/tmp*"),
        ([f"/tmp/cc{name}.s" for name in made_up(6, 9, letters=string.ascii_letters)],
         "/tmp/cc*.s"),
        ([f"/var/cache/app/shard-{number}.db" for number in range(12)],
         "/var/cache/app/shard-*.db"),
        ([f"/var/cache/app/part-{number % 3}-of-{number}.db" for number in range(9)],
         "/var/cache/app/part-*-of-*.db"),
        ([f"/data/users/{number}/profile" for number in range(100, 109)],
         "/data/users/*/profile"),
        ([f"/data/objects/{number:02x}/pack.idx" for number in range(20, 40)],
         "/data/objects/*/pack.idx"),
        ([f"/data/objects/{number:02x}/pack.idx" for number in range(240, 259)], None),
        ([f"/data/users/{number}" for number in range(100, 119)], None),
        ([f"/data/users/{number}" for number in range(100, 120)], "/data/users/1*"),
        ([f"/data/new/{1795442400 + number}.M{number}P7.host" for number in range(9)],
         "/data/new/17*.M*P7.host"),
        ([f"/var/lib/nginx/body/{number:010}" for number in range(9)],
         "/var/lib/nginx/body/00*"),
        ([f"/data/wal/{number:024X}" for number in range(2 ** 32, 2 ** 32 + 30)],
         "/data/wal/00*"),
        ([f"/data/cache/7{name}.bin" for name in made_up(16, 20, letters="0123456789abcdef")],
         "/data/cache/7*.bin"),
        ([f"/run/app/{number}-lock" for number in range(12)], None),
        ([f"/tmp/build{number:06}/obj/main.o" for number in range(8)], "/tmp/build*/obj/main.o"),
        ([f"/var/log/app-2026.11.{day:02}.log" for day in range(1, 9)],
         "/var/log/app-2026.11.*.log"),
    ],
)  # fmt: skip
def test_what_differs_from_run_to_run_becomes_a_pattern(
    names: list[str], pattern: str | None
) -> None:
    assert patterns(names) == ({pattern} if pattern else set())


@pytest.mark.parametrize(
    "names",
    [
        ["/etc/app/main.conf", "/etc/app/site.conf", "/etc/app/mime.conf", "/etc/app/user.conf",
         "/etc/app/auth.conf", "/etc/app/logs.conf"],
        [f"/tmp/tmp{name}" for name in made_up(8, 4)],  # too few
        [f"/data/{name}" for name in made_up(12, 20)],  # nothing of the name is left
        [f"/data/{name}.txt" for name in made_up(12, 20)],
        ["/data/config", *(f"/data/{number}" for number in range(100, 130))],
        [f"/data/file\\x2a.{name}" for name in made_up(8, 9)],
    ],
)  # fmt: skip
def test_what_may_be_words_or_leaves_nothing_stays(names: list[str]) -> None:
    assert patterns(names) == set()


def test_what_the_workload_did_not_create_is_never_merged() -> None:
    names = [f"/usr/lib/app/plugin.{name}" for name in made_up(8, 20)]
    assert patterns(names, created=[]) == set()


def test_a_file_beside_them_keeps_its_name() -> None:
    names = [f"/var/lib/app/state.{name}" for name in made_up(8, 9)]
    found = variable_names([*names, "/var/lib/app/state.current"], created=names)
    assert "/var/lib/app/state.current" not in found
    assert set(found) == set(names)


def test_files_below_a_directory_of_many_are_found_in_any_of_them() -> None:
    created = [f"/tmp/job-{number}/out.txt" for number in range(9)]
    found = variable_names(["/tmp/job-3/out.txt", "/tmp/job-4/in.txt"], created)
    assert found == {"/tmp/job-3/out.txt": "/tmp/job-*/out.txt", "/tmp/job-4/in.txt":
                     "/tmp/job-*/in.txt"}  # fmt: skip
