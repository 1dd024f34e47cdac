"""Run as a program: a complete ceremony on a real token, with an audit hook that notes every socket.

python ceremony_alone.py FOLDER   prints one JSON document: socket families, addresses connected to, the verdict
python ceremony_alone.py --control   opens an Internet socket, to show that the hook would see it
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

FAMILIES: set[int] = set()
TOUCHED: set[str] = set()


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.__new__":
        FAMILIES.add(int(arguments[1]))
    elif event.startswith("socket."):
        TOUCHED.add(f"{event} {arguments[1]}" if event == "socket.connect" else event)


def main() -> None:
    sys.addaudithook(note)
    if sys.argv[1] == "--control":
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    else:
        print(json.dumps(ceremony(Path(sys.argv[1]))))
        return
    print(json.dumps({"families": sorted(FAMILIES)}))


def ceremony(folder: Path) -> dict[str, Any]:
    from hsm_emulation.client import HsmClient
    from hsm_emulation.process import KeyDaemon, initialise
    from root_ca.ceremony_file import load_ceremony
    from root_ca.service import check, rehearse, verify
    from tests.root.root_world import NOW, SetClock, perform_file, prepare

    acts = prepare(folder)
    with tempfile.TemporaryDirectory(prefix="camtrust-", dir="/tmp") as home:
        for name in ("real", "throwaway"):
            initialise(Path(home) / name, "so-pin-for-tests-0", "user-pin-for-tests-0")
        with (
            KeyDaemon.start(Path(home) / "real") as real,
            KeyDaemon.start(Path(home) / "throwaway") as throwaway,
            HsmClient(real.socket_path) as store,
            HsmClient(throwaway.socket_path) as other,
        ):
            store.login("user-pin-for-tests-0")
            other.login("user-pin-for-tests-0")
            for act in acts:
                path = folder / act.file
                assert all(result.passed for result in check(load_ceremony(path)))
                rehearse(load_ceremony(path), other, SetClock(NOW))
                perform_file(path, store)
            left = len(other.find())
            sockets = {str(real.socket_path), str(throwaway.socket_path)}
    result = verify(folder / "transcript.json")
    connected = {item.removeprefix("socket.connect ") for item in TOUCHED if item.startswith("socket.connect ")}
    return {
        "families": sorted(FAMILIES),
        "events": sorted(item for item in TOUCHED if not item.startswith("socket.connect ")),
        "only_daemons": connected == sockets,
        "valid": result.valid,
        "acts": len(result.acts),
        "left_on_throwaway": left,
    }


if __name__ == "__main__":
    main()
