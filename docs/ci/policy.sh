#!/bin/sh
# Policies in version control: check them on a pull request, or renew them. See docs/review.md.
#
#   policy.sh check    are the committed policies what the committed baselines give, and would they
#                      let through what was recorded? Writes $REPORTS/summary.md and behaviour.md
#   policy.sh renew    learn from the recordings, and export anew; review and commit the difference
#
# Settings, from the environment:
#   RECORDINGS  recordings or summaries, paths or URLs, with spaces between them
#   BASELINES   directory of the baselines (baselines)
#   POLICIES    directory of the policies (policies)
#   REPORTS     directory for what people read (reports)
#   LEARN       further options of `ethogram learn`, such as: --allow thin
#   EXPORT      options of `ethogram export` (--to seccomp --to networkpolicy)
#
# `check` exits with the first of: 5 the policies are stale, 12 something recorded would be denied.
# What a new recording shows beyond the baselines is told in behaviour.md and fails nothing.
set -eu

: "${RECORDINGS:?set it to the recordings, such as: RECORDINGS=s3://bucket/staging}"
BASELINES=${BASELINES:-baselines}
POLICIES=${POLICIES:-policies}
REPORTS=${REPORTS:-reports}
LEARN=${LEARN:-}
EXPORT=${EXPORT:---to seccomp --to networkpolicy}

# Lists of words are meant to be split below.
# shellcheck disable=SC2086
renew() {
    base=
    if [ -d "$BASELINES" ]; then
        base="--base $BASELINES --force"
    fi
    ethogram learn $RECORDINGS -o "$BASELINES" $base $LEARN
    ethogram export "$BASELINES" $EXPORT -o "$POLICIES" --force
}

# shellcheck disable=SC2086
check() {
    mkdir -p "$REPORTS"
    : >"$REPORTS/behaviour.md"
    result=0

    echo "Are the policies what the baselines give?"
    ethogram export "$BASELINES" $EXPORT -o "$POLICIES" --check \
        --summary "$REPORTS/summary.md" || result=$?

    echo "Would they deny what was recorded?"
    against=
    for recording in $RECORDINGS; do
        against="$against --against $recording"
    done
    ethogram verify "$POLICIES" $against || { code=$?; [ "$result" -ne 0 ] || result=$code; }

    echo "What do the recordings show that the baselines do not allow?"
    for recording in $RECORDINGS; do
        # 10: they show less. 11: they show more.
        ethogram diff "$BASELINES" "$recording" --format markdown >>"$REPORTS/behaviour.md" || {
            code=$?
            [ "$code" -eq 10 ] || [ "$code" -eq 11 ] || [ "$result" -ne 0 ] || result=$code
        }
    done
    return "$result"
}

case ${1:-} in
check | renew) "$1" ;;
*)
    echo "usage: $0 check|renew" >&2
    exit 2
    ;;
esac
