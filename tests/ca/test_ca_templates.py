"""The issuing CA on templates: used for every profile, and loud where one is refused."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from cryptography import x509

from foundation.x509 import template
from foundation.x509.errors import LintFailed
from foundation.x509.finding import finding
from issuing_ca import drafts, templates
from issuing_ca.model import CertificateState
from tests.ca.ca_world import World
from tests.ca.test_ca_issuance import officer_request


def never(*_: object) -> x509.Certificate:
    raise AssertionError("the builder was asked")


def test_certificates_come_from_templates(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Citizen (policy of the level), officer, and the service's own units: none of them comes from the builder."""
    monkeypatch.setattr(templates, "throwaway_sign", never)
    world = small_world
    world.citizen()
    world.ca.issue_now(officer_request(world))
    world.ca.timestamps.certificate()
    world.ca.units.ocsp_responder(world.ca.authorities.get("issuing"))
    assert world.ca.issuance.templates.refused == ()


def test_a_refused_template_is_told_and_the_builder_serves(
    small_world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A template that differs from the builder is not used: an error in the log, the name in `refused`, a good
    certificate all the same."""
    world = small_world
    monkeypatch.setattr(template, "key_identifier_of", lambda _: bytes(20))
    with caplog.at_level(logging.ERROR):
        issued = world.ca.issue_now(officer_request(world))
        world.ca.issue_now(officer_request(world, "officer-2"))
    told = [record.getMessage() for record in caplog.records if "template" in record.getMessage()]
    assert len(told) == 1
    assert "officer under issuing" in told[0]
    assert world.ca.issuance.templates.refused == ("issuing/officer",)
    issued.certificate.verify_directly_issued_by(world.ca.authorities.get("issuing").certificate)
    identifier = issued.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert identifier != bytes(20)


def test_what_the_lint_finds_is_not_signed(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template is linted like everything else, before anything is reserved: the token is never asked."""
    world = small_world
    seen: list[x509.Certificate] = []

    def refuse(certificate: x509.Certificate, *_: object) -> None:
        seen.append(certificate)
        raise LintFailed([finding("X509-SERIAL-SIZE", "for the test")])

    monkeypatch.setattr(drafts, "require_clean", refuse)
    world.keys.before = lambda operation: pytest.fail(f"the token was asked to {operation}")
    with pytest.raises(LintFailed):
        world.ca.issue_now(officer_request(world))
    assert b"not a signature" in seen[0].signature
    assert world.ca.certificates() == ()


def test_levels_have_templates_of_their_own(small_world: World) -> None:
    """Two levels, one after the other and again: each certificate has the policy of its own level."""
    world = small_world
    for level in ("low", "high", "low", "high"):
        issued = world.ca.issue_citizen(world.approved(replace(world.person(), level=level)))
        policies = issued.certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
        assert [one.policy_identifier.dotted_string for one in policies] == [world.ca.settings.policies[level]]
        assert world.ca.certificate(issued.serial).state is CertificateState.ISSUED
