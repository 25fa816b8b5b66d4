"""`python -m sim.tpm --dir D`: a TPM with its proxy as a process of its own, until SIGTERM or SIGINT.

Prints one line, the TCTI to reach it by, once it answers. `--log` takes each command as one JSON line; `--delay` and
`--error` may be repeated: `--delay Sign=0.2` makes a slow chip, `--error Sign=0x922:3` a chip that is busy three times.
"""

import argparse
import signal
import threading
from pathlib import Path

from sim.tpm.proxy import Proxy
from sim.tpm.swtpm import Swtpm


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sim.tpm", description="A TPM 2.0 in software")
    parser.add_argument("--dir", type=Path, required=True, help="directory of the TPM's state and sockets")
    parser.add_argument("--log", type=Path, help="file that takes the command log")
    parser.add_argument("--delay", action="append", default=[], metavar="COMMAND=SECONDS")
    parser.add_argument("--error", action="append", default=[], metavar="COMMAND=CODE[:TIMES]")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Swtpm(options.dir) as tpm, Proxy(tpm.socket, options.dir, options.log) as proxy:
        for rule in options.delay:
            command, _, seconds = rule.partition("=")
            proxy.delay(command, float(seconds))
        for rule in options.error:
            command, _, fault = rule.partition("=")
            code, _, times = fault.partition(":")
            proxy.fail(command, int(code, 0), int(times or 1))
        print(proxy.tcti, flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
