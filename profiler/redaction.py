"""Withholds what looks like a secret in the arguments of a process, and keeps their shape.

It recognises patterns and cannot know every secret; where in doubt it withholds. Every pattern
starts at most once in a run of characters, so that the time is linear in what a workload chose.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

__all__ = ["REDACTED", "RULES", "redact"]

REDACTED = b"[redacted]"

# A name that contains one of these has a secret for its value ...
_SECRET_WORD = re.compile(
    rb"passw(?:or)?d|passphrase|secret|token(?!i[sz])|api_?key|access_?key|private_?key|"
    rb"encryption_?key|signing_?key|auth_?key|account_?key|credential|requirepass|masterauth|"
    rb"rediscli_auth|sshpass|[a-z0-9]_pwd$|(?:^|_)pw$|(?:^|_)pass(?:$|_)|(?:^|_)bearer(?:$|_)"
)
# ... unless it says that its value is something about the secret.
_ABOUT_IT = re.compile(
    rb"(?:file|path|dir|directory|ttl|timeout|type|policy|length|name|ur[il]|endpoint|stdin|prompt|"
    rb"count|limit|expiry|lifetime|mode|format|store|provider|backend|required|enabled|version|"
    rb"algorithm|issuer|audience)$|^(?:max|min|num|no|skip|ask|prompt)_"
)
_KEY = re.compile(rb"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]{1,100})=")
_FIELD = re.compile(
    rb"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]{1,100})(\\?[\"']\s{0,8}:\s{0,8}|:\s{1,8})"
)
_SPOKEN = re.compile(rb"(?<![A-Za-z0-9_.-])(--?[A-Za-z][A-Za-z0-9_.-]{1,99})(\s{1,8})(?!-)")
_VALUE = re.compile(rb"(\\?\")((?:[^\"\\]|\\[^\"])*)|(')([^']*)|()([^\s&;,\"'}]*)")
_OPTION = re.compile(rb"--?[A-Za-z][A-Za-z0-9_.-]{1,99}")
_SHELL_TEXT = re.compile(rb"-[a-z]{0,8}c")

_HEADER = re.compile(
    rb"(?i)(?<![a-z0-9_-])((?:proxy-)?authorization|cookie|set-cookie|x-[a-z-]{0,40}(?:token|key))"
    rb"(\s{0,8}[:=]\s{0,8}(?:(?:bearer|basic|digest|token|negotiate|apikey)\s{1,8})?)([^\r\n\"']+)"
)
_BEARER = re.compile(rb"(?i)(?<![a-z0-9_-])(bearer\s{1,8})([a-z0-9._~+/=-]{8,})")
_URL = re.compile(rb"(://[^\s/?#:@\[]*:)([^\s/?#]*)(@)")
_CUT_URL = re.compile(rb"(://[^\s/?#:@\[]+:)(?!\d{0,5}\Z)([^\s/?#@]+)\Z")
_PEM = re.compile(
    rb"(-----BEGIN [A-Z0-9 ]{1,40}-----)(.*?)(-----END [A-Z0-9 ]{1,40}-----|\Z)", re.DOTALL
)
_JWT = re.compile(rb"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,4}")
_KNOWN = re.compile(
    rb"(?<![A-Za-z0-9_-])(?:gh[opsur]_|github_pat_|glpat-|xox[abeoprs]-|xapp-|sk-|[srp]k_live_|"
    rb"npm_|pypi-|dop_v1_|hv[sbr]\.|SG\.|ya29\.|AIza|AKIA|ASIA|PMAK-|shpat_|lin_api_)"
    rb"[A-Za-z0-9_.-]{12,}"
)
_RUN = re.compile(rb"(?<![A-Za-z0-9+/_.~-])[A-Za-z0-9+/_.~-]{32,}={0,2}")
_PIECE = re.compile(rb"[A-Za-z0-9+/_-]{32,}={0,2}")
_UUID = re.compile(rb"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_DIGEST = re.compile(rb"(?i)sha(?:1|224|256|384|512):\Z")
_HEX = re.compile(rb"[0-9a-fA-F]+")
_CONTAINER_ID = re.compile(rb"(?:--?([A-Za-z][A-Za-z0-9_-]{0,99})=)?([0-9a-f]{64})")
_SETTING = re.compile(rb"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+")
# A word of a few of these: of all rules for text only those for tokens may say something of it.
_PLAIN = re.compile(rb"[A-Za-z0-9_./~+-]{1,31}")
_PASS_PHRASE = re.compile(rb"\A(pass:)(.+)\Z", re.DOTALL)

# Program -> its options whose value is a secret; mysql's takes it only when it is attached.
_MYSQL = re.compile(rb"(?:mysql|mariadb)(?:-?[a-z]{1,16})?|mycli")
_SHORT = {
    b"sshpass": (b"-p",),
    b"redis-cli": (b"-a",),
    b"mongo": (b"-p",),
    b"mongosh": (b"-p",),
    b"mongodump": (b"-p",),
    b"ldapsearch": (b"-w",),
    b"ldapmodify": (b"-w",),
    b"ldapadd": (b"-w",),
    b"7z": (b"-p",),
    b"zip": (b"-P",),
    b"unzip": (b"-P",),
    b"login": (b"-p",),  # docker login, podman login
    b"openssl": (b"-k", b"-K"),
    b"ssh-keygen": (b"-N", b"-P"),
    b"useradd": (b"-p",),
    b"usermod": (b"-p",),
}
# Their other options begin with the same letter.
_NEVER_ATTACHED = {b"login", b"openssl"}
# Program -> its options whose value is `user:password`, and the sign between the two.
_PAIRS = {
    b"curl": ((b"-u", b"--user", b"-U", b"--proxy-user"), b":"),
    b"http": ((b"-a", b"--auth"), b":"),
    b"https": ((b"-a", b"--auth"), b":"),
    b"smbclient": ((b"-U", b"--user"), b"%"),
    b"rpcclient": ((b"-U", b"--user"), b"%"),
}
_KNOWN_PROGRAMS = frozenset({*_SHORT, *_PAIRS})
_MYSQL_IN_TEXT = re.compile(rb"(?<![A-Za-z0-9_./-])(?:[\w./-]{0,100}/)?(?:mysql|mariadb|mycli)")
_MYSQL_OPTION = re.compile(rb"((?:\A|(?<=\s))-p)([^\s-]\S*)")

_LEAST_BITS_HEX, _LEAST_BITS_MIXED, _LEAST_BITS_LOWER = 3.0, 4.2, 4.1
_PASSES = 4
_ID_SIZE = 64


def redact(
    argv: Sequence[bytes], *, is_container: Callable[[str], bool] = lambda _id: False
) -> tuple[list[bytes], int]:
    """Return *argv* with `[redacted]` for what looks like a secret, and how many words changed.

    A word that *is_container* knows is the id of a container, and no secret, unless it stands where
    one is expected. As many words come back as were given, what is withheld already stays as it is,
    and applying it twice is applying it once.
    """
    words = list(argv)
    programs: set[bytes] = set()
    for index, word in enumerate(argv):
        previous = argv[index - 1] if index else b""
        words[index] = _word(word, previous, programs, is_container)
        programs |= _KNOWN_PROGRAMS & {word.rpartition(b"/")[2]} or _mysql(word)
    return words, sum(old != new for old, new in zip(argv, words, strict=True))


def _word(
    word: bytes, previous: bytes, programs: set[bytes], is_container: Callable[[str], bool]
) -> bytes:
    if not word or word == REDACTED:
        return word
    if _is_value_of(previous, word, programs):
        return REDACTED
    named = len(word) >= _ID_SIZE and _CONTAINER_ID.fullmatch(word)
    if named and not _is_secret(named[1] or b"") and is_container(named[2].decode()):
        return word
    word = _attached(word, previous, programs)
    if _PLAIN.fullmatch(word) and _known_tokens(_web_tokens(word)) == word:
        return word
    is_text = _SHELL_TEXT.fullmatch(previous) is not None
    if not is_text and (key := _KEY.match(word)) and _is_secret(key[1]):
        return key[0] + REDACTED if key.end() < len(word) else word
    for _ in range(_PASSES):
        before = word
        for rule in _TEXT_RULES.values():
            word = rule(word)
        if word == before:
            break
    return word


def _mysql(word: bytes) -> set[bytes]:
    """Return `mysql` for any of its many programs, and mariadb's."""
    return {b"mysql"} if _MYSQL.fullmatch(word.rpartition(b"/")[2]) else set()


