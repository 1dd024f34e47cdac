"""What ip, cp and kup say of a certificate, and what a client is told while it waits (RFC 9810 §5.3.4 and §5.3.22)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import core
from asn1crypto import x509 as asn1_x509

from issuing_ca.cmp import asn1
from issuing_ca.cmp.message import CmpRefused, Failure, Message, status
from issuing_ca.model import IssuedCertificate

ACCEPTED, REJECTED, WAITING = 0, 2, 3
_SOONEST, _LATEST = 2, 3600  # seconds


@dataclass(frozen=True)
class Reply:
    """A body to be protected: ``extra``: certificates that go with it; ``information``: of the header."""

    kind: int
    content: bytes
    extra: tuple[bytes, ...] = ()
    information: Sequence[Mapping[str, Any]] = ()


def issued_response(number: int, issued: IssuedCertificate) -> bytes:
    """The certificate."""
    certificate = asn1_x509.Certificate.load(issued.encoded)
    pair = {"certificate": asn1.CertOrEncCert("certificate", certificate)}
    return _response({"id": number, "status": status(ACCEPTED), "pair": pair})


def waiting_response(number: int) -> bytes:
    """Not yet: the client is to poll (RFC 9483 §4.4)."""
    return _response({"id": number, "status": status(WAITING)})


def rejected_response(number: int, failure: Failure, text: str) -> bytes:
    """There is no certificate, and why."""
    return _response({"id": number, "status": status(REJECTED, failure, text)})


def poll_report(number: int, asked_at: datetime, now: datetime) -> bytes:
    """When to come again: soon after a fresh request, at longer and longer intervals after an old one."""
    age = max(0, int((now - asked_at).total_seconds()))
    after = min(_LATEST, max(_SOONEST, age // 10))
    return bytes(asn1.PollRepContent([{"id": number, "check_after": after}]).dump())


def polled_number(message: Message) -> int:
    """The certReqId that a pollReq asks about; ours are about one alone. Raises CmpRefused."""
    content = message.content()
    if len(content) != 1:
        raise CmpRefused(Failure.BAD_REQUEST)
    return int(content[0]["id"].native)


def confirming(implicit: bool, until: datetime) -> Sequence[Mapping[str, Any]]:
    """What an answer's header says of the confirmation: that none is wanted, or until when it must come (RFC 9810
    §5.1.1.1 and §5.1.1.2)."""
    if implicit:
        return ({"type": asn1.IMPLICIT_CONFIRM, "value": core.Null()},)
    return ({"type": asn1.CONFIRM_WAIT_TIME, "value": core.GeneralizedTime(until.replace(microsecond=0))},)


def wants_no_confirmation(message: Message) -> bool:
    """Whether a request's header asks for an implicit confirmation."""
    information = message.header["general_info"]
    if information.native is None:
        return False
    return any(one["type"].dotted == asn1.IMPLICIT_CONFIRM for one in information)


def _response(values: dict[str, Any]) -> bytes:
    return bytes(asn1.CertRepMessage({"responses": [values]}).dump())
