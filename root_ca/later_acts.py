"""Specimen files of the acts in a root's later life: twin, rollover, licence, compromise, end, destruction.

For documentation, rehearsals and tests, like `root_ca.ceremonies`, whose five acts come before these.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from foundation.x509.profile import last_second
from root_ca.building import CRL_CPS, DESTRUCTION_CPS, profiles
from root_ca.ceremonies import AUDIT_LABEL, ORGANISATION, ROOT_LABEL, ROOT_SUBJECT, Place, pairs, time
from root_ca.history import twelve_months_after

TWIN_LABEL, SECOND_LABEL = "root-pq-1", "root-ca-2"
TWIN_SUBJECT = (("C", "KH"), ("O", ORGANISATION), ("CN", "SPECIMEN CamTrust Root PQ 1"))
STATEMENT_SUBJECT = (("C", "KH"), ("O", ORGANISATION), ("CN", "SPECIMEN CamTrust Twin Roots"))
LICENSED_SUBJECT = (("C", "KH"), ("O", "SPECIMEN Other Organisation"), ("CN", "SPECIMEN Other Organisation CA 1"))
Revoked = tuple[int, datetime, str]


def _head(act: str, title: str, previous: str, label: str) -> str:
    return f"""\
# One file, one act.
act = "{act}"
title = "SPECIMEN: {title}"
previous = "{previous}"

[key]
label = "{label}"
audit_label = "{AUDIT_LABEL}"
"""


def _certificate(profile: str, subject: Sequence[tuple[str, str]], begin: datetime, end: datetime) -> str:
    return f"""\
profile = "{profile}"
cps = "{profiles()[profile].cps}"
subject = {pairs(subject)}
not_before = {time(begin)}
not_after = {time(end)}
"""


def twin_root(begin: datetime, previous: str, transcript: str, algorithm: str = "ml-dsa-87") -> str:
    """A post-quantum root beside ``root.pem``, and the statement of both."""
    end = last_second(begin, 7305)
    return f"""\
{_head("twin-root", "make the twin of root CA 1", previous, TWIN_LABEL)}beside = "{ROOT_LABEL}"
algorithm = "{algorithm}"

[certificate]
{_certificate("root", TWIN_SUBJECT, begin, end)}
[statement]
{_certificate("twin-statement", STATEMENT_SUBJECT, begin, end)}\
en = "SPECIMEN. Both roots are operated by SPECIMEN CamTrust, under one CP/CPS."
km = "គំរូ។ ឫសទាំងពីរដំណើរការដោយ SPECIMEN CamTrust ក្រោម CP/CPS តែមួយ។"

[inputs]
issuer = "root.pem"

[outputs]
certificate = "twin.pem"
by_new = "twin-by-new.pem"
by_old = "twin-by-old.pem"
transcript = "{transcript}"
"""


def rollover(begin: datetime, old_ends: datetime, place: Place, previous: str, transcript: str) -> str:
    """A second key under the name of ``root.pem``, with both link certificates (RFC 9810 §4.4).

    ``old_ends``: the last second of the old root.
    """
    link = f"""\
profile = "root-link"
cps = "{profiles()["root-link"].cps}"
not_before = {time(begin)}
not_after = {time(old_ends)}
issuer = "{place.issuer}"
crl = "{place.crl}"
"""
    return f"""\
{_head("rollover", "a new key for root CA 1", previous, SECOND_LABEL)}beside = "{ROOT_LABEL}"
algorithm = "ec-p384"

[certificate]
{_certificate("root", ROOT_SUBJECT, begin, last_second(begin, 7305))}
[old_with_new]
{link}
[new_with_old]
{link}
[inputs]
issuer = "root.pem"

[outputs]
certificate = "root-2.pem"
old_with_new = "old-with-new.pem"
new_with_old = "new-with-old.pem"
transcript = "{transcript}"
"""


def cross_certificate(begin: datetime, place: Place, previous: str, transcript: str) -> str:
    """The first root certifies the key of ``other.pem``, whose request is ``other.csr``: here, its own twin."""
    return f"""\
{_head("cross-certificate", "certify the twin under root CA 1", previous, ROOT_LABEL)}
[certificate]
{_certificate("cross-certificate", TWIN_SUBJECT, begin, last_second(begin, 1826))}
[urls]
ocsp = "{place.ocsp}"
issuer = "{place.issuer}"
crl = "{place.crl}"

[inputs]
csr = "other.csr"
certificate = "other.pem"
issuer = "root.pem"

