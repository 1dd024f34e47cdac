"""The country's trust list of a home: what the services are, as ETSI TS 119 612, signed by the list's operator."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from foundation.clock import Clock
from foundation.x509.algorithms import sign
from issuing_ca.model import AuthorityKind
from issuing_ca.service import CertificateAuthority
from signing.trust_list import CA, RECOGNISED, TSA, Address, ListedService, TrustListContents, signed_list

TERRITORY = "KH"
_DAYS = 90  # to the next update; a new list is made with each bundle


def make_trust_list(
    ca: CertificateAuthority,
    sequence: int,
    clock: Clock,
    specimen: bool,
    contact: str,
    key: CertificateIssuerPrivateKeyTypes,
    certificate: x509.Certificate,
) -> bytes:
    """The list of the root, the CAs and the timestamping unit, signed. ``sequence``: that of the bundle made with it;
    ``contact``: the operator's e-mail address.
    """
    now = clock.now().replace(microsecond=0)
    mark = "SPECIMEN " if specimen else ""
    authorities = [one for one in ca.authorities.all() if one.kind is not AuthorityKind.ROOT_OCSP]
    chosen: dict[x509.Certificate, str] = {one.root: CA for one in authorities}
    chosen |= {one.certificate: CA for one in authorities}
    chosen[ca.timestamps.certificate()] = TSA
    origin = ca.settings.public_url.rstrip("/")
    contents = TrustListContents(
        territory=TERRITORY,
        sequence=sequence,
        issued=now,
        next_update=now + timedelta(days=_DAYS),
        operator={"en": f"{mark}CamTrust Trust List Operator", "km": f"{mark}ប្រតិបត្តិករបញ្ជីទុកចិត្ត CamTrust"},
        address=Address("-", "Phnom Penh", "KH", (f"mailto:{contact}", f"{origin}/")),
        scheme={
            "en": f"{mark}Trust services recognised in Cambodia",
            "km": f"{mark}សេវាទុកចិត្តដែលទទួលស្គាល់នៅកម្ពុជា",
        },
        information=f"{origin}/",
        notice={
            "en": f"{mark}Recognition at national level. Nothing in this list claims recognition by another country.",
            "km": f"{mark}ការទទួលស្គាល់នៅថ្នាក់ជាតិ។ គ្មានអ្វីក្នុងបញ្ជីនេះអះអាងពីការទទួលស្គាល់ដោយប្រទេសដទៃឡើយ។",
        },
        provider={"en": f"{mark}CamTrust"},
        services=tuple(
            ListedService(kind, {"en": _name(one)}, one, RECOGNISED, one.not_valid_before_utc)
            for one, kind in chosen.items()
        ),
        location=f"{origin}/trust/list.xml",
    )
    return signed_list(contents, certificate, lambda octets: sign(key, octets))


def _name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else certificate.subject.rfc4514_string()
