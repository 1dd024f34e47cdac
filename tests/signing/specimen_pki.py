"""A small PKI for the signing tests: root, issuing CA, OCSP responder, TSA CA and unit, all with keys of this process.

The timestamp authority and the status source are real in what they make: signed tokens, CRLs and OCSP responses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from asn1crypto import algos, cms, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from pyhanko.sign.general import as_signing_certificate_v2

from foundation.clock import Clock
from foundation.keys.port import KeyInfo
from signing.model import Signatory

# Verifiers look for status only where a certificate says that there is some; nobody ever asks at these addresses.
_OCSP = x509.AccessDescription(
    AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://specimen.invalid/ocsp")
)
_CRL = x509.DistributionPoint([x509.UniformResourceIdentifier("http://specimen.invalid/crl")], None, None, None)
_ADDRESSES = (
    (x509.AuthorityInformationAccess([_OCSP]), False),
    (x509.CRLDistributionPoints([_CRL]), False),
)


def name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "KH"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SPECIMEN CamTrust"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"SPECIMEN {common_name}"),
        ]
    )


def key_usage(**given: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{one: given.get(one, False) for one in names})


@dataclass
class Authority:
    """A CA: its certificate, its key, and what it revoked."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    revoked: dict[int, datetime] = field(default_factory=dict)

    def certify(
        self,
        public_key: CertificatePublicKeyTypes,
        subject: x509.Name,
        now: datetime,
        *extensions: tuple[x509.ExtensionType, bool],
        days: int = 365,
    ) -> x509.Certificate:
        return certificate(
            self.certificate.subject, self.key, public_key, subject, now, (*extensions, *_ADDRESSES), days
        )

    def crl(self, now: datetime) -> bytes:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(now + timedelta(days=30))
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for serial, at in self.revoked.items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hash_of(self.key)).public_bytes(Encoding.DER)


def hash_of(key: ec.EllipticCurvePrivateKey) -> hashes.HashAlgorithm:
    return hashes.SHA384() if key.curve.name == "secp384r1" else hashes.SHA256()


def certificate(
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    public_key: CertificatePublicKeyTypes,
    subject: x509.Name,
    now: datetime,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    days: int,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hash_of(key))


_CA = (
    (x509.BasicConstraints(ca=True, path_length=None), True),
    (key_usage(key_cert_sign=True, crl_sign=True), True),
)


class SpecimenPki:
    """The authorities, and the two services that signing asks."""

    def __init__(self, clock: Clock) -> None:
        now = clock.now()
        root_key = ec.generate_private_key(ec.SECP384R1())
        root = certificate(name("Root"), root_key, root_key.public_key(), name("Root"), now, _CA, 3650)
        self.clock = clock
        self.root = Authority(root, root_key)
        self.issuing = self._below_root("Issuing CA", now)
        self.tsa_ca = self._below_root("TSA CA", now)
        self.timestamps = SpecimenTsa(self.tsa_ca, root, clock)
        self.status = SpecimenStatus((self.root, self.issuing, self.tsa_ca), self.issuing, clock)

    def _below_root(self, common_name: str, now: datetime) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        return Authority(self.root.certify(key.public_key(), name(common_name), now, *_CA, days=1800), key)

    def signatory(self, info: KeyInfo, common_name: str = "Citizen", days: int = 365) -> Signatory:
        """A certificate for signing over a token's key."""
        public_key = load_der_public_key(info.public_key)
        issued = self.issuing.certify(
            public_key,
            name(common_name),
            self.clock.now(),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage(content_commitment=True), True),
            days=days,
        )
        return Signatory(info.key_id, issued, (self.issuing.certificate, self.root.certificate))


class SpecimenTsa:
    """A timestamp authority, RFC 3161, ECDSA P-256."""

    def __init__(self, authority: Authority, root: x509.Certificate, clock: Clock) -> None:
        self._above = (authority.certificate, root)
        self._authority = authority
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._clock = clock
        self.skew = timedelta(0)
        self.calls = 0
        self.certify(days=365)

    def certify(self, days: int) -> None:
        """A new certificate for the unit, which takes the place of the one before."""
        self.unit = self._authority.certify(
            self._key.public_key(),
            name("TSA unit"),
            self._clock.now(),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage(digital_signature=True), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True),
            days=days,
        )

    def certificates(self) -> Sequence[x509.Certificate]:
        return self._above

    def token(self, imprint: bytes, hash_name: str) -> bytes:
        self.calls += 1
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "2.999.116.4",
                "message_imprint": {"hash_algorithm": {"algorithm": hash_name}, "hashed_message": imprint},
                "serial_number": self.calls,
                "gen_time": self._clock.now() + self.skew,
            }
        ).dump()
        unit = asn1_x509.Certificate.load(self.unit.public_bytes(Encoding.DER))
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(info).digest()]}),
                cms.CMSAttribute({"type": "signing_certificate_v2", "values": [as_signing_certificate_v2(unit)]}),
            ]
        )
        signer = {
            "version": "v1",
            "sid": {"issuer_and_serial_number": {"issuer": unit.issuer, "serial_number": unit.serial_number}},
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self._key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
        signed = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [algos.DigestAlgorithm({"algorithm": "sha256"})],
                "encap_content_info": {"content_type": "tst_info", "content": cms.ParsableOctetString(info)},
                "certificates": [cms.CertificateChoices("certificate", value=unit)],
                "signer_infos": [signer],
            }
        )
        return cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump()


class SpecimenStatus:
    """OCSP for the issuing CA through a delegated responder, CRLs for all. ``age`` makes the answers older."""

    def __init__(self, authorities: Sequence[Authority], issuing: Authority, clock: Clock) -> None:
        self._authorities = {one.certificate.subject: one for one in authorities}
        self._issuing = issuing
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.age = timedelta(0)
        self.calls: list[datetime] = []
        self.responder = issuing.certify(
            self._key.public_key(),
            name("OCSP responder"),
            clock.now(),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage(digital_signature=True), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
            (x509.OCSPNoCheck(), False),
        )

    def ocsp(self, certificate: x509.Certificate) -> bytes | None:
        if certificate.issuer != self._issuing.certificate.subject:
            return None
        now = self._clock.now() - self.age
        self.calls.append(now)
        revoked_at = self._issuing.revoked.get(certificate.serial_number)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=self._issuing.certificate,
            algorithm=hashes.SHA256(),
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked_at else ocsp.OCSPCertStatus.GOOD,
            this_update=now,
            next_update=now + timedelta(days=1),
            revocation_time=revoked_at,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked_at else None,
        )
        signed = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.responder).certificates([self.responder])
        return signed.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def crl(self, issuer: x509.Certificate) -> bytes | None:
        authority = self._authorities.get(issuer.subject)
        return authority.crl(self._clock.now()) if authority else None
