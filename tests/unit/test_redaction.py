"""What is withheld of arguments, and what is not."""

import base64
import hashlib
import time

import pytest

from profiler.redaction import RULES, redact

pytestmark = pytest.mark.unit

HEX = hashlib.sha256(b"ethogram").hexdigest()
BASE64 = base64.b64encode(hashlib.sha256(b"key").digest()).decode()
R = "[redacted]"


def shown(*argv: str) -> list[str]:
    words, _ = redact([word.encode() for word in argv])
    return [word.decode() for word in words]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["x", "--password", "hunter2", "-v"], ["x", "--password", R, "-v"]),
        (["x", "--password=a b", "y"], ["x", f"--password={R}", "y"]),
        (["x", "--db-password", "hunter2"], ["x", "--db-password", R]),
        (["x", "-password", "hunter2"], ["x", "-password", R]),
        (["x", "--auth-token", "-s3cret"], ["x", "--auth-token", R]),
        (["env", "API_KEY=1", "DB_PASSWD=2"], ["env", f"API_KEY={R}", f"DB_PASSWD={R}"]),
        (["docker", "run", "-e", "REDIS_PASS=a&b c"], ["docker", "run", "-e", f"REDIS_PASS={R}"]),
        (["x", "--env=AWS_SECRET_ACCESS_KEY=abc"], ["x", f"--env=AWS_SECRET_ACCESS_KEY={R}"]),
        (["x", "--set", "db.password=a,db.user=b"], ["x", "--set", f"db.password={R}"]),
        (["x", "user=b,db.password=a,port=1"], ["x", f"user=b,db.password={R},port=1"]),
        (["curl", "-d", "user=a&token=b&x=c"], ["curl", "-d", f"user=a&token={R}&x=c"]),
        (["curl", "http://h/?token=b&x=c"], ["curl", f"http://h/?token={R}&x=c"]),
        (["x", '{"password": "a b", "n": 1}'], ["x", f'{{"password": "{R}", "n": 1}}']),
        (["x", "-H", "Authorization: Bearer abc.def"], ["x", "-H", f"Authorization: Bearer {R}"]),
        (["curl", "-H", "authorization: Basic dTpw"], ["curl", "-H", f"authorization: Basic {R}"]),
        (["curl", "-H", "X-Api-Key: abc"], ["curl", "-H", f"X-Api-Key: {R}"]),
        (["curl", "-H", "Cookie: a=b; c=d"], ["curl", "-H", f"Cookie: {R}"]),
        (["curl", "-u", "me:pw", "http://h/"], ["curl", "-u", f"me:{R}", "http://h/"]),
        (["curl", "-ume:pw"], ["curl", f"-ume:{R}"]),
        (["curl", "-u", "me"], ["curl", "-u", "me"]),
        (["psql", "postgres://me:p@ss@db:5432/shop"], ["psql", f"postgres://me:{R}@db:5432/shop"]),
        (["psql", "postgres://me:cut-off-here"], ["psql", f"postgres://me:{R}"]),
        (["mysql", "-uroot", "-phunter2", "shop"], ["mysql", "-uroot", f"-p{R}", "shop"]),
        (["/usr/bin/mysqldump", "-p", "shop"], ["/usr/bin/mysqldump", "-p", "shop"]),
        (["timeout", "5", "mariadb-dump", "-px"], ["timeout", "5", "mariadb-dump", f"-p{R}"]),
        (["sh", "-c", "mysql -u r -pabc <q"], ["sh", "-c", f"mysql -u r -p{R} <q"]),
        (["bash", "-lc", "TOKEN=abc serve --x 1"], ["bash", "-lc", f"TOKEN={R} serve --x 1"]),
        (["sh", "-c", "serve --password abc -v"], ["sh", "-c", f"serve --password {R} -v"]),
        (["sshpass", "-p", "abc", "ssh", "h"], ["sshpass", "-p", R, "ssh", "h"]),
        (["sshpass", "-pabc", "ssh", "h"], ["sshpass", f"-p{R}", "ssh", "h"]),
        (["redis-cli", "-a", "abc", "ping"], ["redis-cli", "-a", R, "ping"]),
        (["docker", "login", "-u", "me", "-p", "abc"], ["docker", "login", "-u", "me", "-p", R]),
        (["openssl", "rsa", "-passin", "pass:abc"], ["openssl", "rsa", "-passin", f"pass:{R}"]),
        (["x", "a=-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----."],
         ["x", f"a=-----BEGIN PRIVATE KEY-----{R}-----END PRIVATE KEY-----."]),
        (["x", "-----BEGIN RSA KEY-----\nabc"], ["x", f"-----BEGIN RSA KEY-----{R}"]),
        (["x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"], ["x", R]),
        (["git", "https://ghp_abcdefghijklmnop1234@h/x"], ["git", f"https://{R}@h/x"]),
        (["x", "AKIAIOSFODNN7EXAMPLE"], ["x", R]),
        (["curl", "--user=me:pw", "http://h/"], ["curl", f"--user=me:{R}", "http://h/"]),
        (["curl", "--proxy-user", "me:pw"], ["curl", "--proxy-user", f"me:{R}"]),
        (["https", "--auth=me:pw", "h"], ["https", f"--auth=me:{R}", "h"]),
        (["smbclient", "-U", "me%pw", "//h/x"], ["smbclient", "-U", f"me%{R}", "//h/x"]),
        (["openssl", "enc", "-k", "abc"], ["openssl", "enc", "-k", R]),
        (["ssh-keygen", "-N", "abc", "-f", "k"], ["ssh-keygen", "-N", R, "-f", "k"]),
        (["useradd", "-p", "abc", "me"], ["useradd", "-p", R, "me"]),
        (["env", "SSHPASS=abc", "DB_PWD=abc"], ["env", f"SSHPASS={R}", f"DB_PWD={R}"]),
        (["x", "--pw", "abc"], ["x", "--pw", R]),
        (["aws", "configure", "set", "aws_secret_access_key", "abc"],
         ["aws", "configure", "set", "aws_secret_access_key", R]),
        (["x", HEX], ["x", R]),
        (["x", BASE64], ["x", R]),
        (["x", f"key:{BASE64};"], ["x", f"key:{R};"]),
    ],
)  # fmt: skip
def test_a_secret_is_withheld_and_the_shape_kept(argv, expected):
    assert shown(*argv) == expected


