"""The control socket built and started; a daemon that cannot open it charges all the same."""

import logging
import time
from contextlib import AsyncExitStack
from functools import partial

from firmware.control.audit import Audit
from firmware.control.dispatch import Dispatcher
from firmware.control.method import Station
from firmware.control.methods import METHODS, page_status
from firmware.control.ocpp_trace import OcppTrace
from firmware.control.roles import Role, groups_by_name, service_uids
from firmware.control.server import ControlError, ControlServer
from firmware.page import StatusPage
from hal.wall_clock import utc_now

log = logging.getLogger(__name__)


async def start_page(station: Station, stack: AsyncExitStack) -> None:
    """Where it is configured; a page that cannot be shown is no reason not to charge."""
    settings = station.config.page
    if not settings.host:
        return
    # Most stations show no page, and need not hold what draws its pictures.
    from firmware.cli.plot import svg

    def picture(number: int) -> str | None:
        visit = station.visits.find(str(number))
        return svg(visit.shown(tokens=False, entries=True)) if visit is not None else None

    page = StatusPage(settings.host, settings.port, partial(page_status, station), picture)
    try:
        await page.start()
    except OSError as error:
        log.error("no status page: %s", error)
        return
    stack.push_async_callback(page.stop)


async def start_control(station: Station, stack: AsyncExitStack) -> None:
    """On the main loop, whose state the methods read. `stack` takes it down."""
    settings = station.config.control
    groups = groups_by_name(
        {
            Role.OBSERVER: settings.observer_group,
            Role.TECHNICIAN: settings.technician_group,
            Role.SERVICE: settings.service_group,
        }
    )
    dispatcher = Dispatcher(station, METHODS, Audit(station.audit_path, time.monotonic, utc_now))
    server = ControlServer(settings.socket, dispatcher, station.history, groups, service_uids())
    stack.callback(station.log_levels.close)
    try:
        await server.start()
    except ControlError as error:
        log.error("no technician can reach this station: %s", error)
        return
    stack.push_async_callback(server.stop)
    station.csms.trace(OcppTrace(server.publish, server.followed))
