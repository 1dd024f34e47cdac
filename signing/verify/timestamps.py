"""RFC 3161 timestamp tokens: is this one well made, about these octets, by a unit that may make them?

    T1  a CMS signature over TSTInfo, correct by `signing.verify.cms` (SHA-1 certificate ids count here)  CMS-…
    T2  TSTInfo version 1, no critical extension                                     RFC 3161 §2.4.2     TST-FORM
    T3  the imprint is the digest of what was timestamped, by an algorithm that counts                   TST-IMPRINT
    T4  the unit's certificate: extendedKeyUsage critical, id-kp-timeStamping alone  RFC 3161 §2.3       TST-PURPOSE

Whether the unit is trusted, and what the time proves, is judged in `signing.verify.verdict`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import tsp
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from foundation.x509.errors import UNREADABLE
from signing.verify.cms import DIGESTS, TST_INFO, CmsMalformed, check_message, read_message
from signing.verify.model import About, Indication, Reason, SubIndication, about, failed, indeterminate
from signing.verify.policy import Policy


@dataclass(frozen=True)
class Timestamp:
    """A token that passed T1-T4. ``sha256`` is that of its DER; ``certificates`` are those inside, not judged."""

    time: datetime
    unit: x509.Certificate
    policy: str
    certificates: tuple[x509.Certificate, ...]
    sha256: str


@dataclass(frozen=True)
class TimestampProblem:
    """Why a token does not count, and what it says of itself where that could be read."""

    reasons: tuple[Reason, ...]
    unit: x509.Certificate | None = None
    time: datetime | None = None


def check_token(
    octets: bytes, digest_of: Callable[[str], bytes], policy: Policy, *, padded: bool = False
) -> Timestamp | TimestampProblem:
    """T1-T4. ``digest_of`` gives the digest of what was timestamped by a hash's name. Raises nothing."""
    try:
        message = read_message(octets, padded=padded)
        if message.content is None or message.content_type != TST_INFO:
            raise CmsMalformed("TST-FORM")
        info = _read_info(message.content)
    except CmsMalformed as error:
        return TimestampProblem(about(About.TIMESTAMP, (_malformed(error.rule),)))
    content = message.content
    check = check_message(
        message, lambda name: hashlib.new(name, content).digest(), TST_INFO, policy, sha1_certificate_id=True
    )
    reasons = list(check.reasons)  # T1
    if info.version != 1 or info.critical:  # T2
        reasons.append(_malformed("TST-FORM"))
    if info.digest_name not in policy.digests:  # T3
        reasons.append(
            indeterminate(
                "TST-IMPRINT",
                "EN 319 102-1 §5.4",
                "verify_algorithm",
                SubIndication.CRYPTO_CONSTRAINTS_FAILURE,
            )
        )
    elif info.imprint != digest_of(info.digest_name):
        reasons.append(failed("TST-IMPRINT", "EN 319 102-1 §5.4.4", "verify_hash_failure", SubIndication.HASH_FAILURE))
    if check.signer is not None and not _may_timestamp(check.signer):  # T4
        reasons.append(
            indeterminate("TST-PURPOSE", "RFC 3161 §2.3", "verify_tsa_purpose", SubIndication.CHAIN_CONSTRAINTS_FAILURE)
        )
    if check.signer is None or any(one.indication is not Indication.TOTAL_PASSED for one in reasons):
        return TimestampProblem(about(About.TIMESTAMP, reasons), check.signer, info.time)
    return Timestamp(
        info.time, check.signer, info.policy, message.certificates, hashlib.sha256(_token(octets)).hexdigest()
    )


def _token(octets: bytes) -> bytes:
    return octets.rstrip(b"\x00")


def _malformed(rule: str) -> Reason:
    return failed(rule, "RFC 3161 §2.4.2", "verify_format_failure", SubIndication.FORMAT_FAILURE)


@dataclass(frozen=True)
class _Info:
    version: int
    time: datetime
    policy: str
    digest_name: str | None
    imprint: bytes
    critical: bool


def _read_info(octets: bytes) -> _Info:
    try:
        info: Any = tsp.TSTInfo.load(octets, strict=True)
        time = info["gen_time"].native
        imprint = info["message_imprint"]
        return _Info(
            version=int(info["version"].contents[-1]),
            time=time.astimezone(UTC),
            policy=info["policy"].dotted,
            digest_name=DIGESTS.get(imprint["hash_algorithm"]["algorithm"].dotted),
            imprint=imprint["hashed_message"].native,
            critical=any(one["critical"].native for one in info["extensions"] or ()),
        )
    except Exception as error:  # asn1crypto raises ValueError, TypeError, KeyError and more
        raise CmsMalformed("TST-FORM") from error


def _may_timestamp(certificate: x509.Certificate) -> bool:
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
    return purposes.critical and list(purposes.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
