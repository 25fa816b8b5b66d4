"""The CSMS's certificate desk over the test PKI.

It signs what stations ask for, hands OCSP responses on, and has contract certificates made for vehicles.
"""

import base64

from secc.exi import ExiError
from sim.csms.answers import Payload
from sim.csms.server import Csms, Event
from sim.pki.cps import install
from sim.pki.ocsp import Responder
from sim.pki.pki import EMAID, Pki


class CertificateDesk:
    """A hook (SignCertificate is followed by CertificateSigned) and an answerer (GetCertificateStatus)."""

    def __init__(self, pki: Pki) -> None:
        self._pki = pki
        self._responder = Responder([pki.v2g_root, pki.cpo_sub_ca1, pki.cpo_sub_ca2])

    def __call__(self, csms: Csms, event: Event) -> None:
        if event.action != "SignCertificate":
            return
        use, csr = event.payload.get("certificateType", "ChargingStationCertificate"), event.payload["csr"].encode()
        issue = self._pki.issue_secc if use == "V2GCertificate" else self._pki.issue_station
        csms.call_later("CertificateSigned", {"certificateChain": issue(csr).decode(), "certificateType": use})

    def ev_certificate(self, payload: Payload) -> Payload:
        """A Get15118EVCertificateResponse; Failed for a request nobody can read."""
        request = base64.b64decode(payload["exiRequest"])
        try:
            issued = install(self._pki, EMAID, request, payload["iso15118SchemaVersion"])
        except (ExiError, KeyError, ValueError):
            return {"status": "Failed", "exiResponse": ""}
        return {"status": "Accepted", "exiResponse": base64.b64encode(issued.exi).decode()}

    def status(self, payload: Payload) -> Payload:
        """A GetCertificateStatusResponse."""
        asked = payload["ocspRequestData"]
        response = self._responder.answer_for(
            bytes.fromhex(asked["issuerNameHash"]),
            bytes.fromhex(asked["issuerKeyHash"]),
            int(asked["serialNumber"], 16),
        )
        if response is None:
            return {"status": "Failed"}
        return {"status": "Accepted", "ocspResult": base64.b64encode(response).decode()}
