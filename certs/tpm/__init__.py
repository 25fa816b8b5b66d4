"""The station's TPM 2.0: its keys, and the only door to tpm2_pytss.

One owner, one connection, one command at a time (`Turns`: handshakes first). Keys are persistent handles below the
storage root key at 0x81000001, so a signature is a single command and nothing has to be loaded, saved or flushed;
authorisation is the empty password, because a password that lies beside the key in the same flash defends nothing.

Every key is made with noDA, and a key without it is refused. A key under dictionary-attack protection counts a failure
for each hard power cut after its use: three power cuts lock the TPM, and with it the charger. noDA keys leave the
counter at 0 and sign even while it is locked.

What happens when the chip falters: transport errors, a lost Startup, unknown handles and a busy chip are met once by
reopening the connection (and TPM2_Startup where the TPM asks for it) and running the whole operation again; the second
failure is raised with its reason. A chip that does not answer at all keeps the thread that waits for it, not its owner:
the operation fails after its time, the next one gets a connection of its own. A key that is opened again is compared
with the public point it had, so that another board's TPM, or a wiped one, is noticed before it signs.

Secrets are sealed below the same root key, through a session salted with it, so that nothing of them is readable on
the bus between the chip and the processor.

    owner.py       Tpm: what the station asks of its chip
    keystore.py    its signing keys as a `certs.keystore.KeyStore`
    line.py        a connection: time limits, retries, recovery
    objects.py     attributes and templates of keys and secrets, sessions
    chip.py        what the chip tells of itself
    response.py    what its response codes mean

Results of tpm2_pytss are kept in a variable before their parts are read: `f()[1].data.x` reads memory already freed.
"""

from certs.tpm.chip import Chip, Endorsement, KeyAttributes
from certs.tpm.keystore import TpmKey, TpmKeyStore
from certs.tpm.line import Health
from certs.tpm.objects import Sealed
from certs.tpm.owner import SLOTS, SRK, Tpm

__all__ = [
    "SLOTS",
    "SRK",
    "Chip",
    "Endorsement",
    "Health",
    "KeyAttributes",
    "Sealed",
    "Tpm",
    "TpmKey",
    "TpmKeyStore",
]
