"""`python -m firmware.cli`, where the command is not installed."""

import sys

from firmware.cli import main

sys.exit(main())
