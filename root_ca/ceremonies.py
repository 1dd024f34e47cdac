"""The specimen ceremony: the files of its five acts, from dates and addresses. For demo, rehearsal and tests.

Officers of a real root write their own files; these show every key of every act.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from foundation.x509.profile import last_second
from root_ca.building import CRL_CPS, profiles
from root_ca.history import twelve_months_after

ROOT_LABEL = "root-ca-1"
AUDIT_LABEL = "root-audit-1"
ORGANISATION = "SPECIMEN CamTrust"


@dataclass(frozen=True)
class Act:
    """One file of the specimen ceremony: its name, its text, and what it makes."""

    file: str
    text: str
    output: str
    transcript: str
    csr: str | None = None


@dataclass(frozen=True)
class Place:
    """Where status and certificates of the root will be found; plain HTTP addresses (RFC 5280 §4.2.1.13)."""

    ocsp: str
    issuer: str
    crl: str


ISSUING_SUBJECT = (("C", "KH"), ("O", ORGANISATION), ("CN", "SPECIMEN CamTrust Issuing CA 1"))
TSA_SUBJECT = (("C", "KH"), ("O", ORGANISATION), ("CN", "SPECIMEN CamTrust Timestamping CA 1"))
OCSP_SUBJECT = (("C", "KH"), ("O", ORGANISATION), ("CN", "SPECIMEN CamTrust Root OCSP 1"))
ROOT_SUBJECT = (("C", "KH"), ("O", ORGANISATION), ("CN", "SPECIMEN CamTrust Root CA 1"))


def specimen_acts(begin: datetime, place: Place, crl_number: int = 1) -> tuple[Act, ...]:
    """The five acts in order: root, issuing CA, timestamping CA, OCSP responder, CRL.

    Requests lie beside them as ``issuing.csr``, ``tsa.csr`` and ``root-ocsp.csr``, with the subjects of this module.
    The last transcript is ``transcript.json``; it continues all others. ``begin`` is aware; seconds are whole.
    """
    begin = begin.astimezone(UTC).replace(microsecond=0)
    return (
        Act("1-root.toml", _root(begin), "root.pem", "1-root.transcript.json"),
        Act(
            "2-issuing.toml",
            _below(begin, "subordinate", "Issuing CA 1", "issuing-ca", 3652, ISSUING_SUBJECT, place, "issuing",
                   "1-root.transcript.json", "2-issuing.transcript.json"),
            "issuing.pem", "2-issuing.transcript.json", "issuing.csr",
        ),
        Act(
            "3-tsa.toml",
            _below(begin, "subordinate", "Timestamping CA 1", "tsa-ca", 5478, TSA_SUBJECT, place, "tsa",
                   "2-issuing.transcript.json", "3-tsa.transcript.json"),
            "tsa.pem", "3-tsa.transcript.json", "tsa.csr",
        ),
        Act(
            "4-root-ocsp.toml",
            _below(begin, "ocsp-responder", "Root OCSP responder 1", "root-ocsp-responder", 397, OCSP_SUBJECT, place,
                   "root-ocsp", "3-tsa.transcript.json", "4-root-ocsp.transcript.json"),
            "root-ocsp.pem", "4-root-ocsp.transcript.json", "root-ocsp.csr",
        ),
        Act(
            "5-root-crl.toml",
            root_crl_act(begin, crl_number, "4-root-ocsp.transcript.json", "root.crl", "transcript.json"),
            "root.crl", "transcript.json",
        ),
    )  # fmt: skip


def root_crl_act(
    this_update: datetime,
    number: int,
    previous: str,
    crl: str,
    transcript: str,
    revoked: Sequence[tuple[int, datetime, str]] = (),
) -> str:
    """The file of a root CRL: valid for twelve months less a day; ``revoked`` holds serial, time and reason."""
    next_update = twelve_months_after(this_update) - timedelta(days=1)
    entries = "".join(
        f'[[crl.revoked]]\nserial = "{serial:x}"\nrevoked_at = {time(at)}\nreason = "{reason}"\n\n'
        for serial, at, reason in revoked
    )
    return f"""\
# One file, one act: publish the root's revocation list.
act = "root-crl"
title = "SPECIMEN: publish root CRL {number}"
previous = "{previous}"

[key]
label = "{ROOT_LABEL}"
audit_label = "{AUDIT_LABEL}"

[crl]
cps = "{CRL_CPS}"
number = {number}
this_update = {time(this_update)}
next_update = {time(next_update)}

{entries}[inputs]
issuer = "root.pem"

[outputs]
crl = "{crl}"
transcript = "{transcript}"
"""


def _root(begin: datetime) -> str:
    return f"""\
# One file, one act: make the root key and its certificate.
act = "root"
title = "SPECIMEN: make root CA 1"

[key]
label = "{ROOT_LABEL}"
audit_label = "{AUDIT_LABEL}"
algorithm = "ec-p384"

[certificate]
profile = "root"
cps = "{profiles()["root"].cps}"
subject = {pairs(ROOT_SUBJECT)}
not_before = {time(begin)}
not_after = {time(last_second(begin, 7305))}

[outputs]
certificate = "root.pem"
transcript = "1-root.transcript.json"
"""


def _below(
    begin: datetime,
    act: str,
    title: str,
    profile: str,
    days: int,
    subject: Sequence[tuple[str, str]],
    place: Place,
    name: str,
    previous: str,
    transcript: str,
) -> str:
    lines = [f'issuer = "{place.issuer}"']
    if act == "subordinate":
        lines += [f'ocsp = "{place.ocsp}"', f'crl = "{place.crl}"']
    addresses = "\n".join(lines)
    return f"""\
# One file, one act: certify one key below the root.
act = "{act}"
title = "SPECIMEN: certify {title}"
previous = "{previous}"

[key]
label = "{ROOT_LABEL}"
audit_label = "{AUDIT_LABEL}"

[certificate]
profile = "{profile}"
cps = "{profiles()[profile].cps}"
subject = {pairs(subject)}
not_before = {time(begin)}
not_after = {time(last_second(begin, days))}

[urls]
{addresses}

[inputs]
csr = "{name}.csr"
issuer = "root.pem"

[outputs]
certificate = "{name}.pem"
transcript = "{transcript}"
"""


def pairs(subject: Sequence[tuple[str, str]]) -> str:
    """A subject as TOML."""
    return "[" + ", ".join(f'["{attribute}", "{value}"]' for attribute, value in subject) + "]"


def time(at: datetime) -> str:
    """A time as TOML."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
