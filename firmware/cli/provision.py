"""`evse provision`: give a station its keys and certificates. The daemon must not run meanwhile."""

from __future__ import annotations

import argparse
from pathlib import Path

from firmware.cli import out
from firmware.cli.client import FAILED, USAGE


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "provision",
        help="give the station its keys and certificates",
        description="Make keys in the TPM, write requests for their certificates, take the answers. Resumable: run it "
        "again once the answers are there. Exit codes: 0 complete, 1 failed or something has to come in.",
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the daemon's configuration")
    parser.add_argument("--exchange", type=Path, required=True, metavar="DIR", help="requests out, chains and roots in")
    parser.add_argument("--iso20", action="store_true", help="a key for ISO 15118-20 as well")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")


def run(args: argparse.Namespace) -> int:
    from firmware.cli.configured import stopped_station
    from firmware.provisioning import Provisioning

    config = stopped_station(args.config)
    if config is None:
        return USAGE
    report = Provisioning(config, args.exchange, with_20=args.iso20).run()
    if args.json:
        out.as_json(report.to_json())
    else:
        out.table(("STEP", "STATE", ""), [(step["name"], step["state"], step["detail"]) for step in report.steps])
    return 0 if report.state == "done" else FAILED
