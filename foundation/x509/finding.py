"""What a lint says: the rule that is broken, the clause behind it, and a sentence."""

from __future__ import annotations

from dataclasses import dataclass

# Every rule of the lint: its ID, which stands in code, tests and reports, and the clause that asks for it. Where the
# profile names a clause of its own, a finding carries that one.
RULES = {
    "X509-VERSION": "RFC 5280 §4.1.2.1",
    "X509-UNIQUE-ID": "RFC 5280 §4.1.2.8",
    "X509-SERIAL-SIZE": "RFC 5280 §4.1.2.2",
    "X509-SERIAL-ENTROPY": "CA/B Baseline Requirements §7.1",
    "X509-SIGNATURE-ALGORITHM": "RFC 5280 §4.1.1.2",
    "X509-SIGNATURE-CONSISTENT": "RFC 5280 §4.1.2.3",
    "X509-VALIDITY-ORDER": "RFC 5280 §4.1.2.5",
    "X509-VALIDITY-PERIOD": "RFC 5280 §4.1.2.5",
    "X509-VALIDITY-ENCODING": "RFC 5280 §4.1.2.5.1",
    "X509-NAME-ATTRIBUTES": "RFC 5280 §4.1.2.6",
    "X509-NAME-TEXT": "RFC 5280 §4.1.2.6",
    "X509-NAME-ENCODING": "RFC 5280 §4.1.2.4",
    "X509-NAME-SPECIMEN": "CP/CPS 3.1.1",
    "X509-NAME-ISSUER": "RFC 5280 §4.1.2.4",
    "X509-KEY-ALGORITHM": "RFC 5280 §4.1.2.7",
    "X509-KEY-RSA": "NIST SP 800-56B §6.4.1; BR §6.1.6",
    "X509-EXTENSION-PARSE": "RFC 5280 §4.2",
    "X509-EXTENSION-SET": "RFC 5280 §4.2",
    "X509-EXTENSION-CRITICAL": "RFC 5280 §4.2",
    "X509-BASIC-CONSTRAINTS": "RFC 5280 §4.2.1.9",
    "X509-KEY-USAGE": "RFC 5280 §4.2.1.3",
    "X509-EXTENDED-KEY-USAGE": "RFC 5280 §4.2.1.12",
    "X509-POLICIES": "RFC 5280 §4.2.1.4",
    "X509-POLICY-ARC": "CP/CPS 1.2",
    "X509-SKI": "RFC 5280 §4.2.1.2; RFC 7093 §2",
    "X509-AKI": "RFC 5280 §4.2.1.1",
    "X509-AIA": "RFC 5280 §4.2.2.1",
    "X509-CRLDP": "RFC 5280 §4.2.1.13",
    "X509-SAN": "RFC 5280 §4.2.1.6",
    "X509-NAME-CONSTRAINTS": "RFC 5280 §4.2.1.10",
    "X509-QC-STATEMENTS": "EN 319 412-5 §4",
    "X509-ISSUER-CHAIN": "RFC 5280 §6.1.3",
    "X509-ISSUER-VALIDITY": "RFC 5280 §6.1.3",
    "X509-ISSUER-CA": "RFC 5280 §6.1.4",
}


@dataclass(frozen=True)
class Finding:
    """A broken rule. ``message`` says what is wrong in English; it carries no value of a subject."""

    rule: str
    clause: str
    message: str


def finding(rule: str, message: str, clause: str | None = None) -> Finding:
    """A finding under a rule of `RULES`; KeyError for a rule that is not there (a defect of ours)."""
    default = RULES[rule]
    return Finding(rule, clause or default, message)
