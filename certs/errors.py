"""What can go wrong with keys, certificates and TLS: one root, ours and the chip's apart."""

from enum import StrEnum


class CertsError(Exception):
    """Root of every error of keys, certificates and TLS."""


class KeyFault(StrEnum):
    """Why a private key could not be used or made."""

    ABSENT = "the TPM does not answer"
    BUSY = "the TPM stayed busy"
    SILENT = "the TPM has not answered in time"
    FAILURE_MODE = "the TPM is in failure mode"
    LOCKED_OUT = "the TPM is locked out"
    OUT_OF_MEMORY = "the TPM has no room for another object"
    NO_SUCH_KEY = "the TPM holds no key at this handle"
    FOREIGN_KEY = "the key at this handle is not the one that was installed"
    NO_FREE_SLOT = "every key slot is taken"
    CURVE_UNSUPPORTED = "the key store has no such curve"
    WEAK_ATTRIBUTES = "the key's attributes are not those a station's key must have"
    NOT_AUTHORISED = "the TPM's owner password is not the one we have"
    FOREIGN_SECRET = "the secret was made for another TPM, or for this one before it was cleared"
    POLICY = "a policy of the sealed object does not hold"
    NOT_ALLOWED = "the configuration does not allow keys in files"
    BAD_FILE = "the key file cannot be read"
    PROTOCOL = "the TPM refused the command"


class KeyUnavailable(CertsError):
    """A key store could not do what was asked; `reason` says why, `detail` is for the log."""

    def __init__(self, reason: KeyFault, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


class TlsUnsupported(CertsError):
    """This interpreter cannot serve TLS with a key held outside it; the text says what is missing."""
