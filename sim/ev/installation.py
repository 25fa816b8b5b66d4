"""A contract that came by CertificateInstallationRes, with its key decrypted by the provisioning key."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.x509 import load_der_x509_certificate
from cryptography.x509.oid import NameOID

from sim.ev.script import Elements
from sim.ev.wishes import Credential
from sim.pki.cps import shared_key


def installed_2(response: Elements, provisioning: ec.EllipticCurvePrivateKey) -> Credential:
    """Raises ValueError: the key does not go with the certificate."""
    point = response["DHpublickey"]["value"]
    key = shared_key(provisioning, _public(provisioning.curve, point), SHA256(), 16)
    octets = response["ContractSignatureEncryptedPrivateKey"]["value"]
    decryptor = Cipher(algorithms.AES(key), modes.CBC(octets[:16])).decryptor()
    secret = decryptor.update(octets[16:]) + decryptor.finalize()
    return _credential(response["ContractSignatureCertChain"], secret, ec.SECP256R1())


def installed_20(response: Elements, provisioning: ec.EllipticCurvePrivateKey) -> Credential:
    """Raises ValueError, cryptography's InvalidTag."""
    data = response["SignedInstallationData"]
    key = shared_key(provisioning, _public(provisioning.curve, data["DHPublicKey"]), SHA512(), 32)
    octets = data["SECP521_EncryptedPrivateKey"]
    secret = AESGCM(key).decrypt(octets[:12], octets[12:], None)
    return _credential(data["ContractCertificateChain"], secret, ec.SECP521R1())


def _public(curve: ec.EllipticCurve, point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)


def _credential(chain: Elements, secret: bytes, curve: ec.EllipticCurve) -> Credential:
    key = ec.derive_private_key(int.from_bytes(secret), curve)
    leaf = load_der_x509_certificate(chain["Certificate"])
    if leaf.public_key() != key.public_key():
        raise ValueError("the installed key is not the certificate's")
    name = str(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    return Credential((chain["Certificate"], *chain["SubCertificates"]["Certificate"]), key, name)
