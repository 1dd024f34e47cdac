"""The body of an officer's review, signed with the officer's own key (docs/ekyc.md).

python docs/examples/review.py KEY.pem ENROLMENT EVIDENCE-DIGEST DECISION METHOD REASON
"""

import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ekyc.review import statement as review_statement

key_file, enrolment, digest, decision, method, reason = sys.argv[1:]
key = load_pem_private_key(Path(key_file).read_bytes(), None)
said = review_statement.statement(enrolment, digest, decision, method, reason)
body = {"decision": decision, "method": method, "reason": reason, "evidence_digest": digest}
print(json.dumps(body | {"signature": review_statement.sign(key, said)}))
