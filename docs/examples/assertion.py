"""The Authorization header of an officer, API client or operator for one request (docs/api.md).

python docs/examples/assertion.py ORIGIN KEY.pem ACTOR METHOD PATH [BODY-FILE]
"""

import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from identity.assertion import make_assertion

origin, key_file, actor, method, path, *body = sys.argv[1:]
key = load_pem_private_key(Path(key_file).read_bytes(), None)
octets = Path(body[0]).read_bytes() if body else b""
jti = secrets.token_urlsafe(24)  # new for each request: it is good once
print("Authorization:", make_assertion(key, actor, origin, method, origin + path, octets, datetime.now(UTC), jti))
