"""Certificates of a changeable profile, for tests of builder and lint."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.x509.algorithms import key_algorithm, throwaway_key
from foundation.x509.certificate import CertificateInput, Urls, certificate_builder, extensions
from foundation.x509.names import subject_name
from foundation.x509.profile import Profile, last_second, load_profiles, parse_profile

ROOT_PROFILES = load_profiles(files("root_ca").joinpath("profiles.toml").read_text(encoding="utf-8"))
CA_PROFILES = load_profiles(files("issuing_ca").joinpath("profiles.toml").read_text(encoding="utf-8"))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
URLS = Urls("http://ocsp.example.kh/ocsp", "http://ca.example.kh/aia/ca.cer", "http://ca.example.kh/crl/ca.crl")
SERIAL = 1 << 126 | 0x1234
ISSUER_KEY = ec.generate_private_key(ec.SECP384R1())
SUBJECT_KEY = ec.generate_private_key(ec.SECP256R1())
ISSUER_NAME = subject_name([("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Root")])

VALUES = {
    "C": "KH", "ST": "Kandal", "L": "Phnom Penh", "O": "SPECIMEN CamTrust", "organizationIdentifier": "GO:KH-000000",
    "OU": "SPECIMEN Unit", "businessCategory": "GOV", "title": "Officer", "CN": "SPECIMEN Subject",
    "surname": "SPECIMEN", "givenName": "SPECIMEN", "pseudonym": "SPECIMEN", "serialNumber": "CT:KH-0001",
}  # fmt: skip


def changed(profile: Profile, **tables: Any) -> Profile:
    """A profile with tables replaced; None removes one."""
    data = copy.deepcopy(profile.data())
    for name, table in tables.items():
        if table is None:
            data.pop(name, None)
        else:
            data[name] = {"clause": "test", **table} if isinstance(table, dict) else table
    return parse_profile(data)


def subject_of(profile: Profile) -> x509.Name:
    """A subject with every attribute of the profile."""
    return subject_name([(name, profile.subject.fixed.get(name, VALUES[name])) for name in profile.subject.order])


NAME_CONSTRAINTS = x509.NameConstraints([x509.DNSName("specimen.example")], None)


def given_for(profile: Profile, **values: Any) -> CertificateInput:
    """A fitting input for a profile; ``values`` replaces parts of it."""
    wanted = next(
        (key for key in (SUBJECT_KEY, ISSUER_KEY) if key_algorithm(key.public_key()) in profile.key.algorithms), None
    )
    public_key = wanted.public_key() if wanted else throwaway_key(profile.key.algorithms[0]).public_key()
    rule = profile.subject_alternative_name
    given = CertificateInput(
        profile=profile,
        subject=subject_of(profile),
        public_key=public_key,
        serial=SERIAL,
        not_before=BEGIN,
        not_after=last_second(BEGIN, 30),
        issuer_name=ISSUER_NAME,
        issuer_public_key=ISSUER_KEY.public_key(),
        urls=URLS,
        san=(x509.DNSName("specimen.example"),) if rule and rule.presence == "required" else (),
        name_constraints=NAME_CONSTRAINTS if profile.name_constraints else None,
        statement=b"SPECIMEN statement" if profile.statement else None,
    )
    return replace(given, **values)


def built(profile: Profile, **values: Any) -> x509.CertificateBuilder:
    return certificate_builder(given_for(profile, **values))


def signed_freely(given: CertificateInput, hash_algorithm: Any, **replaced: Any) -> x509.Certificate:
    """A certificate that need not fit any profile: the parts of ``given``, each replaceable, straight to the library.

    ``replaced``: subject, issuer, public_key, serial, not_before, not_after, extensions (pairs), key.
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(replaced.get("subject", given.subject))
        .issuer_name(replaced.get("issuer", given.issuer_name))
        .public_key(replaced.get("public_key", given.public_key))
        .serial_number(replaced.get("serial", given.serial))
        .not_valid_before(replaced.get("not_before", given.not_before))
        .not_valid_after(replaced.get("not_after", given.not_after))
    )
    for extension, critical in replaced.get("extensions", extensions(given)):
        builder = builder.add_extension(extension, critical)
    return builder.sign(replaced.get("key", ISSUER_KEY), hash_algorithm)
