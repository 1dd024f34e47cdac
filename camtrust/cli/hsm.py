"""``camtrust hsm``: the emulated HSM of a home, and the probing of any PKCS#11 module."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Annotated

import typer

from camtrust.cli.context import Context
from camtrust.cli.hsm_backup import add_backup
from camtrust.cli.hsm_cards import add_login_quorum, write_cards
from camtrust.cli.hsm_quorum import add_quorum
from camtrust.cli.hsm_statements import add_commands
from camtrust.cli.probe import add_probe
from camtrust.home import Home
from camtrust.keys import (
    ROOT,
    SERVICES,
    TRUST_LIST,
    make_token,
    make_token_with_cards,
    open_officer,
    open_token,
)
from hsm_emulation.client import HsmClient
from hsm_emulation.process import Pkcs11Door, socket_path

_TOKENS = {"services": SERVICES, "root": ROOT, "trust": TRUST_LIST}
TokenOption = Annotated[str, typer.Option("--token", help="services, root or trust")]


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options."""
    app = typer.Typer(
        help="The emulated HSM. It stands in for a hardware module and protects keys no better than this machine does.",
        no_args_is_help=True,
        add_completion=False,
    )

    @app.command()
    def init(
        token: TokenOption = "services",  # noqa: S107 - the name of a token
        cards: Annotated[
            str | None, typer.Option("--cards", metavar="KofN", help="no PIN: K of N cards open it, 3of5 say")
        ] = None,
        cards_to: Annotated[
            Path | None, typer.Option("--cards-to", metavar="DIR", help="one file a card, instead of showing them")
        ] = None,
    ) -> None:
        """Make a token, with PINs made at random and kept beside it (embedded default), or with cards."""
        home = context.new_home()
        if cards is not None:
            _init_with_cards(context, home, token, cards, cards_to)
            return
        made = make_token(home, _directory(token), _public_url(home) if _directory(token) == SERVICES else None)
        context.terminal.result(
            {"token": token, "made": made, "directory": str(home.path / _directory(token))},
            [f"The {token} token is ready in {home.path / _directory(token)}." if made else "It is there already."],
        )

    @app.command()
    def serve(
        token: TokenOption = "services",  # noqa: S107
        pkcs11: Annotated[
            Path | None,
            typer.Option("--pkcs11", metavar="SOCKET", help="a door for PKCS#11 programs too, by p11-kit-client.so"),
        ] = None,
    ) -> None:
        """Run the key daemon in the foreground until it is interrupted, and log in."""
        import threading

        with ExitStack() as stack:
            client = stack.enter_context(_opened(context, token))
            status = client.status()
            if pkcs11 is not None:
                address = socket_path(context.home().path / _directory(token))
                door = stack.enter_context(Pkcs11Door.start(address, pkcs11))
                context.terminal.note(f"PKCS#11 programs: P11_KIT_SERVER_ADDRESS=unix:path={door.socket_path}")
            context.terminal.note(
                f"Key daemon {status['pid']} serves token {status['serial']} (emulated). Ctrl-C ends it."
            )
            threading.Event().wait()

    @app.command()
    def inventory(token: TokenOption = "services") -> None:  # noqa: S107
        """Count keys by use and algorithm; check the token's own audit chain."""
        with _opened(context, token) as client:
            found = client.inventory()
            found["audit_rows_verified"] = client.verify_audit()
        people = f"{found['owners']} persons, {found['factors']} with factors, {found['wrapped_keys']} wrapped keys"
        lines = [f"Token {found['serial']} (emulated), {people}"]
        lines += [
            f"  {row['count']:>6}  {row['use']:<24} {row['algorithm']:<10} {'' if row['enabled'] else 'disabled'}"
            for row in found["keys"]
        ]
        lines.append(f"Audit chain: {found['audit_rows_verified']} rows, unbroken")
        context.terminal.result(found, lines)

    for add in (add_commands, add_quorum):
        add(
            app,
            context,
            lambda token: _opened(context, token),
            lambda token: open_officer(context.home(), _directory(token)),
        )
    add_backup(
        app,
        context,
        lambda token: _opened(context, token),
        lambda token: open_officer(context.home(), _directory(token)),
        _TOKENS,
    )
    add_login_quorum(app, context, _TOKENS)
    add_probe(app, context)
    return app


def _init_with_cards(context: Context, home: Home, token: str, size: str, folder: Path | None) -> None:
    directory = _directory(token)
    made = make_token_with_cards(home, directory, size, _public_url(home) if directory == SERVICES else None)
    value = {"token": token, "made": True, "directory": str(home.path / directory), "cards": size}
    lines = [f"The {token} token is ready in {home.path / directory}. It has no PIN: {size} cards open it."]
    if folder is not None:
        files = [str(path) for path in write_cards(folder, made, size, token)]
        context.terminal.result(
            {**value, "card_files": files}, [*lines, *files, "Give each holder one, and keep none."]
        )
        return
    lines += ["Each holder writes down one card. They are shown this once:"]
    lines += [line for number, card in enumerate(made, 1) for line in ("", f"Card {number} of {len(made)}", card)]
    context.terminal.result({**value, "card_words": list(made)}, lines)


def _public_url(home: Home) -> str:
    from camtrust.settings import load_settings  # the offline root is installed without what reads settings

    return load_settings(home.settings_file).public_url


def _opened(context: Context, token: str) -> AbstractContextManager[HsmClient]:
    """A token of the home; the services' own as the settings name it."""
    home, directory = context.home(), _directory(token)
    if directory != SERVICES:
        return open_token(home, directory)  # offline tokens have no settings, nor what settings are read with
    from camtrust.settings import load_settings

    return open_token(home, directory, load_settings(home.settings_file).keys)


def _directory(token: str) -> str:
    if token not in _TOKENS:
        raise typer.BadParameter(f"'{token}' is not one of {', '.join(_TOKENS)}")
    return _TOKENS[token]
