"""The V2G engine. Nothing else of the station imports the iso15118 package.

Importing any part of that package installs its own logging set-up on the root logger, closing the handlers that are
there, and reads a .env file of the working directory. All of it happens in `iso15118.shared.logging`, so a stand-in
takes that module's place while the package is first imported.
"""

import importlib
import sys
from types import ModuleType

_LOGGING = "iso15118.shared.logging"


def _import_quietly() -> None:
    if "iso15118.shared" in sys.modules:
        return
    stand_in = ModuleType(_LOGGING)
    setattr(stand_in, "_init_logger", lambda: None)  # noqa: B010 - a module has no such attribute for mypy
    sys.modules[_LOGGING] = stand_in
    try:
        importlib.import_module("iso15118.shared")
    finally:
        del sys.modules[_LOGGING]


_import_quietly()
