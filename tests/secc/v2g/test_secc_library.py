"""What importing the iso15118 package would do to the process, and does not."""

import subprocess
import sys
from pathlib import Path

CHECK = """
import logging, os, sys
class Handler(logging.Handler):
    closed = False
    def emit(self, record): ...
    def close(self):
        self.closed = True
        super().close()
handler = Handler()
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.ERROR)
import secc.server
import secc.v2g.conversation
assert logging.getLogger().handlers == [handler], logging.getLogger().handlers
assert logging.getLogger().level == logging.ERROR
assert not handler.closed
assert "EVSED_FROM_DOT_ENV" not in os.environ
assert "iso15118.shared.logging" not in sys.modules
assert not any(name.startswith(("py4j", "iso15118.secc", "iso15118.shared.exi")) for name in sys.modules)
import iso15118.shared.logging
assert logging.getLogger().handlers == [handler]
"""


def test_logging_and_environment_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("EVSED_FROM_DOT_ENV=1\nLOG_LEVEL=DEBUG\n")
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{CHECK}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
