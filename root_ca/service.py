"""The use cases of the offline root: check, rehearse, perform, verify. Arguments in, values out.

`perform` in order: every check again, on the octets that are then used; the clock; the officers' words; the labels;
a record that the act is under way; the keys; prepare and lint under a throwaway key; sign in the token; compare the
to-be-signed bytes; verify; lint again; sign the transcript; publish certificate or CRL and transcript together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import Clock
from foundation.keys.port import KeyStore
from foundation.randomness import Randomness, SystemRandomness
from root_ca import transcript as transcripts
from root_ca.checks import Examined, examine, held
from root_ca.errors import CeremonyRefused, ConfirmationWrong
from root_ca.model import Ceremony, CheckResult, RootAct, RootCrlAct
from root_ca.outputs import publish
from root_ca.signing import Keys, Signed, discard, find_keys, make_keys, sign_act, stand_in_root
from root_ca.transcript import FileRecord, Header, TranscriptWriter
from root_ca.verification import Verification, verify
from root_ca.words import word_lines

__all__ = ["Briefing", "Outcome", "Verification", "check", "perform", "rehearse", "verify"]


@dataclass(frozen=True)
class Briefing:
    """What the officers see before they type ``words``: the act, and every file that goes into it."""

    title: str
    act: str
    ceremony_sha256: str
    inputs: dict[str, str]
    previous_sha256: str | None
    subject: tuple[tuple[str, str], ...]
    words: tuple[str, ...]


Confirm = Callable[[Briefing], str]


@dataclass(frozen=True)
class Outcome:
    """What an act made. ``sha256`` is of the DER certificate or CRL, as hex and as lines of words to read aloud."""

    act: str
    output: Path
    transcript: Path
    sha256: str
    words: tuple[str, ...]
    audit_key_sha256: str
    rehearsal: bool
    serial: str | None


def check(ceremony: Ceremony) -> list[CheckResult]:
    """Every rule that files alone can answer, each with its ID; the act may be performed when all passed."""
    return examine(ceremony).results


def briefing(examined: Examined) -> Briefing:
    """What is shown before the words are typed."""
    act = examined.ceremony.act
    return Briefing(
        title=act.title,
        act=act.act,
        ceremony_sha256=examined.ceremony.sha256,
        inputs=examined.input_digests,
        previous_sha256=examined.previous_sha256,
        subject=() if isinstance(act, RootCrlAct) else act.certificate.subject,
        words=examined.words,
    )


def perform(
    ceremony: Ceremony, key_store: KeyStore, clock: Clock, confirm: Confirm, randomness: Randomness | None = None
) -> Outcome:
    """Perform the act, once. ``confirm`` shows a briefing and gives back what the officers typed.

    Raises CeremonyRefused (a rule failed), ConfirmationWrong, LintFailed, OutputExists, and what the token raises.
    Nothing is published unless everything held.
    """
    examined = _examined(ceremony, clock)
    shown = briefing(examined)
    if " ".join(confirm(shown).lower().split()) != " ".join(shown.words):
        raise ConfirmationWrong
    return _act(examined, key_store, clock, randomness or SystemRandomness(), ceremony.directory, rehearsal=False)


def rehearse(ceremony: Ceremony, key_store: KeyStore, clock: Clock, randomness: Randomness | None = None) -> Outcome:
    """The identical file on a throwaway token: everything but the words, into a folder that is gone afterwards.

    Where the act needs the root, a stand-in with its name and dates is made in the token. All keys made are destroyed.
    The outcome's paths are those that `perform` will write.
    """
    examined = _examined(ceremony, clock)
    with TemporaryDirectory(prefix="camtrust-rehearsal-") as folder:
        stage = Path(folder)
        (stage / ceremony.output).parent.mkdir(parents=True, exist_ok=True)
        outcome = _act(examined, key_store, clock, randomness or SystemRandomness(), stage, rehearsal=True)
    return Outcome(**{**outcome.__dict__, "output": ceremony.directory / ceremony.output,
                      "transcript": ceremony.directory / ceremony.act.outputs.transcript})  # fmt: skip


def _examined(ceremony: Ceremony, clock: Clock) -> Examined:
    examined = examine(ceremony)
    if not examined.passed:
        raise CeremonyRefused(examined.results)
    if detail := _clock_problem(examined, clock):
        raise CeremonyRefused([CheckResult("ROOT-CLOCK", False, detail)])
    return examined


def _clock_problem(examined: Examined, clock: Clock) -> str | None:
    act, now = examined.ceremony.act, clock.now()
    ends = act.crl.next_update if isinstance(act, RootCrlAct) else act.certificate.not_after
    if ends <= now:
        return "what would be signed is over already, or the clock is wrong"
    if examined.history is not None and transcripts.last_moment(examined.history.acts[-1].transcript) > now:
        return "the clock is before the last act"
    return None


def _act(
    examined: Examined, store: KeyStore, clock: Clock, randomness: Randomness, target: Path, *, rehearsal: bool
) -> Outcome:
    ceremony = examined.ceremony
    act = ceremony.act
    writer = TranscriptWriter(_header(examined, rehearsal))
    writer.add("ROOT-CHECK", clock.now(), examined.input_digests,
               {result.rule: "passed" for result in examined.results})  # fmt: skip
    if not rehearsal:
        writer.add("ROOT-CONFIRM", clock.now(), {}, {"words": " ".join(examined.words)})
    unfinished = target / ceremony.unfinished
    keys: Keys | None = None
    try:
        if isinstance(act, RootAct) or rehearsal:
            keys = make_keys(store, act.key, lambda: publish(target, {ceremony.unfinished: writer.unfinished()}))
        else:
            history = held(examined.history, "ROOT-CHAIN")
            root, audit_key = held(history.root, "ROOT-CHAIN"), held(history.audit_key, "ROOT-CHAIN")
            keys = find_keys(store, act.key, root, audit_key)
            publish(target, {ceremony.unfinished: writer.unfinished()})
        writer.add("ROOT-KEY", clock.now(), {"label": act.key.label, "audit_label": act.key.audit_label},
                   {"root_key": keys.root.public_key.hex(), "audit_key": keys.audit.public_key.hex()})  # fmt: skip
        issuer = examined.issuer
        if rehearsal and not isinstance(act, RootAct):
            issuer = stand_in_root(store, keys, held(issuer, "ROOT-ISSUER"))
        signed = sign_act(examined, store, keys, issuer, randomness)
        for rule, inputs, outputs in signed.steps:
            writer.add(rule, clock.now(), inputs, outputs)
        file_sha256 = hashlib.sha256(signed.file).hexdigest()
        writer.add("ROOT-OUTPUT", clock.now(), {}, {ceremony.output: file_sha256})
        record = writer.sign(keys.audit_handle(store), keys.audit.public_key)
        publish(target, {ceremony.output: signed.file, act.outputs.transcript: record})
    finally:
        if rehearsal and keys is not None:
            discard(store, keys)
    unfinished.unlink()
    return _outcome(ceremony, target, signed, keys, rehearsal)


def _header(examined: Examined, rehearsal: bool) -> Header:
    ceremony = examined.ceremony
    previous = None
    if ceremony.previous is not None and examined.previous_sha256 is not None:
        previous = FileRecord(file=ceremony.previous, sha256=examined.previous_sha256)
    return Header(
        format=transcripts.FORMAT,  # type: ignore[arg-type]
        act=ceremony.act.act,
        title=ceremony.act.title,
        rehearsal=rehearsal,
        software=transcripts.software(),
        ceremony=FileRecord(file=ceremony.path.name, sha256=ceremony.sha256),
        previous=previous,
    )


def _outcome(ceremony: Ceremony, target: Path, signed: Signed, keys: Keys, rehearsal: bool) -> Outcome:
    der = signed.structure.public_bytes(Encoding.DER)
    fingerprint = hashlib.sha256(der).digest()
    certificate = signed.structure if isinstance(signed.structure, x509.Certificate) else None
    return Outcome(
        act=ceremony.act.act,
        output=target / ceremony.output,
        transcript=target / ceremony.act.outputs.transcript,
        sha256=fingerprint.hex(),
        words=word_lines(fingerprint),
        audit_key_sha256=hashlib.sha256(keys.audit.public_key).hexdigest(),
        rehearsal=rehearsal,
        serial=f"{certificate.serial_number:x}" if certificate else None,
    )
