from cryptography.hazmat.primitives.serialization import Encoding
from issuing_ca.model import Reason
from tests.ca.ca_world import OPERATOR, World
from tests.ca.pkilint_verdict import findings
from tests.ca.test_ca_issuance import SEAL, csr, officer_request

def test_x(small_world):
    w=small_world
    c=w.citizen(); d=w.citizen()
    w.ca.revoke(d.serial, Reason.KEY_COMPROMISE, OPERATOR)
    things={
     "citizen":c.certificate,
     "seal": w.ca.issue_for_request("organisation-seal", csr(), SEAL, "organisation-1", OPERATOR).certificate,
     "officer": w.ca.issue_now(officer_request(w)).certificate,
     "tsa": w.ca.timestamps.certificate(),
     "ocsp": w.ca.units.ocsp_responder(w.ca.authorities.get("issuing")).certificate,
    }
    for n,t in things.items():
        p=w.write(n+".pem",t)
        print(n, sorted(findings("pkix_cert",p)))
    print("etsi", sorted(findings("etsi_cert", w.folder/"citizen.pem", ["-t","NCP-NATURAL-PERSON-CERTIFICATE"])))
    print("etsi", sorted(findings("etsi_cert", w.folder/"seal.pem", ["-t","NCP-LEGAL-PERSON-CERTIFICATE"])))
    import base64
    (w.folder/"x.crl").write_bytes(w.ca.current_crl("issuing"))
    print("crl",sorted(findings("crl",w.folder/"x.crl",["-t","CRL","-p","PKIX"])))
    print("crl",sorted(findings("crl",w.folder/"x.crl",["-t","CRL","-p","BR"])))
    (w.folder/"x.ocsp").write_bytes(w.ca.fresh_ocsp(d.certificate))
    print("ocsp",sorted(findings("ocsp_response",w.folder/"x.ocsp")))
    (w.folder/"x.ocsp").write_bytes(w.ca.fresh_ocsp(c.certificate))
    print("ocsp",sorted(findings("ocsp_response",w.folder/"x.ocsp")))
