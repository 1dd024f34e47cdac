"""Object identifiers of standards that `cryptography` does not name, and ours as it takes them (`foundation.arc`)."""

from __future__ import annotations

from cryptography.x509 import ObjectIdentifier

from foundation import arc

ANY_POLICY = ObjectIdentifier("2.5.29.32.0")

# An extension that carries a statement for people. It is always critical and nobody processes it, so that what looks
# like a certificate can never be used as one (RFC 5280 §4.2).
STATEMENT = ObjectIdentifier(arc.STATEMENT)

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