def _is_secret(name: bytes) -> bool:
    spoken = re.sub(rb"[.-]", b"_", name.lower()).strip(b"_")
    return bool(_SECRET_WORD.search(spoken)) and not _ABOUT_IT.search(spoken)


# --- rules that look at the word before ----------------------------------------------------------


def _is_value_of(option: bytes, value: bytes, programs: set[bytes]) -> bool:
    if value.startswith(b"--"):
        return False
    if not option.startswith(b"-"):  # aws configure set aws_secret_access_key VALUE
        return _SETTING.fullmatch(option) is not None and _is_secret(option)
    if value.startswith(b"-") and len(value) <= 2:
        return False
    if _OPTION.fullmatch(option) and len(option) > 2 and _is_secret(option):
        return True
    return any(option in _SHORT[program] for program in programs & _SHORT.keys())


def _attached(word: bytes, previous: bytes, programs: set[bytes]) -> bytes:
    """Withhold what is attached to a short option, and the second half of `user:password`."""
    if not programs:
        return _PASS_PHRASE.sub(_keep_first, word) if previous.startswith(b"-pass") else word
    if b"mysql" in programs and _MYSQL_OPTION.fullmatch(word):
        return word[:2] + REDACTED
    for program in programs & _SHORT.keys() - _NEVER_ATTACHED:
        if word[:2] in _SHORT[program] and len(word) > 2:
            return word[:2] + REDACTED
    for program in sorted(programs & _PAIRS.keys()):
        options, sign = _PAIRS[program]
        if previous in options:
            return _second_half(word, sign)
        for option in options:
            start = option + b"=" if option.startswith(b"--") else option
            if word.startswith(start) and word != start:
                return start + _second_half(word[len(start) :], sign)
    return _PASS_PHRASE.sub(_keep_first, word) if previous.startswith(b"-pass") else word