@pytest.mark.parametrize(
    "argv",
    [
        ["nginx", "-g", "daemon off;"],
        ["nginx: worker process"],
        ["x", "--password-file", "/run/secrets/db", "--token-ttl=5m", "TOKEN_FILE=/x"],
        ["docker", "login", "--password-stdin", "registry.example"],
        ["docker", "run", "-p", "8080:80", f"nginx@sha256:{HEX}"],
        ["serve", "--max-tokens", "4096", "--tokenizer", "bert"],
        ["x", f"/var/lib/containers/{HEX}/rootfs", f"--root=/run/{HEX}", f"./a/{HEX}"],
        ["x", "-v", f"/var/lib/docker/volumes/{HEX}:/data:ro"],
        ["x", "0d6f9c1e-3f5a-4b43-9a3e-8f1d2c3b4a5d"],
        ["kubectl", "logs", "checkout-with-a-long-name-5d4f8c7b9d-x2x9z"],
        ["java", "-Dcom.sun.management.jmxremote.authenticate=false", "org.example.Main"],
        ["curl", "http://127.0.0.1:8080/a", "http://[::1]:80", "http://user@host/"],
        ["ssh", "-p", "2222", "host"],
        ["x", "1" * 64, "-" * 64, "a" * 64],
        ["x", "PASSWORD=", "--password"],
        ["env", "PWD=/root", "OLDPWD=/"],
        ["openssl", "req", "-keyout", "x.pem", "-key", "y.pem"],
        ["x", "password_file", "/run/secrets/db"],
        ["git", "log", "--pretty=format:%h", "--author=me"],
    ],
)
def test_what_is_no_secret_stays(argv):
    assert shown(*argv) == argv


def test_the_id_of_a_container_is_no_secret():
    other = HEX[::-1]

    def shown_beside(*argv):
        words, _ = redact([word.encode() for word in argv], is_container=HEX.__eq__)
        return [word.decode() for word in words]

    kept = ["runc", "exec", HEX, f"--id={HEX}", f"-c={HEX}"]
    assert shown_beside(*kept) == kept
    assert shown_beside("runc", "exec", other) == ["runc", "exec", R]
    assert shown_beside("x", f"--token={HEX}", "--api-key", HEX) == [
        "x", f"--token={R}", "--api-key", R,
    ]  # fmt: skip


def test_words_that_changed_are_counted():
    assert redact([b"x", b"--password", b"a", b"TOKEN=b", b"c"])[1] == 2
    assert redact([b"x", b"--password", b"[redacted]"])[1] == 0
    assert redact([]) == ([], 0)


def test_bytes_that_are_no_text_are_kept():
    assert redact([b"\xff\x00", b"--password=\xfe", b"\x80"])[0] == [
        b"\xff\x00", b"--password=[redacted]", b"\x80",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "unit",
    [
        "a", "a=", "token", "token=", "eyJ", "eyJa.", "://", "://a:", "-----BEGIN A-----", "A1b2",
        "authorization:", "bearer ", "' : ", '"', "\\", "-p", "/", "--token ", "mysql ", "sk-", "@",
        " ", "\t:", "x-", "password: ", "mysql/", "a.b-",
    ],
)  # fmt: skip
def test_time_grows_with_the_length_alone(unit):
    """A pattern that backtracks needs minutes for these."""
    word = (unit * (1 << 17))[: 1 << 17].encode()
    started = time.process_time()
    redact([b"sh", b"-c", word, b"x" + word])
    assert time.process_time() - started < 3


def test_every_rule_has_a_name_of_its_own():
    assert len(set(RULES)) == len(RULES) == 11
