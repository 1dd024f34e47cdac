"""`camtrust root`: check, rehearse, perform, cosign, verify. Parses, calls, prints."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from foundation.arc import is_example
from foundation.clock import Clock, rfc3339
from foundation.keys.port import KeyStore
from foundation.terminal import Terminal
from foundation.words import khmer_word_lines, word_lines
from root_ca import cosigning
from root_ca.ceremony_file import load_ceremony
from root_ca.checks import examine
from root_ca.errors import TranscriptInvalid
from root_ca.ports import OutsideLint, TimestampChecker, TokenModule
from root_ca.service import Briefing, Outcome, perform, rehearse, verify
from root_ca.verification import Replayed, Verification, audit_fingerprint, root_fingerprint

NOT_VALID = 1

OpenToken = Callable[[], AbstractContextManager[KeyStore]]
CeremonyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The ceremony file: one act, in TOML.")]


@dataclass(frozen=True)
class Equipment:
    """What the room is equipped with beside the token; every part may be missing."""

    module: TokenModule | None = None
    lints: Sequence[OutsideLint] = field(default=())
    timestamps: TimestampChecker | None = None


def create_app(
    open_token: OpenToken,
    rehearsal_token: OpenToken,
    terminal: Callable[[], Terminal],
    clock: Clock,
    equipment: Callable[[], Equipment] = Equipment,
) -> typer.Typer:
    """The commands. ``open_token`` opens the root's token, by PIN or by its custodians' cards, which it asks for;
    ``rehearsal_token`` one that is gone afterwards.
    """
    app = typer.Typer(
        help="Root ceremonies. One file is one act; nothing is overwritten; every act leaves a signed transcript.",
        no_args_is_help=True,
        add_completion=False,
    )

    @app.command("check")
    def check_command(file: CeremonyFile) -> None:
        """Examine every rule that needs no key; runs anywhere. Prints the words that perform will ask for.

        Example: camtrust root check 2-issuing.toml
        """
        examined = examine(load_ceremony(file))
        marks = {True: "passed", False: "FAILED", None: "not examined"}
        lines = [f"{marks[one.passed]:<13} {one.rule:<20} {one.detail}" for one in examined.results]
        if examined.passed:
            lines.append(f"Words of this ceremony in Khmer: {' '.join(examined.words_km)}")
            lines.append(f"Words of this ceremony: {' '.join(examined.words)}")
        value = {
            "passed": examined.passed,
            "ceremony_sha256": examined.ceremony.sha256,
            "words": list(examined.words) if examined.passed else None,
            "words_km": list(examined.words_km) if examined.passed else None,
            "checks": [asdict(one) for one in examined.results],
        }
        terminal().result(value, lines)
        if not examined.passed:
            raise typer.Exit(NOT_VALID)

    @app.command("rehearse")
    def rehearse_command(file: CeremonyFile) -> None:
        """Run the identical file on a throwaway token; nothing is kept.

        Example: camtrust root rehearse 2-issuing.toml
        """
        ceremony = load_ceremony(file)
        with rehearsal_token() as store:
            outcome = rehearse(ceremony, store, clock, token=equipment().module, lints=equipment().lints)
        names = ", ".join(output.name for output in outcome.outputs)
        lines = [f"Rehearsed: {outcome.act}. Nothing was kept; perform will write {names}."]
        terminal().result(_outcome(outcome), lines)

    @app.command("perform")
    def perform_command(
        file: CeremonyFile,
        yes_i_read: Annotated[
            str, typer.Option(metavar="WORDS", help="The words that check printed, for runs without a person.")
        ] = "",
    ) -> None:
        """Perform the act, once: asks for the words of the ceremony, signs in the token, writes outputs and transcript.

        Example: camtrust root perform 2-issuing.toml
        """
        ceremony = load_ceremony(file)
        shown = terminal()

        def confirm(briefing: Briefing) -> str:
            for line in _briefing_lines(briefing):
                shown.note(line)
            if yes_i_read:
                return yes_i_read
            print("Type the words of this ceremony: ", end="", file=sys.stderr, flush=True)
            return sys.stdin.readline()

        room = equipment()
        with open_token() as store:
            outcome = perform(ceremony, store, clock, confirm, token=room.module, lints=room.lints)
        shown.result(_outcome(outcome), _outcome_lines(outcome))

    @app.command("cosign")
    def cosign_command(
        transcript: Annotated[Path, typer.Argument(metavar="TRANSCRIPT", help="The transcript that you witnessed.")],
        key: Annotated[Path, typer.Option(metavar="PEM", help="Your private key; its password is asked for.")],
    ) -> None:
        """Sign a transcript as a custodian or witness whom its ceremony file names, after verifying it.

        Example: camtrust root cosign 1-root.transcript.json --key witness.pem
        """
        result = verify(transcript, timestamps=equipment().timestamps, unsigned=True)
        if not result.valid:
            terminal().result(_verification(result), _verification_lines(result))
            raise typer.Exit(NOT_VALID)
        act = result.acts[-1]
        if act.path.name != transcript.name:
            raise TranscriptInvalid(file=transcript.name, reason="it is not the one that was verified")
        digest = bytes.fromhex(act.sha256)
        shown = terminal()
        for line in (f"{act.ceremony.act.title}", f"Transcript SHA-256 {act.sha256}", *_both(digest)):
            shown.note(line)
        opened = cosigning.FileKey(key, key_password(key))
        path, person = cosigning.cosign(transcript, act.ceremony.act.people, opened)
        value = {"signature": str(path), "name": person.name, "role": person.role, "key_sha256": person.key_sha256}
        shown.result(value, [f"Signed as {person.role} {person.name}: {path}"])

    @app.command("verify")
    def verify_command(
        transcript: Annotated[Path, typer.Argument(metavar="TRANSCRIPT", help="The last transcript.")],
        root: Annotated[
            str | None, typer.Option(metavar="SHA256", help="The root certificate's fingerprint, as it was read aloud.")
        ] = None,
        audit_key: Annotated[
            str | None, typer.Option(metavar="SHA256", help="The audit key's fingerprint, as it was read aloud.")
        ] = None,
    ) -> None:
        """Replay a transcript and all before it: rebuild what was signed, verify every signature, name what changed.

        Example: camtrust root verify transcript.json --root 3f…c1
        """
        result = verify(transcript, root=root, audit_key=audit_key, timestamps=equipment().timestamps)
        terminal().result(_verification(result), _verification_lines(result))
        if not result.valid:
            raise typer.Exit(NOT_VALID)

    return app


def key_password(key: Path) -> str | None:
    """The password of a PEM key, asked for unseen; None for a key that has none, or cannot be read."""
    try:
        encrypted = b"ENCRYPTED" in key.read_bytes()[: 64 * 1024]
    except OSError:
        return None
    return getpass.getpass("Password of the key: ") if encrypted else None


def _both(digest: bytes) -> list[str]:
    return [f"  {line}" for line in (*word_lines(digest), *khmer_word_lines(digest))]


def _briefing_lines(briefing: Briefing) -> list[str]:
    lines = [f"{briefing.title} (act: {briefing.act})"]
    if briefing.subject:
        lines.append("  subject   " + ", ".join(f"{attribute}={value}" for attribute, value in briefing.subject))
        examples = " (of examples)" if is_example(briefing.arc) else ""
        lines.append(f"  policies  below {briefing.arc}{examples}")
    lines.append(f"  file      SHA-256 {briefing.ceremony_sha256}")
    lines += [f"          {line}" for line in _both(bytes.fromhex(briefing.ceremony_sha256))]
    lines += [f"  input     {name} SHA-256 {sha256}" for name, sha256 in briefing.inputs.items()]
    if briefing.previous_sha256:
        lines.append(f"  previous  SHA-256 {briefing.previous_sha256}")
    lines += [f"  output    {name}" for name in briefing.outputs]
    lines += [f"  signs     {role} {name}" for name, role in briefing.people]
    return lines


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "act": outcome.act,
        "output": str(outcome.output),
        "outputs": [str(output) for output in outcome.outputs],
        "transcript": str(outcome.transcript),
        "sha256": outcome.sha256,
        "words": list(outcome.words),
        "words_km": list(outcome.words_km),
        "serial": outcome.serial,
        "audit_key_sha256": outcome.audit_key_sha256,
        "rehearsal": outcome.rehearsal,
    }


def _outcome_lines(outcome: Outcome) -> list[str]:
    lines = [f"Made {outcome.output}", f"SHA-256 {outcome.sha256}", "Read aloud, and compare:"]
    lines += [f"  {line}" for line in (*outcome.words, *outcome.words_km)]
    lines += [f"Made {output}" for output in outcome.outputs[1:]]
    if outcome.act == "root":
        lines.append(f"Audit key SHA-256 {outcome.audit_key_sha256}")
        lines += _both(bytes.fromhex(outcome.audit_key_sha256))
    lines.append(f"Transcript {outcome.transcript}")
    lines += [f"To be signed by {role} {name}: camtrust root cosign" for name, role in outcome.people]
    return lines


def _signers(act: Replayed) -> list[dict[str, str]]:
    return [{"name": one.name, "role": one.role, "key_sha256": one.key_sha256} for one in act.cosigners]


def _verification(result: Verification) -> dict[str, Any]:
    return {
        "valid": result.valid,
        "root_sha256": root_fingerprint(result),
        "audit_key_sha256": audit_fingerprint(result),
        "acts": [
            {
                "transcript": one.path.name,
                "act": one.ceremony.act.act,
                "title": one.ceremony.act.title,
                "signed_by": _signers(one),
                "timestamp": {"at": rfc3339(one.timestamp.at), "unit": one.timestamp.unit} if one.timestamp else None,
            }
            for one in result.acts
        ],
        "problems": [asdict(problem) for problem in result.problems],
        "notes": result.notes,
    }


def _verification_lines(result: Verification) -> list[str]:
    lines = []
    for one in result.acts:
        lines.append(f"held      {one.path.name}: {one.ceremony.act.title}")
        lines += [f"signed    by {person.role} {person.name}" for person in one.cosigners]
        if one.timestamp:
            lines.append(f"stamped   {rfc3339(one.timestamp.at)} by {one.timestamp.unit}")
    lines += [f"CHANGED   {one.artifact}: {one.rule}: {one.message}" for one in result.problems]
    lines += [f"note      {note}" for note in result.notes]
    if result.valid:
        root, audit_key = root_fingerprint(result) or "", audit_fingerprint(result) or ""
        lines += [f"Root      SHA-256 {root}", *(f"        {line}" for line in _both(bytes.fromhex(root)))]
        lines += [f"Audit key SHA-256 {audit_key}", "Compare both with what was read aloud at the making of the root."]
    return lines
