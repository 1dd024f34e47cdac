"""Certificates by splicing: a profile and an issuer compile once into a DER template; each certificate fills its slots.

Compiling builds a specimen with the readable builder (`foundation.x509.certificate`) and cuts it up: version, signature
algorithm, issuer and every extension that does not depend on the subject are kept as octets. Serial number, validity,
subject, public key, subject key identifier and subject alternative name are spliced in. Before it gives a template
away, the compiler proves it: on specimens of every kind (`foundation.x509.template_specimens`) it must give the same
to-be-signed octets as the builder. One octet more or less, and there is no template: TemplateRefused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPublicKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.x509.oid import ExtensionOID

from foundation.x509 import der
from foundation.x509.certificate import (
    CertificateInput,
    Urls,
    certificate_builder,
    check_holder,
    key_identifier_of,
    throwaway_sign,
)
from foundation.x509.errors import TemplateRefused, X509Error
from foundation.x509.names import SubjectName
from foundation.x509.profile import Profile
from foundation.x509.template_specimens import specimens

_SKI = der.oid(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
_SAN = der.oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
_SKI_OCTETS = 20
# No signature algorithm makes this: a certificate that carries it can be read and linted, and never be taken for one.
_DUMMY_SIGNATURE = der.bit_string(b"not a signature: for the lint alone")


@dataclass(frozen=True)
class Issuer:
    """What a certificate takes from who issues it. ``key_identifier``: the SKI of the issuer's own certificate."""

    name: x509.Name
    public_key: CertificateIssuerPublicKeyTypes
    urls: Urls
    key_identifier: bytes | None = None

    def input(
        self,
        profile: Profile,
        subject: x509.Name | SubjectName,
        public_key: CertificatePublicKeyTypes,
        serial: int,
        not_before: datetime,
        not_after: datetime,
        san: tuple[x509.GeneralName, ...] = (),
        encoded_key: bytes | None = None,
    ) -> CertificateInput:
        """The input of one certificate, for the template and for the builder."""
        return CertificateInput(
            profile,
            subject,
            public_key,
            serial,
            not_before,
            not_after,
            self.name,
            self.public_key,
            self.urls,
            san,
            self.key_identifier,
            encoded_key=encoded_key,
        )


@dataclass(frozen=True)
class Template:
    """A proved template; :func:`compile_template` makes it. The parts are DER as the builder made them."""

    profile: Profile
    issuer: Issuer
    algorithm: bytes  # AlgorithmIdentifier of the issuer's signatures, the inner and the outer one
    version: bytes
    algorithm_and_issuer: bytes
    before_key_identifier: bytes  # extensions up to the octets of the SKI
    before_alternative_name: bytes  # those between the SKI and the place of the SAN
    after_alternative_name: bytes

    def tbs(self, given: CertificateInput) -> bytes:
        """The TBSCertificate (RFC 5280 §4.1), the same octets as `certificate_builder` would have signed.

        ProfileMismatch where what is given does not fit the profile; TemplateRefused for another profile or issuer
        (whose key fits the profile: the builder took it when the template was compiled).
        """
        self._require_own(given)
        check_holder(given)
        key = given.public_key_info
        content = b"".join(
            (
                self.version,
                der.integer(given.serial),
                self.algorithm_and_issuer,
                der.tlv(der.SEQUENCE, der.time(_utc(given.not_before)) + der.time(_utc(given.not_after))),
                given.subject_der,
                key,
                self._extensions(key_identifier_of(key), given.san),
            )
        )
        return der.tlv(der.SEQUENCE, content)

    @cached_property
    def _without_alternative_name(self) -> tuple[bytes, bytes]:
        """All extensions of a certificate without a SAN, before and after the octets of the SKI."""
        whole = self._extensions_of(bytes(_SKI_OCTETS), b"")
        after = self.before_alternative_name + self.after_alternative_name
        return whole[: len(whole) - len(after) - _SKI_OCTETS], after

    def _extensions(self, key_identifier: bytes, san: tuple[x509.GeneralName, ...]) -> bytes:
        if san:
            return self._extensions_of(key_identifier, _alternative_name(san))
        before, after = self._without_alternative_name
        return before + key_identifier + after

    def _extensions_of(self, key_identifier: bytes, alternative_name: bytes) -> bytes:
        extensions = b"".join(
            (
                self.before_key_identifier,
                key_identifier,
                self.before_alternative_name,
                alternative_name,
                self.after_alternative_name,
            )
        )
        return der.explicit(3, der.tlv(der.SEQUENCE, extensions))

    def _require_own(self, given: CertificateInput) -> None:
        own = self.issuer
        same = (
            (given.profile is self.profile or given.profile == self.profile)
            and (given.issuer_name is own.name or given.issuer_name == own.name)
            and (given.issuer_public_key is own.public_key or given.issuer_public_key == own.public_key)
            and (given.urls is own.urls or given.urls == own.urls)
            and given.issuer_key_identifier == own.key_identifier
        )
        if not same:
            raise TemplateRefused(
                profile=given.profile.name, reason="it was asked for a certificate of another profile or issuer"
            )


