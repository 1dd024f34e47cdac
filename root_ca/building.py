"""What an act signs, from its file and inputs alone: the same function serves signing and verifying, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes, CertificatePublicKeyTypes

from foundation.x509.certificate import CertificateInput, Urls, certificate_builder
from foundation.x509.crl import crl_tbs, encode_entry
from foundation.x509.names import subject_name
from foundation.x509.profile import Profile, load_profiles
from root_ca.model import RootAct, RootCrlAct, SubordinateAct

# Which profiles an act may use.
PROFILES_OF_ACT = {
    "root": ("root",),
    "subordinate": ("issuing-ca", "tsa-ca"),
    "ocsp-responder": ("root-ocsp-responder",),
}
CRL_CPS = "CP/CPS 7.2"


@cache
def profiles() -> Mapping[str, Profile]:
    """The root's profiles (`root_ca/profiles.toml`)."""
    return load_profiles(files("root_ca").joinpath("profiles.toml").read_text(encoding="utf-8"))


def urls(act: SubordinateAct) -> Urls:
    return Urls(ocsp=act.urls.ocsp, issuer=act.urls.issuer, crl=act.urls.crl)


def wanted_urls(profile: Profile) -> set[str]:
    """The addresses that certificates of a profile name."""
    access = profile.authority_information_access
    rows = {
        "ocsp": access is not None and access.ocsp,
        "issuer": access is not None and access.issuer,
        "crl": profile.crl_distribution_points is not None,
    }
    return {name for name, wanted in rows.items() if wanted}


def root_builder(
    act: RootAct, profile: Profile, public_key: CertificateIssuerPublicKeyTypes, serial: int
) -> x509.CertificateBuilder:
    """The root's own certificate, to be signed."""
    part = act.certificate
    name = subject_name(part.subject)
    return certificate_builder(
        CertificateInput(profile, name, public_key, serial, part.not_before, part.not_after, name, public_key)
    )


def subordinate_builder(
    act: SubordinateAct, profile: Profile, public_key: CertificatePublicKeyTypes, serial: int, issuer: x509.Certificate
) -> x509.CertificateBuilder:
    """The certificate of a CA or responder below the root, to be signed."""
    part = act.certificate
    issuer_key = issuer.public_key()
    return certificate_builder(
        CertificateInput(
            profile=profile,
            subject=subject_name(part.subject),
            public_key=public_key,
            serial=serial,
            not_before=part.not_before,
            not_after=part.not_after,
            issuer_name=issuer.subject,
            issuer_public_key=issuer_key,  # type: ignore[arg-type]  # a root of ours: checked by ROOT-ISSUER
            urls=urls(act),
        )
    )


def root_crl_tbs(act: RootCrlAct, issuer: x509.Certificate) -> bytes:
    """The root's CRL, to be signed."""
    part = act.crl
    return crl_tbs(
        issuer, part.number, part.this_update, part.next_update, [encode_entry(item.entry()) for item in part.revoked]
    )
