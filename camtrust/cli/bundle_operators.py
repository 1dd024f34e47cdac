"""``camtrust bundle operators``, ``bundle sign``: several people sign trust bundles together, each with a home.

    each operator     camtrust hsm init --token trust
                      camtrust bundle operators certificate -o NAME.pem
    one of them       camtrust bundle operators propose A.pem B.pem C.pem --threshold 2 -o operators.json
    each in turn      camtrust bundle operators sign operators.json
    each              camtrust bundle operators adopt operators.json
    one of them       camtrust bundle export                (a draft, until enough have signed)
    another           camtrust bundle sign camtrust.bundle.draft

A new set is proposed the same way: it goes on from the one that the home knows, and operators of both sign it. Files go
from one to the next on a USB stick; no home needs a network for this.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from camtrust.cli.context import Context

if TYPE_CHECKING:
    from camtrust.trust import WrittenBundle

_LONGEST = 512 * 1024 * 1024

SetFile = Annotated[Path, typer.Argument(help="The file of operators' sets.")]


def create_operators(context: Context) -> typer.Typer:
    """The group, bound to the global options."""
    app = typer.Typer(help="Who signs trust bundles, and how many of them.", no_args_is_help=True, add_completion=False)

    @app.command()
    def certificate(out: Annotated[Path, typer.Option("-o", "--out", help="Where to write it (PEM).")]) -> None:
        """Write this home's operator's certificate, made with its key where it is not there yet."""
        from cryptography.hazmat.primitives.serialization import Encoding

        from signing.verify.bundle import fingerprint

        with _operator(context) as (_, _keys, own):
            _write(out, own.public_bytes(Encoding.PEM))
            context.terminal.result(
                {"path": str(out), "sha256": fingerprint(own)}, [f"{out}: operator {fingerprint(own)}"]
            )

    @app.command()
    def propose(
        certificates: Annotated[list[Path], typer.Argument(help="The operators' certificates.")],
        threshold: Annotated[int, typer.Option(min=1, help="How many of them it takes.")],
        out: Annotated[Path, typer.Option("-o", "--out", help="Where to write the sets.")],
    ) -> None:
        """Propose the set that follows the one this home knows, or the first; nobody has signed it yet."""
        from camtrust.trust import OPERATORS_IN_HOME
        from foundation.x509.pem import read_certificate
        from signing.verify.operators import OperatorsInvalid, SignedSet, new_set, read_chain, write_chain

        home = context.home()
        known = home.path / OPERATORS_IN_HOME
        chain = read_chain(known.read_bytes()) if known.exists() else ()
        people = [read_certificate(path.read_bytes(), path.name) for path in certificates]
        before = chain[-1].operators if chain else None
        try:
            made = new_set(before, people, threshold, context.clock.now())
        except OperatorsInvalid as error:
            raise typer.BadParameter(str(error)) from None
        _write(out, write_chain((*chain, SignedSet(made, ()))))
        _say_set(context, out, made, ())

    @app.command()
    def show(file: SetFile) -> None:
        """Show the newest set, and who signed it so far."""
        chain = _chain(file)
        _say_set(context, file, chain[-1].operators, _signers(chain[-1]))

    @app.command()
    def sign(file: SetFile) -> None:
        """Add this home's operator's signature to the newest set."""
        from camtrust.trust import operator_key
        from signing.verify.bundle import fingerprint
        from signing.verify.operators import sign_set, write_chain

        chain = _chain(file)
        with _operator(context) as (_, keys, own):
            if fingerprint(own) in _signers(chain[-1]):
                raise typer.BadParameter("this operator has signed it already")
            signed = sign_set(chain[-1], operator_key(keys), own)
        file.write_bytes(write_chain((*chain[:-1], signed)))
        _say_set(context, file, signed.operators, _signers(signed))

    @app.command()
    def adopt(file: SetFile) -> None:
        """Take the sets into this home, once enough operators have signed; the newest one makes bundles from now on."""
        from camtrust.trust import adopt_operators

        newest = adopt_operators(context.home(), _read(file))
        context.terminal.result(
            {"version": newest.version, "threshold": newest.threshold, "sha256": newest.sha256},
            [
                f"Operators' set {newest.version}: {newest.threshold} of {len(newest.operators)} sign bundles.",
                f"To pin: {newest.sha256} (a pin of an earlier set holds on)",
            ],
        )

    return app


def sign_bundle(context: Context, file: Path) -> None:
    """``bundle sign``: check what it holds against what this home knows, sign, and publish it where it is enough."""
    from camtrust.errors import OperatorNotInSet, OperatorsRefused
    from camtrust.trust import operator_chain, operator_key, publish_bundle
    from signing.verify.bundle import Bundle, fingerprint, read_bundle
    from signing.verify.bundle_export import add_signature

    octets = _read(file)
    with _operator(context) as (home, keys, own):
        chain = operator_chain(home)
        if chain is None or fingerprint(own) not in chain[-1].operators:
            raise OperatorNotInSet(version=chain[-1].version if chain else 0)
        read = read_bundle(octets, frozenset({chain[-1].sha256}))
        bundle = read if isinstance(read, Bundle) else read.claimed
        if bundle is None or bundle.sets != chain:  # nobody signs under operators that this home has not taken
            raise OperatorsRefused(name=file.name)
        written = publish_bundle(home, add_signature(octets, (operator_key(keys), own)), chain[-1].sha256)
    say_written(context, written)


def say_written(context: Context, written: WrittenBundle) -> None:
    """Tell where a bundle is, and what it still lacks."""
    if written.missing:
        lines = [
            f"Bundle {written.sequence} is a draft in {written.path}: {written.missing} more operators must sign it.",
            "  → Carry it to another operator: camtrust bundle sign camtrust.bundle.draft",
        ]
    else:
        lines = [f"Bundle {written.sequence} is in {written.path}; verifiers may rely on it until {written.expires}."]
    context.terminal.result(
        {
            "path": str(written.path),
            "sequence": written.sequence,
            "expires": written.expires,
            "signer": written.signer,
            "missing": written.missing,
        },
        [*lines, f"Its signer, to pin: {written.signer}"],
    )


class _operator:
    """The home, its trust-list operator's token and certificate."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> Any:
        from camtrust.keys import TRUST_LIST, open_token
        from camtrust.settings import load_settings
        from camtrust.trust import operator_certificate

        home = self._context.home()
        settings = load_settings(home.settings_file)
        self._token = open_token(home, TRUST_LIST)
        keys = self._token.__enter__()
        return home, keys, operator_certificate(home, keys, self._context.clock, settings.specimen)

    def __exit__(self, *error: Any) -> None:
        self._token.__exit__(*error)


