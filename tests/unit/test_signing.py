"""Signed baselines: what was altered, added, taken away, brought back or signed by others."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import pytest

from detector.baselines import Baselines
from detector.reload import Reloader
from detector.rollback import SignedOnly
from ethogram.cli.run import run
from ethogram.contracts.alert_models import ModelReference
from ethogram.contracts.baseline import dump_baseline
from ethogram.contracts.remote import RecordingUrl
from ethogram.contracts.signed_list import SIGNED_SCHEMA, SignedList, check, seal
from ethogram.contracts.signing_keys import PublicKey, public_key, signing_key
from ethogram.errors import BaselineError, UsageError
from tests.baselines import make_baseline

pytestmark = pytest.mark.unit

NUMBERS = count()
A, B, MODEL = "a.baseline.yaml", "team/b.baseline.yaml", "a.skops"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("keys")
    for name in ("one.key", "two.key"):
        assert run(["sign", "--new-key", str(place / name)]) == 0
    return place


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Baselines `a`, with a model, and `b` in a directory below; not signed yet."""
    place = tmp_path / "baselines"
    (place / "team").mkdir(parents=True)
    (place / MODEL).write_bytes(b"a model")
    reference = ModelReference(file=MODEL, sha256=sha256(b"a model").hexdigest(), sklearn="1.5")
    a = make_baseline("read", subject={"name": "a"}, model=reference)
    (place / A).write_text(dump_baseline(a))
    (place / B).write_text(dump_baseline(make_baseline("read", subject={"name": "b"})))
    return place


def sign(place: Path, keys: Path, *words: str, by: str = "one.key") -> int:
    return run(["sign", str(place), "--key", str(keys / by), *words])


def checked(place: Path | RecordingUrl, keys: Path, *, by: str = "one.key") -> Baselines:
    known = [public_key(keys / f"{by}.pub")]
    state = keys / f"{next(NUMBERS)}.json"  # nothing was taken before
    return Baselines([place], verify=SignedOnly(known, state))


def payload_of(place: Path) -> bytes:
    return base64.b64decode(json.loads((place / "baselines.sig").read_text())["payload"])


def refusal(place: Path, keys: Path, **options: Any) -> str:
    with pytest.raises(BaselineError) as caught:
        checked(place, keys, **options).load()
    return caught.value.message


# --- what is taken, and what is not ---------------------------------------------------------------


def test_what_was_signed_is_taken(place: Path, keys: Path) -> None:
    assert sign(place, keys) == 0
    assert len(checked(place, keys).load().known) == 2
    listed = json.loads(payload_of(place))
    assert sorted(listed["files"]) == sorted([A, B, MODEL])


@pytest.mark.parametrize(
    ("harm", "cause"),
    [
        (lambda p: (p / A).write_text((p / A).read_text() + "\n"), f"{A}` is altered"),
        (lambda p: (p / MODEL).write_bytes(b"another"), f"{MODEL}` is altered"),
        (lambda p: (p / MODEL).unlink(), f"{MODEL}` is missing"),
        (lambda p: (p / B).unlink(), f"{B}` is missing"),
        (lambda p: (p / "c.baseline.yaml").write_text("x"), "c.baseline.yaml` is not in the sign"),
        (lambda p: (p / "team" / "baselines.sig").write_text("x"), None),
        (lambda p: (p / "baselines.sig").unlink(), "is not signed: there is no"),
    ],
)
def test_what_is_not_as_it_was_signed_is_refused_by_name(
    place: Path, keys: Path, harm: Callable[[Path], object], cause: str | None
) -> None:
    assert sign(place, keys) == 0
    harm(place)
    if cause is None:
        assert len(checked(place, keys).load().known) == 2
    else:
        assert cause in refusal(place, keys)


def test_another_key_is_refused_and_while_keys_change_both_are_taken(
    place: Path, keys: Path
) -> None:
    assert sign(place, keys) == 0
    assert "by no key that was named" in refusal(place, keys, by="two.key")
    assert sign(place, keys, "--key", str(keys / "two.key")) == 0
    for by in ("one.key", "two.key"):
        assert len(checked(place, keys, by=by).load().known) == 2


def test_one_baseline_is_signed_beside_it_or_by_its_directory(place: Path, keys: Path) -> None:
    assert sign(place / A, keys) == 0
    assert (place / f"{A}.sig").exists()
    assert len(checked(place / A, keys).load().known) == 1
    (place / f"{A}.sig").unlink()
    assert sign(place, keys) == 0
    assert len(checked(place / A, keys).load().known) == 1
    (place / A).write_text((place / B).read_text())
    assert "is altered" in refusal(place / A, keys)
    (place / f"{A}.sig").write_text("{}")
    assert "field `payloadType`" in refusal(place / A, keys)


