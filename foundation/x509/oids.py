"""Object identifiers that CamTrust uses and `cryptography` does not name.

``2.999`` is the example arc (ITU-T X.660): nothing below it is assigned, so nothing of ours can be taken for real.
Cambodia's own arc is 2.16.116; a production profile names policies below an arc that was assigned to its operator,
and `is_example` lets a production start-up refuse the others.
"""

from __future__ import annotations

from cryptography.x509 import ObjectIdentifier

POLICY_ARC = "2.999.116"

ANY_POLICY = ObjectIdentifier("2.5.29.32.0")
POLICY_CITIZEN_SIGN = ObjectIdentifier(f"{POLICY_ARC}.1.1")
POLICY_ORGANISATION_SEAL = ObjectIdentifier(f"{POLICY_ARC}.1.2")
# Of organisations in the sandbox: also a production installation issues under this example policy, so that a sandbox
# seal says so wherever it turns up, and `signing.verify` passes none.
POLICY_SANDBOX_SEAL = ObjectIdentifier(f"{POLICY_ARC}.1.9")
POLICY_OFFICER = ObjectIdentifier(f"{POLICY_ARC}.1.3")
POLICY_TSA = ObjectIdentifier(f"{POLICY_ARC}.2.1")
POLICY_OCSP_RESPONDER = ObjectIdentifier(f"{POLICY_ARC}.3.1")
POLICY_LICENSED_CA = ObjectIdentifier(f"{POLICY_ARC}.4.1")

# An extension that carries a statement for people. It is always critical and nobody processes it, so that what looks
# like a certificate can never be used as one (RFC 5280 §4.2).
STATEMENT = ObjectIdentifier(f"{POLICY_ARC}.9.1")

# ISO/IEC 9594-8 expiredCertsOnCRL: since when expired certificates stay on the list
EXPIRED_CERTS_ON_CRL = ObjectIdentifier("2.5.29.60")

# EN 319 412-5 §4 and RFC 3739 §3.2.6
QC_STATEMENTS = ObjectIdentifier("1.3.6.1.5.5.7.1.3")
QC_COMPLIANCE = "0.4.0.1862.1.1"
QC_SSCD = "0.4.0.1862.1.4"
QC_TYPE = "0.4.0.1862.1.6"
QC_TYPE_ESIGN = "0.4.0.1862.1.6.1"
QC_TYPE_ESEAL = "0.4.0.1862.1.6.2"
QC_CC_LEGISLATION = "0.4.0.1862.1.7"

EC_PUBLIC_KEY = "1.2.840.10045.2.1"  # RFC 5480 §2.1.1

# Signature algorithms (RFC 5758, RFC 4055, RFC 8410, RFC 9881)
ECDSA_SHA256 = "1.2.840.10045.4.3.2"
ECDSA_SHA384 = "1.2.840.10045.4.3.3"
ECDSA_SHA512 = "1.2.840.10045.4.3.4"
RSA_SHA256 = "1.2.840.113549.1.1.11"
ED25519 = "1.3.101.112"
ML_DSA_44 = "2.16.840.1.101.3.4.3.17"
ML_DSA_65 = "2.16.840.1.101.3.4.3.18"
ML_DSA_87 = "2.16.840.1.101.3.4.3.19"


def is_example(policy: ObjectIdentifier) -> bool:
    """Whether a policy lies below the example arc, so that it must not be used in production."""
    return policy.dotted_string == "2.999" or policy.dotted_string.startswith("2.999.")
