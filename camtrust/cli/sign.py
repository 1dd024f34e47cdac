"""``camtrust sign``: documents, with a credential of the home, after PIN and one-time code."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camtrust.cli.context import Context
from camtrust.cli.services import services_of
from camtrust.errors import CredentialNotHere, OutputExists
from foundation.errors import CamTrustError

if TYPE_CHECKING:
    from signing.forms import Form
    from signing.pdf_options import PdfOptions


def create(context: Context) -> typer.Typer:
    """The command, bound to the global options."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def sign(
        files: Annotated[list[Path], typer.Argument(help="the documents", exists=True, dir_okay=False)],
        credential: Annotated[str, typer.Option(help="whose key signs (camtrust ekyc list)")],
        level: Annotated[
            str | None, typer.Option(help="B-T, B-LT or B-LTA; default B-LT where the format has it")
        ] = None,
        format_: Annotated[
            str, typer.Option("--format", help="pades, cades, xades, jades, asic-e or asic-s")
        ] = "pades",
        packaging: Annotated[
            str | None,
            typer.Option(
                help="cades: detached, attached, or on a signed message parallel, counter; "
                "xades: enveloping, enveloped, detached, counter; jades: json, compact"
            ),
        ] = None,
        visible: Annotated[
            str | None,
            typer.Option(
                help="auto; field; at=LEFT,BOTTOM page=N; anchor=WORDS; with size=WxH in points, and qr; with --client "
                "template=NAME"
            ),
        ] = None,
        field: Annotated[str | None, typer.Option(help="an existing empty signature field of the PDF")] = None,
        lock: Annotated[
            str | None, typer.Option(help="all, include=A,B or exclude=A,B; then close, forms or notes")
        ] = None,
        certify: Annotated[str | None, typer.Option(help="close, forms or notes: what may still be done")] = None,
        password_file: Annotated[Path | None, typer.Option(help="password of encrypted documents", exists=True)] = None,
        output: Annotated[
            Path | None,
            typer.Option(
                "-o", "--output", help="for one file, or for several in one asic-e; else its name and a suffix"
            ),
        ] = None,
        service: Annotated[
            str | None,
            typer.Option(metavar="URL", help="a service elsewhere: it gets digests, the documents stay here"),
        ] = None,
        client: Annotated[
            str | None, typer.Option(metavar="CLIENT_ID", help="with --service: an agency's client that seals")
        ] = None,
        client_key: Annotated[
            Path | None, typer.Option(help="with --client: its private key, PEM", exists=True, dir_okay=False)
        ] = None,
        public_url: Annotated[
            str | None, typer.Option(metavar="URL", help="with --client: the service's own name, where it is another")
        ] = None,
    ) -> None:
        """Sign documents. Asks for the person's PIN and one code of their authenticator for all of them together.

        With --format asic-e and -o, several documents go into one container under one signature.
        Without a terminal, CAMTRUST_SIGN_PIN and CAMTRUST_SIGN_CODE give them. The token checks both, not this command.
        With --service nothing of a document leaves this machine; CAMTRUST_SIGN_SESSION is the token of a session there.
        """
        from signing.forms import Form, Format
        from signing.pdf_options import PdfOptions

        form = Form.named(format_, packaging)
        options = PdfOptions.parse(field=field, lock=lock, certify=certify, visible=visible)
        together = None
        if output is not None and len(files) != 1:
            if form.format is not Format.ASIC_E:
                raise typer.BadParameter("-o is for one file, or for several with --format asic-e", param_hint="-o")
            together = _together(files)
        targets = {file: output or file.with_name(form.file_name(file.name)) for file in files}
        for target in targets.values():
            if target.exists():
                raise OutputExists(file=str(target))
        if together is not None and output is not None:
            targets = {output: output}
        password = password_file.read_text(encoding="utf-8").splitlines()[0] if password_file else None
        if service is not None:
            if together is not None:
                raise typer.BadParameter("is for one file with --service", param_hint="-o")
            from camtrust.cli.sign_remote import Caller, sign_at

            caller = Caller(client, client_key, public_url) if client or client_key else None
            given = [(file, target, password) for file, target in targets.items()]
            outcomes = sign_at(context, service, caller, given, credential, form, level, options)
        elif client is not None or client_key is not None:
            raise typer.BadParameter("is for --service", param_hint="--client")
        else:
            outcomes = _sign(context, targets, credential, form, level, password, options, together)
        lines = [f"{'signed ' if one['signed'] else 'REFUSED'}  {one['file']}  {one['detail']}" for one in outcomes]
        context.terminal.result({"files": outcomes}, lines)
        if not all(one["signed"] for one in outcomes):
            raise typer.Exit(4)

    return app


