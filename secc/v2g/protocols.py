"""The protocols an EVSE can be told to offer."""

from secc.v2g.iso2.wire import ISO_15118_2

DEFAULT = (ISO_15118_2,)