[outputs]
certificate = "cross.pem"
transcript = "{transcript}"
"""


def licensed_ca(begin: datetime, place: Place, report_sha256: str, previous: str, transcript: str) -> str:
    """Another organisation's CA, by its request ``licensed.csr``, on the audit report ``audit-report.pdf``."""
    return f"""\
{_head("licensed-ca", "license the CA of another organisation", previous, ROOT_LABEL)}
[certificate]
{_certificate("licensed-ca", LICENSED_SUBJECT, begin, last_second(begin, 1826))}
[urls]
ocsp = "{place.ocsp}"
issuer = "{place.issuer}"
crl = "{place.crl}"

[constraints]
o = ["SPECIMEN Other Organisation"]
email = ["other.example"]

[audit]
reference = "SPECIMEN-AUDIT-2026-001"
auditor = "SPECIMEN Conformity Assessment Body"
criteria = "EN 319 411-1 NCP+"
valid_until = {time(begin + timedelta(days=730))}

[service]
en = "SPECIMEN Other Organisation CA"
km = "គំរូ អាជ្ញាធរបញ្ជាក់របស់ស្ថាប័នផ្សេង"
type = "CA/PKC"
since = {time(begin)}

[inputs]
csr = "licensed.csr"
issuer = "root.pem"
audit_report = "audit-report.pdf"
audit_report_sha256 = "{report_sha256}"

[outputs]
certificate = "licensed.pem"
status = "licensed-status.json"
transcript = "{transcript}"
"""


def _crl(number: int, this_update: datetime, dates: str, revoked: Sequence[Revoked]) -> str:
    entries = "".join(
        f'\n[[crl.revoked]]\nserial = "{serial:x}"\nrevoked_at = {time(at)}\nreason = "{reason}"\n'
        for serial, at, reason in revoked
    )
    return f"""\
[crl]
cps = "{CRL_CPS}"
number = {number}
this_update = {time(this_update)}
{dates}
{entries}"""


def emergency_crl(
    at: datetime, number: int, revoked: Sequence[Revoked], previous: str, transcript: str, name: str = "emergency"
) -> str:
    """A CRL out of turn because a key below ``root.pem`` was compromised, and the notice of it."""
    dates = f"next_update = {time(twelve_months_after(at) - timedelta(days=1))}"
    return f"""\
{_head("emergency-crl", "a key below root CA 1 is compromised", previous, ROOT_LABEL)}
{_crl(number, at, dates, revoked)}
[incident]
reference = "SPECIMEN-INCIDENT-001"
detected_at = {time(at - timedelta(hours=6))}
contact = "SPECIMEN trust desk"
en = "SPECIMEN. A key was compromised. Its certificate is revoked."
km = "គំរូ។ សោមួយត្រូវបានគេលួច។ វិញ្ញាបនបត្ររបស់វាត្រូវបានដកហូត។"

[inputs]
issuer = "root.pem"

[outputs]
crl = "{name}.crl"
notice = "{name}-notice.json"
transcript = "{transcript}"
"""


def end_of_ca(
    at: datetime, since: datetime, number: int, revoked: Sequence[Revoked], previous: str, transcript: str
) -> str:
    """The last CRL of ``root.pem``, and the notice of its end. ``since``: the root's first second."""
    return f"""\
{_head("end-of-ca", "the end of root CA 1", previous, ROOT_LABEL)}
{_crl(number, at, f"expired_since = {time(since)}", revoked)}
[notice]
reference = "SPECIMEN-END-001"
effective = {time(at)}
contact = "SPECIMEN trust desk"
en = "SPECIMEN. This root has ended. Its last list stays published; its key is destroyed."
km = "គំរូ។ ឫសនេះបានបញ្ចប់។ បញ្ជីចុងក្រោយរបស់វានៅតែផ្សព្វផ្សាយ ហើយសោរបស់វាត្រូវបានបំផ្លាញ។"

[inputs]
issuer = "root.pem"

[outputs]
crl = "last.crl"
notice = "end-notice.json"
transcript = "{transcript}"
"""


def destroy(previous: str, transcript: str) -> str:
    """The key of ``root.pem`` is destroyed, after its end."""
    return f"""\
{_head("destroy", "destroy the key of root CA 1", previous, ROOT_LABEL)}
[destruction]
cps = "{DESTRUCTION_CPS}"
reason = "ended"
reference = "SPECIMEN-END-001"

[inputs]
issuer = "root.pem"

[outputs]
record = "destroyed.json"
transcript = "{transcript}"
"""