def test_a_store_is_checked_as_a_directory_is(place: Path, keys: Path) -> None:
    (place / B).rename(place / "b.baseline.yaml")
    assert sign(place, keys) == 0
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    for path in place.iterdir():
        if path.is_file():
            filesystem.pipe(f"/signed/{path.name}", path.read_bytes())
    url = RecordingUrl("memory://signed")
    assert len(checked(url, keys).load().known) == 2
    filesystem.pipe(f"/signed/{A}", b"rubbish")
    with pytest.raises(BaselineError, match=r"`memory://signed/a\.baseline\.yaml` is altered"):
        checked(url, keys).load()
    filesystem.store.clear()


# --- older ones -----------------------------------------------------------------------------------


def test_an_older_version_is_refused_also_after_a_restart(
    place: Path, keys: Path, tmp_path: Path
) -> None:
    known, state = [public_key(keys / "one.key.pub")], tmp_path / "state" / "signed.json"
    assert sign(place, keys, "--sequence", "7") == 0
    old = {path: path.read_bytes() for path in (place / A, place / "baselines.sig")}
    baselines = Baselines([place], verify=SignedOnly(known, state))
    baselines.load()
    (place / A).write_text(dump_baseline(make_baseline("write", subject={"name": "a"})))
    (place / MODEL).unlink()
    assert sign(place, keys, "--sequence", "8") == 0
    reloader = Reloader(baselines, poll_s=1)
    reloader.look()
    (update,) = reloader.take()
    assert update.library is not None
    (place / MODEL).write_bytes(b"a model")
    for path, content in old.items():
        path.write_bytes(content)
    reloader.look()
    (update,) = reloader.take()
    assert "is older than what was taken: version 7, after 8" in str(update.trouble)
    reloader.close()
    with pytest.raises(BaselineError, match="version 7, after 8"):
        Baselines([place], verify=SignedOnly(known, state)).load()
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


def test_a_version_is_given_once(place: Path, keys: Path, tmp_path: Path) -> None:
    known, state = [public_key(keys / "one.key.pub")], tmp_path / "signed.json"
    assert sign(place, keys, "--sequence", "7") == 0
    Baselines([place], verify=SignedOnly(known, state)).load()
    assert sign(place, keys, "--sequence", "7") == 2
    (place / "baselines.sig").unlink()
    (place / B).unlink()
    assert sign(place, keys, "--sequence", "7") == 0
    with pytest.raises(BaselineError, match="another version 7"):
        Baselines([place], verify=SignedOnly(known, state)).load()


def test_what_was_refused_for_another_reason_is_not_remembered(
    place: Path, keys: Path, tmp_path: Path
) -> None:
    known, state = [public_key(keys / "one.key.pub")], tmp_path / "signed.json"
    (place / "team" / "twice.baseline.yaml").write_text((place / B).read_text())
    assert sign(place, keys, "--sequence", "9") == 0
    with pytest.raises(BaselineError, match="neither more specifically"):
        Baselines([place], verify=SignedOnly(known, state)).load()
    assert not state.exists()


@pytest.mark.parametrize(
    "text", ["", "{}x", '{"schema": "x"}', '{"places": {"a": {"sequence": 1}}}']
)
def test_a_damaged_state_is_an_error_and_not_a_new_beginning(
    text: str, keys: Path, tmp_path: Path
) -> None:
    (tmp_path / "signed.json").write_text(text)
    with pytest.raises(UsageError, match="it is damaged"):
        SignedOnly([public_key(keys / "one.key.pub")], tmp_path / "signed.json")


# --- hostile lists --------------------------------------------------------------------------------


def key_of(keys: Path) -> list[PublicKey]:
    return [public_key(keys / "one.key.pub")]


def envelope(place: Path, **fields: Any) -> bytes:
    return json.dumps(json.loads((place / "baselines.sig").read_text()) | fields).encode()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"payload": "!"}, "payload"),
        ({"payload": 7}, "payload"),
        ({"payloadType": "application/vnd.in-toto+json"}, "payloadType"),
        ({"signatures": []}, "signatures"),
        ({"signatures": [{"keyid": "f" * 64, "sig": "AA=="}] * 17}, "signatures"),
        ({"signatures": [{"keyid": "x", "sig": "AA=="}]}, "signatures.0.keyid"),
        ({"more": 1}, "more"),
    ],
)
def test_a_hostile_list_is_refused_by_name_and_field(
    place: Path, keys: Path, fields: dict[str, Any], field: str
) -> None:
    assert sign(place, keys) == 0
    with pytest.raises(BaselineError) as caught:
        check(envelope(place, **fields), key_of(keys), source="x.sig")
    assert caught.value.message.startswith(f"`x.sig`: field `{field}`: ")


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b"null", b'{"a":' * 5000])
def test_what_is_no_list_at_all_is_refused(keys: Path, data: bytes) -> None:
    with pytest.raises(BaselineError, match=r"`x\.sig`: field `"):
        check(data, key_of(keys), source="x.sig")
    with pytest.raises(BaselineError, match="larger than 4 MiB"):
        check(data.ljust((4 << 20) + 1), key_of(keys), source="x.sig")