def _second_half(word: bytes, sign: bytes) -> bytes:
    user, _, password = word.partition(sign)
    return user + sign + REDACTED if password else word


# --- rules for any text --------------------------------------------------------------------------
#
# Each looks first for a character that it cannot do without: most text has none of them, and
# finding that takes a tenth of what trying the pattern everywhere does.


def _keep_first(match: re.Match[bytes]) -> bytes:
    return match[1] + REDACTED


def _values(pattern: re.Pattern[bytes], text: bytes) -> bytes:
    """Withhold the value after each match of *pattern* whose first group names a secret."""
    parts, done = [], 0
    for match in pattern.finditer(text):
        if match.start() < done or not _is_secret(match[1]):
            continue
        value = _VALUE.match(text, match.end())
        content = value and next((v for v in value.group(2, 4, 6) if v), b"")
        if not value or not content:
            continue
        parts += [text[done : value.end() - len(content)], REDACTED]
        done = value.end()
    return b"".join([*parts, text[done:]])


def _assignments(text: bytes) -> bytes:
    return _values(_KEY, text) if b"=" in text else text


def _fields(text: bytes) -> bytes:
    return _values(_FIELD, text) if b":" in text else text


def _options(text: bytes) -> bytes:
    if b"-" not in text:
        return text
    text = _values(_SPOKEN, text)
    if b" " in text and _MYSQL_IN_TEXT.search(text):
        text = _MYSQL_OPTION.sub(_keep_first, text)
    return text


def _headers(text: bytes) -> bytes:
    if b":" in text or b"=" in text:
        text = _HEADER.sub(lambda match: match[1] + match[2] + REDACTED, text)
    return _BEARER.sub(_keep_first, text) if b"bearer" in text.lower() else text


def _urls(text: bytes) -> bytes:
    if b"://" not in text:
        return text
    text = _URL.sub(lambda match: match[1] + (match[2] and REDACTED) + match[3], text)
    return _CUT_URL.sub(lambda match: match[0] if _is_done(match[2]) else _keep_first(match), text)


def _is_done(value: bytes) -> bool:
    return value == REDACTED


def _blocks(text: bytes) -> bytes:
    return _PEM.sub(lambda match: match[1] + (match[2] and REDACTED) + match[3], text)


def _web_tokens(text: bytes) -> bytes:
    return _JWT.sub(REDACTED, text) if b"eyJ" in text else text


def _known_tokens(text: bytes) -> bytes:
    return _KNOWN.sub(REDACTED, text)


def _random(text: bytes) -> bytes:
    return _RUN.sub(_run, text)


def _run(match: re.Match[bytes]) -> bytes:
    run, before = match[0], match.string[max(0, match.start() - 7) : match.start()]
    if _DIGEST.search(before) or _is_path(run):
        return run
    return _PIECE.sub(lambda piece: REDACTED if _is_random(piece[0]) else piece[0], run)


def _is_path(run: bytes) -> bool:
    is_rooted = run.startswith((b"/", b"./", b"../", b"~/"))
    return is_rooted and b"+" not in run and not run.endswith(b"=")


def _is_random(piece: bytes) -> bool:
    """Say whether *piece* has the letters, and the disorder, of a key in hex or base64."""
    piece = piece.rstrip(b"=")
    if len(piece) < 30 or _UUID.fullmatch(piece):
        return False
    bits = _entropy(piece)
    if _HEX.fullmatch(piece):
        return bits >= _LEAST_BITS_HEX
    digits = sum(48 <= byte <= 57 for byte in piece)
    if digits < 2 or piece.isdigit():
        return False
    if piece.lower() != piece and piece.upper() != piece:
        return bits >= _LEAST_BITS_MIXED
    # One case only: names of pods and images are like that, but with separators.
    return piece.isalnum() and bits >= _LEAST_BITS_LOWER


def _entropy(piece: bytes) -> float:
    size = len(piece)
    return -sum(n / size * math.log2(n / size) for n in Counter(piece).values())


_TEXT_RULES: dict[str, Callable[[bytes], bytes]] = {
    "pem_block": _blocks,
    "authorization_header": _headers,
    "url_credentials": _urls,
    "secret_assignment": _assignments,
    "secret_field": _fields,
    "secret_option": _options,
    "json_web_token": _web_tokens,
    "known_token": _known_tokens,
    "random_string": _random,
}
RULES: tuple[str, ...] = ("option_value", "short_option_value", *_TEXT_RULES)
