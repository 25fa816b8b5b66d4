"""What the daemon's command line says instead of the configuration: another CSMS, another name, other OCPP variables.

For test suites that start the daemon their own way, and for a first try on a bench. Nothing of it is kept.
"""

import argparse
import re
from dataclasses import replace

from firmware.config import Config, check
from ocpp_client.config import Override

_VARIABLE = re.compile(r"(?P<component>\w+)\.(?P<name>\w+)(\[(?P<instance>[^]=]*)\])?=(?P<value>.*)", re.DOTALL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--csms-url", metavar="URL", help="the CSMS's endpoint, without the identity")
    parser.add_argument("--identity", metavar="ID", help="the charging station's name towards the CSMS")
    parser.add_argument(
        "--ocpp",
        metavar="COMPONENT.VARIABLE[INSTANCE]=VALUE",
        type=variable,
        action="append",
        default=[],
        help="an OCPP variable, over what the CSMS had set, as in TxCtrlr.EVConnectionTimeOut=30; may be repeated",
    )


def variable(text: str) -> Override:
    """Raises argparse.ArgumentTypeError."""
    found = _VARIABLE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not COMPONENT.VARIABLE=VALUE")
    return Override(found["component"], found["name"], found["value"], found["instance"] or "")


def overridden(config: Config, options: argparse.Namespace) -> Config:
    """Raises ConfigError."""
    station, csms = config.station, config.csms
    if options.identity:
        station = replace(station, identity=options.identity)
    if options.csms_url:
        csms = replace(csms, url=options.csms_url)
    config = replace(config, station=station, csms=csms)
    check(config, options.config)
    return config
