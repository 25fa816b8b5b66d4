"""What the TPM's response codes mean to the station. Pure."""

from certs.errors import KeyFault

# Response codes (TPM 2.0 library specification, part 2, table of TPM_RC), without handle, session and parameter bits.
RC_INITIALIZE = 0x100
FAULTS = {
    RC_INITIALIZE: KeyFault.ABSENT,
    0x101: KeyFault.FAILURE_MODE,
    0x902: KeyFault.OUT_OF_MEMORY,
    0x903: KeyFault.OUT_OF_MEMORY,
    0x904: KeyFault.OUT_OF_MEMORY,
    0x908: KeyFault.BUSY,
    0x90A: KeyFault.BUSY,
    0x920: KeyFault.BUSY,
    0x921: KeyFault.LOCKED_OUT,
    0x922: KeyFault.BUSY,
    0x923: KeyFault.BUSY,
    0x082: KeyFault.NO_SUCH_KEY,
    0x08B: KeyFault.NO_SUCH_KEY,
    **dict.fromkeys(range(0x910, 0x917), KeyFault.NO_SUCH_KEY),
    0x08E: KeyFault.NOT_AUTHORISED,
    0x0A2: KeyFault.NOT_AUTHORISED,
    0x09D: KeyFault.POLICY,
    0x09F: KeyFault.FOREIGN_SECRET,
    0x0A6: KeyFault.CURVE_UNSUPPORTED,
}
WORTH_A_SECOND_TRY = {KeyFault.ABSENT, KeyFault.BUSY, KeyFault.NO_SUCH_KEY}
OF_THE_CHIP = {
    KeyFault.ABSENT,
    KeyFault.BUSY,
    KeyFault.SILENT,
    KeyFault.FAILURE_MODE,
    KeyFault.LOCKED_OUT,
    KeyFault.OUT_OF_MEMORY,
}
"""The chip as a whole is at fault, not what was asked of it."""

LAYER_MASK = 0xFF0000
# What we gave is no object of a TPM: it came from a file.
MARSHALLING_LAYER = 0x090000
# Layers whose codes are the TPM's own: the TPM itself, and a resource manager that answers in its place.
TPM_LAYERS = (0x000000, 0x0B0000)


def fault_of(rc: int) -> KeyFault:
    """The reason behind a TSS2 or TPM response code."""
    if rc & LAYER_MASK == MARSHALLING_LAYER:
        return KeyFault.BAD_FILE
    if rc & LAYER_MASK not in TPM_LAYERS:
        return KeyFault.ABSENT
    code = rc & 0xFFFF
    return FAULTS.get((0x80 | (code & 0x3F)) if code & 0x80 else code, KeyFault.PROTOCOL)
