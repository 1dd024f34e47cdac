"""A signature carries the proof that its certificate was logged, and offline verification asks for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from camtrust.ceremonies import log_transcripts
from camtrust.cli.main import run as command
from camtrust.errors import RootsRefused
from foundation.arc import LOG_PROOF_BEFORE
from foundation.http.actor import ActorKind
from foundation.log_proof import PROOF_ATTRIBUTE, EntryKind, InclusionProof, check_entry, name_digest
from foundation.x509 import der
from tests.story.installation import Installation
from tests.story.test_story_seal import ROLE, letter, seal, seal_credential

__all__ = ["letter"]


def test_a_certificate_that_was_kept_out_of_the_log_is_worthless(
    assembled: Installation, letter: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its proof a sealed document passes and says so; without it, or with another in its place, it does not."""
    client = assembled.staff(ActorKind.CLIENT, ROLE)
    made = seal_credential(assembled, client.id)
    sealed = seal(client, assembled.http, made.credential_id, letter).content
    bundle, pin = assembled.bundle()

    def verdict(document: bytes) -> tuple[str, set[str]]:
        file = tmp_path / "letter.pdf"
        file.write_bytes(document)
        capsys.readouterr()
        command(["verify", "--json", "--bundle", str(bundle), "--bundle-signer", pin, str(file)])
        (signature,) = json.loads(capsys.readouterr().out)["files"][0]["signatures"]
        rules = {one["rule"] for one in signature["reasons"] if one["rule"].startswith("LOG-")}
        return signature["indication"], rules

    attribute = der.oid(PROOF_ATTRIBUTE).hex().encode()
    assert sealed.count(attribute) == 1
    assert verdict(sealed) == ("TOTAL-PASSED", {"LOG-PROVED"})
    before = der.oid(LOG_PROOF_BEFORE).hex().encode()  # as it was signed until each number had one meaning
    assert verdict(sealed.replace(attribute, before)) == ("TOTAL-PASSED", {"LOG-PROVED"})
    # the attribute is unsigned: whoever takes it away breaks no signature
    assert verdict(sealed.replace(attribute, attribute[:-2] + b"7f")) == ("INDETERMINATE", {"LOG-MISSING"})
    index = sealed.index(b"\nindex ".hex().encode(), sealed.index(attribute)) + 14
    other = b"38" if sealed[index : index + 2] == b"37" else b"37"
    assert verdict(sealed[:index] + other + sealed[index + 2 :]) == ("INDETERMINATE", {"LOG-INCLUDED"})


def test_the_ceremony_is_in_the_log(assembled: Installation) -> None:
    """Every transcript of the root's ceremony is logged, and its proof is anybody's; the command adds nothing twice; a
    transcript that was changed is not logged."""
    services = assembled.services
    folder = assembled.home.path / "root"
    last = folder / "transcript.json"
    transcripts = log_transcripts(last, services.ca, services.log)
    size = services.log.integrate()
    assert len(transcripts) == 5
    root = services.ca.authorities.get("issuing").root
    for name, digest in transcripts.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        answer = assembled.http.get(f"/log/proof/ceremony/{digest}")
        key, what = services.log.verifier_key(), bytes.fromhex(digest)
        proof = InclusionProof.parse(answer.content)
        assert check_entry(proof, key, EntryKind.CEREMONY, what, name_digest(root.subject)) == ()
    assert log_transcripts(last, services.ca, services.log) == transcripts
    assert services.log.integrate() == size
    whole = last.read_bytes()
    try:
        last.write_bytes(whole.replace(b"SPECIMEN", b"SPECIMEM", 1))
        with pytest.raises(RootsRefused):
            log_transcripts(last, services.ca, services.log)
    finally:
        last.write_bytes(whole)
