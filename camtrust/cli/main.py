"""The command line ``camtrust``.

Exit codes: 0 done, or verified as valid; 1 verified as not valid; 2 wrong usage; 3 indeterminate; 4 anything else that
failed, with the failure's code on standard error. Global options stand before or after the command. A group's module
is imported when that group is called, so that a quick command stays quick.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, NoReturn

from camtrust.cli.context import Context, home_from_environment
from foundation.catalogue import SPOKEN, Language, negotiate
from foundation.errors import CamTrustError, InternalError
from foundation.terminal import Terminal

USAGE, FAILED, INTERRUPTED = 2, 4, 130


class Command(NamedTuple):
    """A command or group: its module, and one line of help."""

    module: str
    help: str


COMMANDS = {
    "demo": Command("camtrust.cli.demo", "Tell the whole story, station by station; leave every artifact in --home."),
    "serve": Command("camtrust.cli.serve", "Run all services on one port, in one process or several."),
    "doctor": Command("camtrust.cli.doctor", "Check clock, database, key store, trust bundle and certificates."),
    "hsm": Command(
        "camtrust.cli.hsm", "The emulated HSM: keys, cards, custodians, backups; a report on any PKCS#11 module."
    ),
    "root": Command("camtrust.cli.root", "Root ceremonies: check, rehearse, perform, cosign, verify, record."),
    "ca": Command(
        "camtrust.cli.ca", "The issuing CA: certificates, revocation, status, the public log, the audit trail."
    ),
    "ra": Command(
        "camtrust.cli.ra", "Officers of the registration authority: look, approve, refuse, revoke, by their own key."
    ),
    "ekyc": Command("camtrust.cli.ekyc", "Enrolments: look, decide, call back; devices, chip authorities, retention."),
    "actors": Command(
        "camtrust.cli.actors", "Officers, clients, operators: register, list, disable; OAuth, seals and their policy."
    ),
    "seals": Command("camtrust.cli.seals", "As an officer: requests for organisations' seal credentials."),
    "sign": Command("camtrust.cli.sign", "Sign documents with a credential of the home."),
    "extend": Command("camtrust.cli.extend", "Raise a signature's level, or keep files by evidence records."),
    "verify": Command("camtrust.cli.verify", "Verify documents offline against a pinned trust bundle."),
    "bundle": Command("camtrust.cli.bundle", "The offline trust bundle: export, sign, show, check, operators."),
    "db": Command("camtrust.cli.db", "The database: upgrade, backup, restore."),
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point: run one command and exit with its code."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run one command; gives its exit code."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has gone: nobody was told a verdict, and 0 would be one
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _run(arguments: list[str]) -> int:
    try:
        context, rest, wants_help = _global_options(arguments)
    except _Usage as error:
        return _usage(str(error))
    if wants_help or not rest:
        print(_overview())
        return 0 if wants_help else USAGE
    command = COMMANDS.get(rest[0])
    if command is None:
        return _usage(f"there is no command '{rest[0]}'")
    try:
        return _call(command, context, rest)
    except CamTrustError as error:
        return _failed(error, context.terminal)
    except KeyboardInterrupt:
        print("camtrust: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception:  # a defect of ours must not exit with 1, which means "not valid"
        if os.environ.get("CAMTRUST_DEBUG"):
            raise
        traceback.print_exc(limit=-3)
        return _failed(InternalError(), context.terminal)


class _Usage(Exception):
    pass


def _global_options(arguments: list[str]) -> tuple[Context, list[str], bool]:
    """Take the global options out of wherever they stand (but not behind ``--``)."""
    rest: list[str] = []
    json_output, home, language, wants_help = False, home_from_environment(), None, False
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        name, equals, inline = argument.partition("=")
        if argument == "--":
            rest += arguments[position - 1 :]
            break
        if argument == "--json":
            json_output = True
        elif name in ("--home", "--lang"):
            if not equals:
                if position == len(arguments):
                    raise _Usage(f"{name} needs a value")
                inline = arguments[position]
                position += 1
            if name == "--home":
                home = Path(inline)
            elif inline in SPOKEN:
                language = Language(inline)
            else:
                raise _Usage("--lang is km or en")
        elif argument == "--version" and not rest:
            from importlib.metadata import version

            print(f"camtrust {version('camtrust')}")
            raise SystemExit(0)
        elif argument in ("-h", "--help") and not rest:
            wants_help = True
        else:
            rest.append("--help" if argument == "-h" else argument)
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG")
    terminal = Terminal(language=language or negotiate(locale), json=json_output)
    return Context(terminal=terminal, home_path=home), rest, wants_help


def _call(command: Command, context: Context, rest: list[str]) -> int:
    import typer

    app: typer.Typer = import_module(command.module).create(context)
    try:
        code = typer.main.get_command(app)(args=rest[1:], prog_name=f"camtrust {rest[0]}", standalone_mode=False)
    except typer.Exit as done:
        return done.exit_code
    except SystemExit:  # typer's own end, with 1, where the reader of the output has gone: 1 is a verdict here
        raise BrokenPipeError from None
    except typer.Abort:
        print("camtrust: stopped", file=sys.stderr)
        return INTERRUPTED
    except typer.TyperException as error:
        if show := getattr(error, "show", None):
            show()
        else:
            print(f"camtrust: {error.format_message()}", file=sys.stderr)
        return USAGE if error.exit_code == USAGE else FAILED
    return code if isinstance(code, int) else 0


def _failed(error: CamTrustError, terminal: Terminal) -> int:
    message, hint = error.message(terminal.language), error.hint(terminal.language)
    if terminal.json:
        print(json.dumps({"error": {"code": error.code, "detail": message, "hint": hint}}, ensure_ascii=False))
    print(f"camtrust: {error.code}: {message}", file=sys.stderr)
    if hint:
        print(f"  → {hint}", file=sys.stderr)
    return FAILED


def _usage(problem: str) -> int:
    print(f"camtrust: {problem}\nTry 'camtrust --help'.", file=sys.stderr)
    return USAGE


def _overview() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items())
    return f"""\
camtrust: digital trust for Cambodia, from the offline root to a verdict without a network.

Usage: camtrust [--home DIR] [--json] [--lang km|en] COMMAND …

{commands}

Global options, before or after the command:
  --home DIR     where the state lives (or CAMTRUST_HOME)
  --json         one JSON document on standard output, and nothing else
  --lang km|en   language of what people read (default: the locale)
  --version      the version

Exit codes: 0 done or valid, 1 not valid, 2 wrong usage, 3 indeterminate, 4 failed (the code is on standard error).
A first look:  camtrust demo --home demo-home
"""
