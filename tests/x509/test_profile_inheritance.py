"""Profiles that extend others: what is inherited, what is replaced, and what is refused."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from cryptography import x509

from foundation.x509.errors import ProfileInvalid, ProfileMismatch
from foundation.x509.profile import load_profiles
from tests.x509.x509_world import CA_PROFILES, built

BASE = """
[base]
abstract = true
specimen = true
cps = "1.1"
title = "Base"
subject = {clause = "test", order = ["O", "CN"]}
key = {clause = "test", algorithms = ["ec-p256"]}
signature = {clause = "test", algorithms = ["ec-p384"]}
validity = {clause = "test", max_days = 10}
basic_constraints = {clause = "test", ca = false}
key_usage = {clause = "test", bits = ["digitalSignature"]}
subject_key_identifier = {clause = "test", method = "rfc7093-1"}
policies = {clause = "test", oids = ["2.999.116.7"]}
"""


def test_a_table_is_inherited_replaced_or_left_out() -> None:
    """The heir has its parent's tables, its own in place of them, and not those it goes without; the abstract parent
    cannot be issued."""
    text = (
        BASE
        + """
[middle]
extends = "base"
title = "Middle"
key_usage = {clause = "of its own", bits = ["nonRepudiation"]}
[leaf]
extends = "middle"
without = ["policies"]
"""
    )
    profiles = load_profiles(text)
    assert set(profiles) == {"middle", "leaf"}
    assert profiles["leaf"].key_usage.bits == ("nonRepudiation",)
    assert profiles["leaf"].key_usage.clause == "of its own"
    assert (profiles["leaf"].policies, profiles["leaf"].title) == (None, "Middle")
    assert profiles["middle"].policies is not None
    assert profiles["middle"].name == "middle"


@pytest.mark.parametrize(
    "heir",
    [
        'extends = "nobody"',
        'extends = "heir"',
        "extends = 1",
        'extends = "base"\nwithout = ["nothing"]',
        'extends = "base"\nwithout = "policies"',
        'without = ["policies"]',
        'extends = "base"\nkey = {algorithms = ["ec-p256"]}',  # half a table: no clause
    ],
)
def test_a_wrong_heir_is_refused(heir: str) -> None:
    """A parent that is not there, a circle, a table that is not inherited, half a table."""
    with pytest.raises(ProfileInvalid):
        load_profiles(f"{BASE}\n[heir]\n{heir}\n")


@pytest.mark.parametrize(
    "names",
    [
        (),
        (x509.RFC822Name("a@specimen.example"),),
        (x509.DNSName("a.example"), x509.DNSName("a.example")),
        (x509.DNSName("a.example"), x509.IPAddress(ip_address("127.0.0.1"))),
    ],
)
def test_alternative_names_are_those_of_the_profile(names: tuple[x509.GeneralName, ...]) -> None:
    """A TLS server has host names, each once, and nothing else."""
    with pytest.raises(ProfileMismatch):
        built(CA_PROFILES["tls-server"], san=names)
    built(CA_PROFILES["tls-server"], san=(x509.DNSName("a.example"), x509.DNSName("b.example")))