def compile_template(profile: Profile, issuer: Issuer) -> Template:
    """A template of this profile under this issuer, proved equal to the builder.

    TemplateRefused where it is not, and where it cannot be proved: the issuer does not fit the profile (its key's
    algorithm, a missing address), or no specimen does.
    """
    try:
        inputs = tuple(issuer.input(profile, *specimen) for specimen in specimens(profile))
        template = _cut(inputs[0], issuer)
        proved = all(template.tbs(given) == built(given) for given in inputs)
    except (X509Error, ValueError) as error:
        raise TemplateRefused(profile=profile.name, reason="no specimen of it can be made") from error
    if not proved:
        raise TemplateRefused(profile=profile.name, reason="its octets are not those of the builder")
    return template


def built(given: CertificateInput) -> bytes:
    """The TBSCertificate as the builder makes it: what a template is held against."""
    return throwaway_sign(certificate_builder(given), given.issuer_public_key).tbs_certificate_bytes


def unsigned_certificate(tbs: bytes, algorithm: bytes) -> x509.Certificate:
    """A TBSCertificate under a fixed dummy signature that verifies under no key: to lint before signing."""
    return x509.load_der_x509_certificate(unsigned_octets(tbs, algorithm))


def unsigned_octets(tbs: bytes, algorithm: bytes) -> bytes:
    """The same as DER, which is not read."""
    return der.sequence((tbs, algorithm, _DUMMY_SIGNATURE))


def algorithm_and_issuer_of(tbs: bytes) -> bytes:
    """What a TBSCertificate of version 3 says of who signs it: signature and issuer (RFC 5280 §4.1.2.3, §4.1.2.4), DER,
    one behind the other. ValueError where it is cut short."""
    _, at, _ = der.read(tbs)
    for _ in range(2):  # version, serialNumber
        _, _, at = der.read(tbs, at)
    _, _, issuer = der.read(tbs, at)
    return tbs[at : der.read(tbs, issuer)[2]]


def signed_octets(tbs: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """Certificate ::= SEQUENCE of the TBSCertificate, the AlgorithmIdentifier and the signature (RFC 5280 §4.1.1), DER.

    The signature is not verified here.
    """
    return der.sequence((tbs, algorithm, der.bit_string(signature)))


def _cut(given: CertificateInput, issuer: Issuer) -> Template:
    """The template that a specimen of the builder's falls into; its SAN, if the profile has one, marks the place."""
    version, _, algorithm, name, _, _, _, tagged = der.children(built(given))
    before, between, after = bytearray(), bytearray(), bytearray()
    part = before
    for extension in der.children(der.children(tagged)[0]):
        identifier = der.children(extension)[0]
        if identifier == _SKI:
            before += extension[:-_SKI_OCTETS]
            part = between
        elif identifier == _SAN:
            part = after
        else:
            part += extension
    return Template(
        profile=given.profile,
        issuer=issuer,
        algorithm=algorithm,
        version=version,
        algorithm_and_issuer=algorithm + name,
        before_key_identifier=bytes(before),
        before_alternative_name=bytes(between),
        after_alternative_name=bytes(after),
    )


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def _alternative_name(names: tuple[x509.GeneralName, ...]) -> bytes:
    """SubjectAltName, not critical because no subject of ours is empty (RFC 5280 §4.2.1.6)."""
    return der.sequence((_SAN, der.octet_string(x509.SubjectAlternativeName(names).public_bytes())))