def _chain(file: Path) -> Any:
    from camtrust.errors import OperatorsRefused
    from signing.verify.operators import OperatorsInvalid, read_chain

    try:
        return read_chain(_read(file))
    except OperatorsInvalid:
        raise OperatorsRefused(name=file.name) from None


def _signers(one: Any) -> tuple[str, ...]:
    from camtrust.errors import OperatorsRefused
    from signing.verify.operators import OperatorsInvalid, signers_of

    try:
        return signers_of(one)
    except OperatorsInvalid:
        raise OperatorsRefused(name="operators.json") from None


def _say_set(context: Context, file: Path, one: Any, signers: tuple[str, ...]) -> None:
    marks = [f"  {'✓' if name in signers else ' '} {name}" for name in one.operators]
    marks += [f"  ✓ {name} (of the set before)" for name in signers if name not in one.operators]
    context.terminal.result(
        {
            "path": str(file),
            "version": one.version,
            "threshold": one.threshold,
            "operators": list(one.operators),
            "signed": list(signers),
            "sha256": one.sha256,
        },
        [f"{file}: operators' set {one.version}, {one.threshold} of {len(one.operators)} sign", *marks],
    )


def _read(file: Path) -> bytes:
    from signing.verify.errors import FileUnreadable

    try:
        with file.open("rb") as stream:
            return stream.read(_LONGEST)
    except OSError:
        raise FileUnreadable(name=str(file)) from None


def _write(file: Path, octets: bytes) -> None:
    from camtrust.trust import write_new

    try:
        write_new(file, octets)
    except FileExistsError:
        raise typer.BadParameter(f"{file} is there already; nothing is overwritten") from None
