"""The protocols an EVSE can be told to offer."""

from secc.v2g.din.wire import DIN_70121
from secc.v2g.iso2.wire import ISO_15118_2
from secc.v2g.iso20.wire import ISO_15118_20_AC, ISO_15118_20_DC
from secc.v2g.protocol import Protocol

ISO_15118_20 = (ISO_15118_20_AC, ISO_15118_20_DC)

DEFAULT: tuple[Protocol, ...] = (ISO_15118_2,)
ALL = (DIN_70121, ISO_15118_2, *ISO_15118_20)
