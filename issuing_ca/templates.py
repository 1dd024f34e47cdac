"""The to-be-signed certificates of this room: from proved templates, and from the builder where there is none.

A template is compiled, and proved equal to the builder, when a profile is first asked for under an authority. One that
is refused is told in the log and by :attr:`Templates.refused`; certificates of that profile then come from the builder
until the process starts anew.
"""

from __future__ import annotations

import logging
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509.certificate import CertificateInput, Urls, certificate_builder, throwaway_sign
from foundation.x509.errors import TemplateRefused
from foundation.x509.names import SubjectName
from foundation.x509.profile import PoliciesRule, Profile
from foundation.x509.template import Issuer, Template, compile_template, unsigned_octets
from issuing_ca.crl_scopes import FULL, crl_url, partition_of
from issuing_ca.model import Authority

_log = logging.getLogger(__name__)

_MOST = 8192  # a handful of policies, up to 256 partitions; whatever else asks cannot fill the memory


class Templates:
    """Gives what is to be linted and signed."""

    def __init__(self, public_url: str, crl_partitions: int = 0) -> None:
        self._base = public_url.rstrip("/")
        self._partitions = crl_partitions
        self._profiles: dict[tuple[str, tuple[str, ...]], Profile] = {}
        self._issuers: dict[tuple[str, str], Issuer] = {}
        self._templates: dict[tuple[str, str, tuple[str, ...], str], Template | None] = {}

    @property
    def refused(self) -> tuple[str, ...]:
        """``authority/profile`` of every template that was refused: the builder serves in its place."""
        refused = {f"{authority}/{name}" for (authority, name, *_), it in tuple(self._templates.items()) if it is None}
        return tuple(sorted(refused))

    def profile(self, profile: Profile, policies: tuple[str, ...]) -> Profile:
        """The profile with these policies in place of its own: the assurance level decides them."""
        if not policies:
            return profile
        known = self._profiles.get((profile.name, policies))
        if known is None:
            rule = PoliciesRule(
                clause=profile.policies.clause if profile.policies else "RFC 5280 §4.2.1.4",
                oids=policies,
                cps_uri=profile.policies.cps_uri if profile.policies else None,
            )
            known = profile.model_copy(update={"policies": rule})
            if len(self._profiles) >= _MOST:
                self._profiles.clear()
            self._profiles[profile.name, policies] = known
        return known

    def draft(
        self,
        authority: Authority,
        profile: Profile,
        subject: SubjectName,
        public_key: CertificatePublicKeyTypes,
        serial: int,
        not_before: datetime,
        not_after: datetime,
        alternative_names: tuple[x509.GeneralName, ...] = (),
        encoded_key: bytes | None = None,
    ) -> tuple[CertificateInput, bytes]:
        """The input, and the certificate (DER) to be linted, under no real signature; its TBS is what gets signed.

        Raises ProfileMismatch.
        """
        scope = partition_of(serial, self._partitions) if self._partitions else FULL
        issuer = self._issuer(authority, scope)
        given = issuer.input(
            profile, subject, public_key, serial, not_before, not_after, alternative_names, encoded_key
        )
        template = self._template(authority, profile, issuer, scope)
        if template is None:
            return given, throwaway_sign(certificate_builder(given), issuer.public_key).public_bytes(Encoding.DER)
        return given, unsigned_octets(template.tbs(given), template.algorithm)

    def _template(self, authority: Authority, profile: Profile, issuer: Issuer, scope: str) -> Template | None:
        place = (authority.name, profile.name, profile.policies.oids if profile.policies else (), scope)
        try:
            return self._templates[place]
        except KeyError:
            pass
        template: Template | None = None
        try:
            template = compile_template(profile, issuer)
        except TemplateRefused as error:
            _log.error(
                "no template for %s under %s, the builder serves: %s (%r)",
                profile.name,
                authority.name,
                error,
                error.__cause__,
            )
        if len(self._templates) >= _MOST:
            self._templates.clear()
        self._templates[place] = template
        return template

    def _issuer(self, authority: Authority, scope: str) -> Issuer:
        known = self._issuers.get((authority.name, scope))
        if known is None:
            certificate, base, name = authority.certificate, self._base, authority.name
            known = Issuer(
                name=certificate.subject,
                public_key=certificate.public_key(),  # type: ignore[arg-type]
                urls=Urls(f"{base}/ocsp", f"{base}/aia/{name}.cer", crl_url(base, name, scope)),
                key_identifier=certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest,
            )
            self._issuers[name, scope] = known
        return known
