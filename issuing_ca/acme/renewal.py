"""When to renew (RFC 9773), and which certificate an order replaces."""

from __future__ import annotations

import re
from datetime import timedelta

from cryptography import x509

from foundation.clock import Clock
from foundation.errors import CamTrustError
from issuing_ca.acme.errors import Malformed, ResourceUnknown
from issuing_ca.acme.jose import decoded
from issuing_ca.acme.model import RenewalInfo
from issuing_ca.model import CertificateRecord, CertificateState, serial_text
from issuing_ca.service import CertificateAuthority

ASK_AGAIN = timedelta(hours=6)
_IDENTIFIER = re.compile(r"([A-Za-z0-9_-]{1,60})\.([A-Za-z0-9_-]{1,28})")


def replaced_certificate(ca: CertificateAuthority, authority: str, identifier: object) -> CertificateRecord:
    """The certificate of this CA with this identifier (RFC 9773 §4.1). Raises Malformed, ResourceUnknown."""
    parts = _IDENTIFIER.fullmatch(identifier) if isinstance(identifier, str) else None
    if parts is None:
        raise Malformed(what="certificate identifier")
    key_identifier, serial = decoded(parts[1], "certificate identifier"), decoded(parts[2], "certificate identifier")
    number = int.from_bytes(serial, "big", signed=True)
    if number <= 0 or len(serial) != number.bit_length() // 8 + 1:
        raise Malformed(what="certificate identifier")
    try:
        record = ca.certificate(serial_text(number))
        issuer = ca.authorities.get(record.authority).certificate
    except CamTrustError:
        raise ResourceUnknown from None
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    if own != key_identifier or record.certificate is None or record.authority != authority:
        raise ResourceUnknown
    return record


def renewal_info(ca: CertificateAuthority, authority: str, identifier: str, clock: Clock) -> RenewalInfo:
    """The window: the last third of the lifetime, a tenth of it wide; at once where the certificate is not good.

    Raises Malformed, ResourceUnknown.
    """
    record, now = replaced_certificate(ca, authority, identifier), clock.now().replace(microsecond=0)
    if record.state is not CertificateState.ISSUED:
        return RenewalInfo(now - timedelta(days=1), now - timedelta(minutes=1))
    lifetime = record.not_after - record.not_before
    start = (record.not_before + lifetime * 2 / 3).replace(microsecond=0)
    return RenewalInfo(start, (start + lifetime / 10).replace(microsecond=0))
