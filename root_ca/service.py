"""The use cases of the offline root: check, rehearse, perform, verify. Arguments in, values out.

`perform` in order: every check again, on the octets that are then used; the clock; the officers' words; the labels;
a record that the act is under way; the keys; prepare and lint under a throwaway key; sign in the token; compare the
to-be-signed bytes; verify; lint again; sign the transcript; publish certificate or CRL and transcript together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import Clock
from foundation.keys.port import KeyStore
from foundation.randomness import Randomness, SystemRandomness
from foundation.words import khmer_word_lines, normalised, word_lines
from root_ca import transcript as transcripts
from root_ca.acts import BELOW, CRLS, NEW_ROOT, Ceremony, EndAct, RootAct
from root_ca.checks import Examined, examine, held
from root_ca.errors import CeremonyRefused, ConfirmationWrong
from root_ca.model import CheckResult
from root_ca.outputs import publish
from root_ca.ports import OutsideLint, TokenModule
from root_ca.signing import Keys, Signed, discard, find_keys, make_keys, sign_act, stand_in_root
from root_ca.transcript import FileRecord, Header, TranscriptWriter
from root_ca.verification import Verification, verify

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
    arc: str
    words: tuple[str, ...]
    words_km: tuple[str, ...]
    outputs: tuple[str, ...]
    people: tuple[tuple[str, str], ...]


Confirm = Callable[[Briefing], str]


@dataclass(frozen=True)
class Outcome:
    """What an act made. ``sha256`` is of the DER certificate or CRL (of the record, where nothing was signed), as hex
    and as lines of words to read aloud, in English and Khmer. ``outputs``: all of them, the main one first; ``people``:
    name and role of those who sign the transcript now."""

    act: str
    output: Path
    outputs: tuple[Path, ...]
    transcript: Path
    sha256: str
    words: tuple[str, ...]
    words_km: tuple[str, ...]
    audit_key_sha256: str
    rehearsal: bool
    serial: str | None
    people: tuple[tuple[str, str], ...]


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
        subject=act.certificate.subject if isinstance(act, (*NEW_ROOT, *BELOW)) else (),
        arc=act.arc,
        words=examined.words,
        words_km=examined.words_km,
        outputs=examined.ceremony.outputs,
        people=_people(examined.ceremony),
    )


def _people(ceremony: Ceremony) -> tuple[tuple[str, str], ...]:
    return tuple((one.name, one.role) for one in ceremony.act.people)


def perform(
    ceremony: Ceremony,
    key_store: KeyStore,
    clock: Clock,
    confirm: Confirm,
    randomness: Randomness | None = None,
    *,
    token: TokenModule | None = None,
    lints: Sequence[OutsideLint] = (),
) -> Outcome:
    """Perform the act, once. ``confirm`` shows a briefing and gives back what the officers typed, in either language.
    ``token`` is recorded; ``lints`` look at what is signed before and after.

    Raises CeremonyRefused (a rule failed), ConfirmationWrong, LintFailed, OutputExists, and what the token raises.
    Nothing is published unless everything held.
    """
    examined = _examined(ceremony, clock)
    shown = briefing(examined)
    typed = normalised(confirm(shown))
    if typed not in (normalised(" ".join(words)) for words in (shown.words, shown.words_km)):
        raise ConfirmationWrong
    work = _Work(key_store, clock, randomness or SystemRandomness(), ceremony.directory, token, tuple(lints))
    return _act(examined, work, rehearsal=False)


def rehearse(
    ceremony: Ceremony,
    key_store: KeyStore,
    clock: Clock,
    randomness: Randomness | None = None,
    *,
    token: TokenModule | None = None,
    lints: Sequence[OutsideLint] = (),
) -> Outcome:
    """The identical file on a throwaway token: everything but the words, into a folder that is gone afterwards.

    Where the act needs the root, a stand-in with its name and dates is made in the token. All keys made are destroyed.
    The outcome's paths are those that `perform` will write.
    """
    examined = _examined(ceremony, clock)
    with TemporaryDirectory(prefix="camtrust-rehearsal-") as folder:
        stage = Path(folder)
        for output in ceremony.outputs:
            (stage / output).parent.mkdir(parents=True, exist_ok=True)
        work = _Work(key_store, clock, randomness or SystemRandomness(), stage, token, tuple(lints))
        outcome = _act(examined, work, rehearsal=True)
    return replace(
        outcome,
        output=ceremony.directory / ceremony.output,
        outputs=tuple(ceremony.directory / output for output in ceremony.outputs),
        transcript=ceremony.directory / ceremony.act.outputs.transcript,
    )


def _examined(ceremony: Ceremony, clock: Clock) -> Examined:
    examined = examine(ceremony)
    if not examined.passed:
        raise CeremonyRefused(examined.results)
    if detail := _clock_problem(examined, clock):
        raise CeremonyRefused([CheckResult("ROOT-CLOCK", False, detail)])
    return examined


def _clock_problem(examined: Examined, clock: Clock) -> str | None:
    act, now = examined.ceremony.act, clock.now()
    ends = None
    if isinstance(act, CRLS):
        ends = None if isinstance(act, EndAct) else act.crl.next_update
    elif isinstance(act, (*NEW_ROOT, *BELOW)):
        ends = act.certificate.not_after
    if ends is not None and ends <= now:
        return "what would be signed is over already, or the clock is wrong"
    if examined.history is not None and transcripts.last_moment(examined.history.acts[-1].transcript) > now:
        return "the clock is before the last act"
    return None


@dataclass(frozen=True)
class _Work:
    """What an act is carried out with."""

    store: KeyStore
    clock: Clock
    randomness: Randomness
    target: Path
    token: TokenModule | None
    lints: tuple[OutsideLint, ...]


def _act(examined: Examined, work: _Work, *, rehearsal: bool) -> Outcome:
    ceremony, clock, store = examined.ceremony, work.clock, work.store
    act = ceremony.act
    writer = TranscriptWriter(_header(examined, rehearsal))
    writer.add("ROOT-CHECK", clock.now(), examined.input_digests,
               {result.rule: "passed" for result in examined.results})  # fmt: skip
    if not rehearsal:
        writer.add("ROOT-CONFIRM", clock.now(), {}, {"words": " ".join(examined.words)})

    def begin() -> None:
        publish(work.target, {ceremony.unfinished: writer.unfinished()})

    keys: Keys | None = None
    try:
        issuer = examined.issuer
        if isinstance(act, RootAct) or rehearsal:
            keys = make_keys(store, act, issuer, begin)
        else:
            audit_key = held(held(examined.history, "ROOT-CHAIN").audit_key, "ROOT-CHAIN")
            keys = find_keys(store, act, held(issuer, "ROOT-ISSUER"), audit_key, begin)
        writer.add("ROOT-KEY", clock.now(), _key_inputs(keys, work.token), _key_outputs(keys))
        if rehearsal and issuer is not None:
            issuer = stand_in_root(store, keys, issuer, act.arc)
        signed = sign_act(examined, store, keys, issuer, work.randomness, work.lints)
        for rule, inputs, outputs in signed.steps:
            writer.add(rule, clock.now(), inputs, outputs)
        digests = {output: hashlib.sha256(content).hexdigest() for output, content in signed.contents.items()}
        writer.add("ROOT-OUTPUT", clock.now(), {}, digests)
        record = writer.sign(keys.audit_handle(store), keys.audit.public_key)
        publish(work.target, {**signed.contents, act.outputs.transcript: record})
    finally:
        if rehearsal and keys is not None:
            discard(store, keys)
    (work.target / ceremony.unfinished).unlink()
    return _outcome(ceremony, work.target, signed, keys, rehearsal)


def _key_inputs(keys: Keys, token: TokenModule | None) -> dict[str, str]:
    inputs = {"label": keys.issuing.label, "audit_label": keys.audit.label}
    if keys.new is not None and keys.new is not keys.issuing:
        inputs["new_label"] = keys.new.label
    if token is not None:
        inputs |= {
            "token": f"{token.name} {token.version}",
            "token_sha256": token.sha256,
            "token_emulated": "yes" if token.emulated else "no",
        }
    return inputs


def _key_outputs(keys: Keys) -> dict[str, str]:
    outputs = {"root_key": keys.issuing.public_key.hex(), "audit_key": keys.audit.public_key.hex()}
    if keys.new is not None and keys.new is not keys.issuing:
        outputs["new_key"] = keys.new.public_key.hex()
    return outputs


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
    main = signed.structures.get(ceremony.output)
    octets = main.public_bytes(Encoding.DER) if main is not None else signed.contents[ceremony.output]
    digest = hashlib.sha256(octets).digest()
    return Outcome(
        act=ceremony.act.act,
        output=target / ceremony.output,
        outputs=tuple(target / output for output in ceremony.outputs),
        transcript=target / ceremony.act.outputs.transcript,
        sha256=digest.hex(),
        words=word_lines(digest),
        words_km=khmer_word_lines(digest),
        audit_key_sha256=hashlib.sha256(keys.audit.public_key).hexdigest(),
        rehearsal=rehearsal,
        serial=f"{main.serial_number:x}" if isinstance(main, x509.Certificate) else None,
        people=_people(ceremony),
    )
