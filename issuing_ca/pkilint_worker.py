"""pkilint as a program of its own: a line of hexadecimal DER in, a line of JSON with the findings out, in order.

It is started for a batch and ends with it (pkilint leaves files open, and takes a second to load). Findings are
``SEVERITY code``, of warnings and above: notices are told where certificates are made, in the profiles' own tests.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

_ALARMING = ("WARNING", "ERROR", "FATAL")


def linter() -> Callable[[bytes], list[str]]:
    """What is found in one certificate (RFC 5280). Raises ImportError where pkilint is not installed."""
    from pkilint import loader
    from pkilint.pkix import certificate, extension, name

    decoding = certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS)
    validators = [
        certificate.create_issuer_validator_container([]),
        certificate.create_validity_validator_container(),
        certificate.create_subject_validator_container([]),
        certificate.create_extensions_validator_container([]),
        certificate.create_spki_validator_container([]),
    ]
    container = certificate.create_pkix_certificate_validator_container(decoding, validators)

    def lint(der: bytes) -> list[str]:
        document = loader.load_certificate(der, "certificate")
        found = {
            f"{one.finding.severity.name} {one.finding.code}"
            for result in container.validate(document.root)
            for one in result.finding_descriptions
            if one.finding.severity.name in _ALARMING
        }
        return sorted(found)

    return lint


def main() -> None:
    """Until the input ends. A certificate that pkilint cannot read at all is a finding."""
    os.nice(10)
    lint = linter()
    for line in sys.stdin:
        try:
            found = lint(bytes.fromhex(line.strip()))
        except Exception as error:  # whatever it is, it is about this certificate; its text may quote it
            found = [f"FATAL {type(error).__name__}"]
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
