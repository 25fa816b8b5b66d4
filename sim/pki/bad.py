"""Contract chains that a charger must refuse, by name: each is wrong in one thing only."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from sim.pki.authority import Blank, Entity, line, new_key, now, root
from sim.pki.pki import EMAID, Pki, contract_blank, sub_cas


@dataclass(frozen=True, slots=True)
class BadContract:
    """A leaf with its issuers, and the eMAID a vehicle would claim with it."""

    leaf: Entity
    emaid: str = EMAID

    @property
    def chain_der(self) -> list[bytes]:
        return self.leaf.chain_der


def unknown_root(_pki: Pki) -> BadContract:
    """A whole MO PKI that nobody knows."""
    stranger = root(Blank("Foreign Root CA", "MO"))
    return BadContract(line(stranger, [*sub_cas("Foreign"), contract_blank(EMAID)]))


def root_impostor(_pki: Pki) -> BadContract:
    """A root of the true root's name, with another key."""
    impostor = root(Blank("MO Root CA", "MO"))
    return BadContract(line(impostor, [*sub_cas("MO"), contract_blank(EMAID)]))


def forged_leaf(pki: Pki) -> BadContract:
    """A leaf that names the true sub-CA as issuer but is signed by another key."""
    forger = Entity(pki.mo_sub_ca2.certificate, new_key(), pki.mo_sub_ca2.issuer)
    return BadContract(forger.child(contract_blank(EMAID)))


def forged_sub_ca(pki: Pki) -> BadContract:
    """An attacker's leaf and sub-CA 2 that name the genuine MO root, which never signed them."""
    forger = Entity(pki.mo_root.certificate, new_key())
    return BadContract(line(forger, [replace(sub_cas("MO")[1]), contract_blank(EMAID)]))


def expired(pki: Pki) -> BadContract:
    blank = contract_blank(EMAID)
    over = replace(blank, not_before=now() - timedelta(days=30), not_after=now() - timedelta(days=1))
    return BadContract(pki.mo_sub_ca2.child(over))


def expired_sub_ca(pki: Pki) -> BadContract:
    first, second = sub_cas("MO")
    second = replace(second, not_before=now() - timedelta(days=30), not_after=now() - timedelta(days=1))
    return BadContract(line(pki.mo_root, [first, second, contract_blank(EMAID)]))


def not_yet_valid(pki: Pki) -> BadContract:
    return BadContract(pki.mo_sub_ca2.child(replace(contract_blank(EMAID), not_before=now() + timedelta(days=1))))


def emaid_differs(pki: Pki) -> BadContract:
    """A good chain, claimed with somebody else's account."""
    return BadContract(pki.contract, emaid="DEABCC12345678")


def emaid_malformed(pki: Pki) -> BadContract:
    return BadContract(pki.contract, emaid="not an eMAID")


def wrong_usage(pki: Pki) -> BadContract:
    """A leaf that may agree on keys but not sign."""
    blank = replace(contract_blank(EMAID), usage=frozenset({"key_agreement"}))
    return BadContract(pki.mo_sub_ca2.child(blank))


def leaf_is_ca(pki: Pki) -> BadContract:
    return BadContract(pki.mo_sub_ca2.child(replace(contract_blank(EMAID), ca=True, usage=None)))


def issuer_is_no_ca(pki: Pki) -> BadContract:
    """A contract leaf that issues another contract."""
    return BadContract(pki.contract.child(contract_blank("DEEVSC0000002X")), emaid="DEEVSC0000002X")


def sub_ca_may_not_sign(pki: Pki) -> BadContract:
    first, second = sub_cas("MO")
    second = replace(second, usage=frozenset({"crl_sign"}))
    return BadContract(line(pki.mo_root, [first, second, contract_blank(EMAID)]))


def path_too_long(pki: Pki) -> BadContract:
    """A third sub-CA below one whose path length is 0."""
    third = Blank("MO Sub-CA 3", "MO", ca=True, path_length=0)
    return BadContract(line(pki.mo_sub_ca2, [third, contract_blank(EMAID)]))


def secc_leaf(pki: Pki) -> BadContract:
    """A charger's own leaf in a contract's place."""
    return BadContract(pki.cpo_sub_ca2.child(Blank(EMAID, "CPO")))


def wrong_curve(pki: Pki) -> BadContract:
    """A leaf on a curve of 256 bits that is not secp256r1."""
    return BadContract(pki.mo_sub_ca2.child(contract_blank(EMAID), new_key(ec.BrainpoolP256R1())))


@dataclass(frozen=True, slots=True)
class BrokenChain(BadContract):
    """A good leaf sent with only the certificates named by `keep` (positions in its chain)."""

    keep: tuple[int, ...] = (0,)

    @property
    def chain_der(self) -> list[bytes]:
        chain = self.leaf.chain_der
        return [chain[position] for position in self.keep]


def no_sub_cas(pki: Pki) -> BadContract:
    return BrokenChain(pki.contract, keep=(0,))


def sub_ca_missing(pki: Pki) -> BadContract:
    return BrokenChain(pki.contract, keep=(0, 2))


BAD_CONTRACTS: dict[str, tuple[Callable[[Pki], BadContract], str]] = {
    "unknown_root": (unknown_root, "UNKNOWN_ROOT"),
    "root_impostor": (root_impostor, "BAD_SIGNATURE"),
    "forged_leaf": (forged_leaf, "BAD_SIGNATURE"),
    "forged_sub_ca": (forged_sub_ca, "BAD_SIGNATURE"),
    "expired": (expired, "EXPIRED"),
    "expired_sub_ca": (expired_sub_ca, "EXPIRED"),
    "not_yet_valid": (not_yet_valid, "NOT_YET_VALID"),
    "emaid_differs": (emaid_differs, "EMAID_MISMATCH"),
    "emaid_malformed": (emaid_malformed, "EMAID_SYNTAX"),
    "wrong_usage": (wrong_usage, "WRONG_USAGE"),
    "leaf_is_ca": (leaf_is_ca, "WRONG_USAGE"),
    "issuer_is_no_ca": (issuer_is_no_ca, "WRONG_USAGE"),
    "sub_ca_may_not_sign": (sub_ca_may_not_sign, "WRONG_USAGE"),
    "path_too_long": (path_too_long, "WRONG_USAGE"),
    "secc_leaf": (secc_leaf, "WRONG_USAGE"),
    "wrong_curve": (wrong_curve, "MALFORMED"),
    "no_sub_cas": (no_sub_cas, "UNKNOWN_ROOT"),
    "sub_ca_missing": (sub_ca_missing, "UNKNOWN_ROOT"),
}
"""Each bad contract with the reason it is to be refused for, by the name of `ContractFault`."""
