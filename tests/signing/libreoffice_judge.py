"""What LibreOffice says of the signatures in PDFs, through UNO. For Debian's own Python, which has its bindings:

    /usr/bin/python3 libreoffice_judge.py PROFILE FILE...

prints one JSON line: for each file, whether each signature is valid, in LibreOffice's order.
"""

import json
import subprocess
import sys
import time
from typing import Any

import uno  # type: ignore[import-not-found]  # of the package python3-uno

_PATIENCE = 120


def judge(profile: str, files: list[str]) -> dict[str, list[bool]]:
    pipe = f"camtrust{time.time_ns()}"
    office = subprocess.Popen(
        [
            *("soffice", "--headless", "--norestore", "--nologo", f"-env:UserInstallation=file://{profile}"),
            f"--accept=pipe,name={pipe};urp;",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        context = connected(pipe)
        access = context.ServiceManager.createInstanceWithContext("com.sun.star.ucb.SimpleFileAccess", context)
        signatures = context.ServiceManager.createInstanceWithContext(
            "com.sun.star.security.DocumentDigitalSignatures", context
        )
        found = {}
        for file in files:
            stream = access.openFileRead(f"file://{file}")
            information = signatures.verifyDocumentContentSignatures(None, stream)
            found[file] = [bool(one.SignatureIsValid) for one in information]
        return found
    finally:
        office.terminate()
        office.wait(30)


def connected(pipe: str) -> Any:
    local = uno.getComponentContext()
    resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
    for _ in range(2 * _PATIENCE):
        try:
            return resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
        except Exception:  # not listening yet
            time.sleep(0.5)
    raise SystemExit("LibreOffice does not listen")


if __name__ == "__main__":
    print(json.dumps(judge(sys.argv[1], sys.argv[2:])))