def test_every_altered_byte_of_the_payload_is_seen(place: Path, keys: Path) -> None:
    assert sign(place, keys) == 0
    payload = bytearray(payload_of(place))
    for position in range(0, len(payload), 37):
        payload[position] ^= 1
        altered = envelope(place, payload=base64.b64encode(payload).decode())
        with pytest.raises(BaselineError, match="somebody altered it"):
            check(altered, key_of(keys), source="x.sig")
        payload[position] ^= 1


@pytest.mark.parametrize(
    "name", ["/etc/a.yaml", "../a.yaml", "x/../a.yaml", ".git/a.yaml", "a.sh", ""]
)
def test_a_signer_who_names_what_is_elsewhere_is_refused(keys: Path, name: str) -> None:
    listed = SignedList.model_construct(
        schema_name=SIGNED_SCHEMA, sequence=1, time="2026-11-23T06:00:00Z", files={name: "0" * 64}
    )
    sealed = seal(listed, [signing_key(keys / "one.key", None)])
    with pytest.raises(BaselineError, match=r"field `payload\.files`"):
        check(sealed, key_of(keys), source="x.sig")


# --- the command ----------------------------------------------------------------------------------


def test_a_key_is_its_owners_alone_and_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "my.key"
    assert run(["sign", "--new-key", str(key)]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == public_key(tmp_path / "my.key.pub").id
    assert "without one: whoever reads it signs" in captured.err
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    assert run(["sign", "--new-key", str(key)]) == 2
    assert key.read_bytes() == before


def test_a_passphrase_is_asked_of_a_file_or_the_environment(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\nnot this\n")
    words = ["--passphrase-file", str(secret)]
    assert run(["sign", "--new-key", str(tmp_path / "safe.key"), *words]) == 0
    assert b"ENCRYPTED" in (tmp_path / "safe.key").read_bytes()
    command = ["sign", str(place), "--key", str(tmp_path / "safe.key")]
    assert run(command) == 2
    assert "has a passphrase" in capsys.readouterr().err
    monkeypatch.setenv("ETHOGRAM_KEY_PASSPHRASE", "wrong")
    assert run(command) == 2
    assert "the passphrase is another" in capsys.readouterr().err
    assert run([*command, *words]) == 0
    monkeypatch.setenv("ETHOGRAM_KEY_PASSPHRASE", "correct horse")
    assert run(command) == 0


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        ([], 2, "`ethogram sign` needs baselines to sign"),
        (["PLACE"], 2, "`ethogram sign` needs `--key`"),
        (["PLACE", "--key", "nowhere"], 2, "there is no key `nowhere`"),
        (["PLACE", "--key", "KEYS/one.key.pub"], 2, "is no private key in PEM"),
        (["PLACE", "--key", "/dev/zero"], 2, "key `/dev/zero` cannot be read"),
        (["PLACE", "--new-key", "x"], 2, "makes a key, and signs nothing"),
        (["PLACE/empty", "--key", "KEYS/one.key"], 5, "there is no `*.baseline.yaml`"),
        (["PLACE/bad", "--key", "KEYS/one.key"], 5, "is not a baseline"),
        (["PLACE/taken", "--key", "KEYS/one.key"], 2, "holds something else, which would be lost"),
    ],
)
def test_what_cannot_be_signed_is_refused(
    words: list[str],
    code: int,
    cause: str,
    place: Path,
    keys: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("empty", "bad", "taken"):
        (place / name).mkdir()
    (place / "bad" / A).write_text("rubbish")
    (place / "taken" / A).write_text((place / B).read_text())
    (place / "taken" / "baselines.sig").write_text("my notes")
    named = [word.replace("PLACE", str(place)).replace("KEYS", str(keys)) for word in words]
    assert run(["sign", *named]) == code
    assert cause in capsys.readouterr().err


def test_a_model_that_is_another_is_not_signed(
    place: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / MODEL).write_bytes(b"another")
    assert sign(place, keys) == 5
    assert f"{MODEL}` is altered" in capsys.readouterr().err
    assert not (place / "baselines.sig").exists()


@pytest.mark.parametrize("command", [["show"], ["export", "--to", "seccomp", "-o", "out"]])
def test_other_commands_check_too(
    command: list[str],
    place: Path,
    keys: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [command[0], str(place), *command[1:], "--verify-key", str(keys / "one.key.pub")]
    words += ["--allow", "thin"] if command[0] == "export" else []
    assert run(words) == 5
    assert "is not signed" in capsys.readouterr().err
    assert sign(place, keys) == 0
    assert run(words) == 0
    words[words.index("--verify-key") + 1] = str(keys / "one.key")
    capsys.readouterr()
    assert run(words) == 2
    assert "is a private key, which belongs to whoever signs" in capsys.readouterr().err