def _sign(
    context: Context,
    targets: dict[Path, Path],
    credential: str,
    form: Form,
    level: str | None,
    password: str | None,
    options: PdfOptions,
    together: bytes | None,
) -> list[dict[str, object]]:
    from camtrust.trust import write_new
    from foundation.http.actor import Actor, ActorKind
    from signing.errors import LevelNotAllowed
    from signing.model import Level

    if level is not None and level not in {one.value for one in Level}:
        raise LevelNotAllowed(level=level)
    language = context.terminal.language
    outcomes: list[dict[str, object]] = []
    with services_of(context) as services:
        owner = services.signing.owner_of(credential)
        if owner is None:
            raise CredentialNotHere(credential=credential)
        actor = Actor(ActorKind.PERSON, owner)
        uploaded: dict[str, Path] = {}
        for file in targets:
            try:
                named = services.signing.upload(
                    actor,
                    file.name,
                    file.read_bytes() if together is None else together,
                    form=form,
                    password=password,
                    options=options,
                )
                uploaded[named.document.document_id] = file
            except CamTrustError as refused:
                outcomes.append(outcome(file, False, f"{refused.code}: {refused.message(language)}"))
        if not uploaded:
            return outcomes
        warnings = (
            {} if together is not None else {one: warnings_of(context, one, password) for one in uploaded.values()}
        )
        try:
            pin, code = (
                secret_of("CAMTRUST_SIGN_PIN", "Signing PIN: "),
                secret_of("CAMTRUST_SIGN_CODE", "One-time code: "),
            )
            results = services.signing.authorise(
                actor, credential, list(uploaded), pin=pin, totp=code, level=Level(level) if level else None
            )
            for result in results:
                file = uploaded[result.document_id]
                if result.error is not None:
                    detail = f"{result.error.code}: {result.error.message(language)}"
                    outcomes.append(outcome(file, False, detail))
                    continue
                write_new(targets[file], services.signing.signed(actor, result.document_id)[1])
                outcomes.append(outcome(file, True, f"→ {targets[file]}"))
        finally:
            for document_id in uploaded:  # what was signed is in its file; nothing stays in the services
                services.signing.delete(actor, document_id)
    for one in outcomes:
        one["warnings"] = warnings.get(Path(str(one["file"])), [])
    return outcomes


def _together(files: list[Path]) -> bytes:
    """A container of the documents without any signature: what is uploaded so, is signed as one."""
    from signing.asic_container import ASIC_E, entry_name, write

    named = {entry_name(file.name): file.read_bytes() for file in files}
    if len(named) != len(files):
        raise typer.BadParameter("two documents have one name", param_hint="FILES")
    return write(ASIC_E, named)


def warnings_of(context: Context, file: Path, password: str | None) -> list[dict[str, str]]:
    """What a PDF hides or has prepared, told before the signer is asked for anything."""
    from foundation.catalogue import Language
    from signing.verify import pdf_bytes
    from signing.verify.lint import lint_document

    data = file.read_bytes()
    found = lint_document(data, password.encode() if password else None) if pdf_bytes.is_pdf(data) else ()
    for one in found:
        context.terminal.note(f"! {file}: {one.message(context.terminal.language)} [{one.rule}]")
    return [
        {"rule": one.rule, "message_en": one.message(Language.EN), "message_km": one.message(Language.KM)}
        for one in found
    ]


def secret_of(variable: str, prompt: str) -> str:
    return os.environ.get(variable) or getpass.getpass(prompt)


def outcome(file: Path, signed: bool, detail: str) -> dict[str, object]:
    """What became of a file, for people and for ``--json``."""
    return {"file": str(file), "signed": signed, "detail": detail}
