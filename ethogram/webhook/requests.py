"""AdmissionReview v1 as it comes in: read with suspicion, since anybody who reaches us can send it.

What is no review at all, or has no id to answer to, is an HTTP error. A review with an id that says
nonsense is refused with that id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from ethogram.contracts.escape import escape
from ethogram.contracts.strict_json import load_json

__all__ = ["API", "KIND", "BadReviewError", "Operation", "Request", "read_review"]

API = "admission.k8s.io/v1"
KIND = "AdmissionReview"
Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
_OPERATIONS: tuple[str, ...] = get_args(Operation)
_SHOWN = 80
_LONGEST_UID = 256


class BadReviewError(Exception):
    """What was sent is no review: *uid* is its id, None where there is none to answer to."""

    def __init__(self, message: str, *, uid: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.uid = uid


@dataclass(frozen=True, slots=True)
class Request:
    """One question of an API server; *kind* is group, version and kind of *body*.

    *body* is None for a deletion, *old* is what was there before, None for a creation. *user* is
    who asks, which nobody but the API server says.
    """

    uid: str
    group: str
    kind: str
    resource: str
    subresource: str
    operation: Operation
    namespace: str
    name: str
    user: str
    is_dry_run: bool
    body: Mapping[str, Any] | None
    old: Mapping[str, Any] | None

    @property
    def of(self) -> str:
        """The resource with its subresource, such as `pods/ephemeralcontainers`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def read_review(content: bytes) -> Request:
    """Return what *content* asks; `BadReviewError` says why it asks nothing.

    Fields that are not known are passed over: a newer API server may have more.
    """
    review = _document(content)
    if review.get("apiVersion") != API or review.get("kind") != KIND:
        named = f"{_shown(review.get('kind'))} of {_shown(review.get('apiVersion'))}"
        raise BadReviewError(f"{named} is not read here: an {KIND} of `{API}` is")
    request = review.get("request")
    if not isinstance(request, Mapping):
        raise BadReviewError("the review has no `request`")
    uid = request.get("uid")
    if not isinstance(uid, str) or not 0 < len(uid) <= _LONGEST_UID:
        raise BadReviewError("`request.uid` is no text: there is no id to answer to")
    return _request(request, uid)


def _document(content: bytes) -> Mapping[str, Any]:
    try:
        review = load_json(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadReviewError("the body is not UTF-8") from error
    except RecursionError as error:
        raise BadReviewError("the body is nested too deeply") from error
    except ValueError as error:
        raise BadReviewError(f"the body is not JSON: {escape(str(error))[:200]}") from error
    if not isinstance(review, Mapping):
        raise BadReviewError("the body is no object of JSON")
    return review


def _request(request: Mapping[str, Any], uid: str) -> Request:
    operation = request.get("operation")
    if operation not in _OPERATIONS:
        raise BadReviewError(f"`request.operation` is {_shown(operation)}", uid=uid)
    body, old = (_object(request, name, uid) for name in ("object", "oldObject"))
    if body is None and operation in ("CREATE", "UPDATE"):
        raise BadReviewError("`request.object` is missing", uid=uid)
    if old is None and operation == "UPDATE":
        raise BadReviewError("`request.oldObject` is missing", uid=uid)
    kind, resource, user = (_object(request, each, uid) or {}
                            for each in ("kind", "resource", "userInfo"))  # fmt: skip
    return Request(
        uid=uid,
        group=_text(kind, "group", "request.kind", uid),
        kind=_text(kind, "kind", "request.kind", uid),
        resource=_text(resource, "resource", "request.resource", uid),
        subresource=_text(request, "subResource", "request", uid),
        operation=cast(Operation, operation),
        namespace=_text(request, "namespace", "request", uid),
        name=_text(request, "name", "request", uid),
        user=_text(user, "username", "request.userInfo", uid),
        is_dry_run=request.get("dryRun") is True,
        body=body,
        old=old,
    )


def _object(request: Mapping[str, Any], name: str, uid: str) -> Mapping[str, Any] | None:
    value = request.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise BadReviewError(f"`request.{name}` is no object of JSON", uid=uid)
    return value


def _text(fields: Mapping[str, Any], name: str, where: str, uid: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise BadReviewError(f"`{where}.{name}` is no text", uid=uid)
    return value or ""


def _shown(value: object) -> str:
    return "nothing" if value is None else f"`{escape(str(value)[:_SHOWN])}`"
