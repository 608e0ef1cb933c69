"""One life of the shop, from start to stop, with what must be so on the way."""

from demo.narrator import Narrator
from demo.shop import Shop

__all__ = ["INTRUSION", "LET_THROUGH", "REFUSED", "UNSHARE", "live", "ordinary_life"]

ENOSYS = 38
UNSHARE = 272
# What somebody who broke into the service would try first: a user namespace of his own.
INTRUSION = ("/usr/local/bin/known", "report", "unshare", "user")
LET_THROUGH, REFUSED = "unshare 0", f"unshare -{ENOSYS}"


def live(narrator: Narrator, shop: Shop, *, intruder: str | None = None) -> None:
    """An ordinary life and its end; with *intruder* also break in, expecting that answer."""
    ordinary_life(narrator, shop)
    if intruder is not None:
        _break_in(narrator, shop, intruder)
    shop.stop()
    narrator.claim("checkout stopped when it was asked to", is_true=True)


def ordinary_life(narrator: Narrator, shop: Shop) -> None:
    """Start, trade, and look around; the shop goes on."""
    shop.start()
    narrator.claim("checkout started: two replicas listen on port 80", is_true=True)
    answers, expected = shop.trade(), shop.expected_trade()
    told = ", ".join(f"{count} x {status}" for status, count in sorted(expected.items()))
    narrator.claim(
        f"loadgen had {sum(expected.values())} answers in {shop.rounds} rounds: {told}",
        is_true=answers == expected,
        but=dict(answers),
    )
    session = shop.look_around()
    narrator.claim(
        "an operator's exec session in checkout worked",
        is_true=session.returncode == 0 and session.stdout == b"root\ncart.json\nindex.html\n",
        but=(session.stdout + session.stderr).decode(errors="replace"),
    )


def _break_in(narrator: Narrator, shop: Shop, expected: str) -> None:
    narrator.prompt(["runc", "exec", shop.replicas[0].container_id, *INTRUSION])
    result = shop.replicas[0].exec(*INTRUSION)
    narrator.output(result.stdout + result.stderr)
    verdict = f"refused with errno {ENOSYS} (ENOSYS)" if expected == REFUSED else "let through"
    answer = result.stdout.decode(errors="replace").strip()
    narrator.claim(
        f"unshare(CLONE_NEWUSER) in checkout was {verdict}",
        is_true=answer == expected,
        but=f"`{answer}`",
    )
