"""Certificates for a vehicle and for the package's SECC, in the package's layout."""

from pathlib import Path

from sim.pki.authority import Blank
from sim.pki.evcc import export_evcc
from sim.pki.pki import Pki


def export_both_ends(authorities: Pki, directory: Path) -> Path:
    """What the vehicle reads, and beside it the SECC leaf that `export_evcc` leaves to the station."""
    exported = export_evcc(authorities, directory)
    secc = authorities.cpo_sub_ca2.child(Blank("SECC leaf", "CPO"))
    (exported / "iso15118_2/certs/cpoCertChain.pem").write_bytes(secc.chain_pem)
    (exported / "iso15118_2/private_keys/seccLeaf.key").write_bytes(secc.key_pem())
    (exported / "iso15118_2/private_keys/seccLeafPassword.txt").write_text("")
    return exported
