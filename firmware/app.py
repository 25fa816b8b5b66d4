"""The composition root: every object of the daemon is built here, and every task started.

    evsed CONFIG            run
    evsed --check CONFIG    read the configuration and say whether it is good

What is told on the command line goes before the configuration and before what the CSMS has set (firmware/overrides.py).

Loops: boards, PLC and sessions on the main one; each EVSE's SECC and the CSMS link on loops of their own, because their
TLS keys are in a TPM that takes its time.
"""

import argparse
import asyncio
import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from certs.errors import CertsError, KeyUnavailable
from certs.tls.loop import LoopThread
from firmware import observers
from firmware.board_keeper import open_board
from firmware.boards import Boards, signs
from firmware.certificate_watch import CertificateWatch, TpmNews
from firmware.certificates import StationCertificates, subjects
from firmware.config import Config, ConfigError, load
from firmware.config import Evse as EvseSettings
from firmware.control.log_levels import LogLevels
from firmware.control.method import Station
from firmware.control.slots import SlotControl
from firmware.control.sources import Certificates, Csms
from firmware.control.start import start_control, start_page
from firmware.control.status import evse_status, offer_of
from firmware.credentials import Credentials
from firmware.dimming_log import DimmingLog
from firmware.discharge import Feeding
from firmware.dispatch import Dispatcher
from firmware.evse import Evse, Observer
from firmware.grid_side import GridSide
from firmware.history import History
from firmware.journal import SqliteJournal
from firmware.ledger import Ledger
from firmware.limits import Limits
from firmware.log_file import LogFile
from firmware.log_records import SessionIds, handler_for
from firmware.message_file import MessageFile, message_file
from firmware.operator_side import kept_pause
from firmware.overrides import add_arguments, overridden
from firmware.problems import MONITORED
from firmware.screen import Screen
from firmware.secrets import SealedSecrets, told_lost
from firmware.service import ServiceManager, Watch
from firmware.session import Session
from firmware.signing import SigningOperator, last_word
from firmware.site import Site
from firmware.start_side import StartSide
from firmware.supervisor import supervise
from firmware.update.start import make_update
from firmware.vehicle_side import ContractCertificates, SeccSide, protocols_of
from firmware.visits import Visits
from hal.console_display import ConsoleDisplay
from hal.dc.board import DcBoard
from hal.drivers import DriverError
from hal.leds import Leds
from hal.modbus.tcp_server import TcpServer
from hal.plc.link import GreenPhyLink
from hal.plc.timings import Profile, Timings
from hal.pn532.reader import Pn532Reader
from hal.ports import BoardSupport, Fault, SigningMeter
from hal.quantities import EvseId, MeterReading
from hal.wall_clock import utc_now
from ocpp_client.config import OcppConfig, Override
from ocpp_client.ports import OcppError, ResetRequested, SecurityEvent, TransactionState
from ocpp_client.station import OcppStation
from secc.ports import PausedSession
from secc.server import SeccServer

log = logging.getLogger("evsed")

SHUTDOWN_S = 15.0
"""How long running transactions may take to end before the daemon goes."""

T = TypeVar("T")


async def run(config: Config, stop: asyncio.Event, overrides: tuple[Override, ...] = ()) -> None:
    """Charge until `stop`, then go down in order. Raises CertsError, ConfigError, OcppError."""
    main = asyncio.get_running_loop()
    _make_state_dir(config.station.state_dir)
    async with AsyncExitStack() as stack:
        credentials = await asyncio.to_thread(Credentials, config)
        stack.callback(credentials.close)
        certificates = StationCertificates(credentials, subjects(config))
        stack.callback(certificates.close)
        watchers = _observers(config, stack)

        evses: dict[EvseId, Evse] = {}
        history = _history(evses)
        watchers.append(history)
        site = Site(evses, config.evse, config.station.site_limit_a, time.monotonic)
        stack.callback(site.close)
        grid = GridSide(config, evses, site, DimmingLog(config.station.state_dir / "dimming.jsonl"), time.monotonic)
        stack.push_async_callback(grid.close)
        start = StartSide(config.start, evses)
        stack.callback(start.close)
        watchers += [site, grid, start]
        screen = _screen(config, stack)
        dispatcher = Dispatcher(evses, stop.set, site, screen.take)
        boards = Boards()
        csms = stack.enter_context(LoopThread("csms"))
        secrets = SealedSecrets(credentials.directory / "vault", credentials.tpm)
        key = await _journal_key(config, secrets)
        journal = await _on(csms, SqliteJournal.open(config.station.state_dir / "journal.sqlite", key))
        stack.push_async_callback(lambda: _on(csms, journal.close()))
        update = make_update(config, credentials, partial(_boards_up, evses))
        station = OcppStation(
            _ocpp_config(config, overrides),
            journal,
            _from_thread(main, dispatcher.take),
            tls=credentials.csms_context(),
            certificates=certificates,
            logs=_log_file(config, stack),
            secrets=secrets,
            updater=None if update is None else update.updater,
            last_word=partial(_last_word, main, boards.signing),
        )
        if update is not None:
            update.station = station
        credentials.now = station.clock.now
        certificates.use_tls = station.use_tls
        names = {EvseId(settings.id): settings.evse_id for settings in config.evse}
        operator = SigningOperator(
            csms, station, journal, lambda evse: _from_thread(main, evses[evse].report), boards.signing, names
        )
        messages = message_file(config, stack)
        for settings in config.evse:
            evse = Evse(settings, partial(_session, config, settings), operator, watchers, time.monotonic)
            evses[evse.number] = evse
        await _on(csms, station.take_up())  # Before the boards speak: what was left open comes first.
        for evse in evses.values():
            paused = await _on(csms, kept_pause(journal, evse.number))
            board = boards.make(evse.settings, evse.report, evse.alive)
            await _start_evse(evse, board, evse.settings, credentials, paused, messages, stack)
        site.share()
        grid.tell = lambda *limit: csms.call(partial(station.limits.set, *limit))
        await _serve_grid(config, grid, stack)

        await _on(csms, station.start())
        stack.push_async_callback(lambda: _on(csms, station.stop()))
        metering = asyncio.create_task(operator.run_meters(), name="signing meters")
        stack.push_async_callback(_cancel, metering)
        working = [csms.submit(operator.run()), _watch_certificates(config, credentials, certificates, station, csms)]
        stack.callback(credentials.forget_watcher)
        if update is not None:
            working.append(csms.submit(update.slots.prove()))
        if lost := told_lost(secrets, journal):
            csms.call(partial(station.security_event, "StoredDataLost", lost))
        if journal.set_aside is not None:
            cleared = SecurityEvent.SECURITY_LOG_WAS_CLEARED
            csms.call(partial(station.security_event, cleared, f"with {journal.set_aside.name}"))
        slots = None if update is None else SlotControl(update.slots, csms)
        on_csms = Csms(csms, station, journal)
        await _start_control(
            config, credentials, evses, history, on_csms, screen, slots, boards.signing, grid, start, stack
        )
        log.info("%s is ready, %d EVSE", config.station.identity, len(evses))
        manager = ServiceManager()
        manager.say("READY=1")
        watch = Watch(manager, tuple(evses.values()), csms.call, lambda: station.online)
        watching = asyncio.create_task(watch.run())
        stack.push_async_callback(_cancel, watching)

        await stop.wait()
        manager.say("STOPPING=1")
        await _end_transactions(list(evses.values()))
        await operator.drain_meters()
        await _on(csms, operator.drain())
        for work in working:
            work.cancel()
    log.info("stopped")


async def _serve_grid(config: Config, grid: GridSide, stack: AsyncExitStack) -> None:
    """Raises ConfigError."""
    grid.start()
    if not config.grid.modbus_port:
        return
    server = TcpServer(grid)
    try:
        await server.open(config.grid.modbus_host, config.grid.modbus_port)
    except OSError as error:
        raise ConfigError(f"grid.modbus_port: {error}") from error
    stack.push_async_callback(server.close)


def _boards_up(evses: Mapping[EvseId, Evse]) -> bool:
    """Whether every board is open and speaks. To be read from any thread."""
    return all(
        evse.board is not None
        and not evse.resting
        and evse.alive()
        and Fault.COMMUNICATION_FAULT not in evse.state.faults
        for evse in evses.values()
    )


def _make_state_dir(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"station.state_dir cannot be made: {error}") from error


async def _journal_key(config: Config, secrets: SealedSecrets) -> bytes | None:
    """None where the configuration lets the station charge without its TPM. Raises KeyUnavailable, ConfigError."""
    try:
        return await secrets.journal_key()
    except KeyUnavailable as error:
        if config.tpm.absent == "refuse":
            raise
        log.error("the journal's key is out of reach, drivers' tokens are written unsealed: %s", error)
        return None
    except OSError as error:
        raise ConfigError(f"the journal's key cannot be kept: {error}") from error


def _watch_certificates(
    config: Config, credentials: Credentials, certificates: StationCertificates, station: OcppStation, csms: LoopThread
) -> "Future[None]":
    news = TpmNews(station)
    credentials.tpm.watcher = lambda _: csms.call(lambda: news.tell(certificates.tpm_trouble))
    watch = CertificateWatch(
        certificates,
        station,
        news,
        interval_s=config.certificates.check_interval_s,
        renew_before=timedelta(days=config.certificates.renew_before_days),
    )
    return csms.submit(watch.run())


async def _start_evse(
    evse: Evse,
    board: BoardSupport,
    settings: EvseSettings,
    credentials: Credentials,
    paused: PausedSession | None,
    messages: MessageFile | None,
    stack: AsyncExitStack,
) -> None:
    """The vehicle side first, the board last: a vehicle that is there already finds all of it."""
    if settings.plc_interface:
        evse.secc = await _start_secc(evse, settings, credentials, paused, messages, stack)
        plc = GreenPhyLink(
            settings.plc_interface,
            evse.number,
            evse.report,
            profile=Profile(settings.slac_profile),
            timings=Timings(slac_init_s=settings.slac_init_timeout_s),
            attenuation_offset_db=settings.attenuation_offset_db,
            counts_toggles=True,
        )
        await plc.open()
        stack.push_async_callback(plc.close)
        evse.plc = plc
    stack.push_async_callback(board.close)
    evse.board = board
    if isinstance(board, DcBoard):
        evse.dc = board
    if (lights := settings.lights) is not None:
        evse.lights = Leds(lights.directory, red=lights.red, green=lights.green, blue=lights.blue)
    if settings.reader is not None:
        reader = Pn532Reader(settings.reader.device, evse.number, evse.report)
        await reader.open()
        stack.push_async_callback(reader.close)
    for work in (supervise(evse, time.monotonic), open_board(evse, board, _most_a(settings))):
        task = asyncio.create_task(work)
        stack.push_async_callback(_cancel, task)


async def _start_secc(
    evse: Evse,
    settings: EvseSettings,
    credentials: Credentials,
    paused: PausedSession | None,
    messages: MessageFile | None,
    stack: AsyncExitStack,
) -> SeccSide:
    main = asyncio.get_running_loop()
    loop = stack.enter_context(LoopThread(f"secc-{settings.id}"))
    tls = credentials.vehicle_tls(loop)
    server = SeccServer(
        evse.number,
        settings.plc_interface,
        tls=tls,
        allow_plain_tcp=settings.allow_plain_tcp,
        view=lambda: evse.view,
        certificates=ContractCertificates(
            credentials.contract_roots, lambda: evse.state.contract_rules.central_validation
        ),
        report=_from_thread(main, evse.report),
        wall_clock=lambda: credentials.now(),
        paused=paused,
        protocols=protocols_of(settings),
        watch=None if messages is None else partial(messages.write, evse.number),
    )
    await _on(loop, server.start())
    stack.push_async_callback(lambda: _on(loop, server.stop()))
    return SeccSide(loop, server, tls)


async def _last_word(
    main: asyncio.AbstractEventLoop, meters: Mapping[EvseId, SigningMeter], state: TransactionState
) -> MeterReading | None:
    """On the CSMS's loop: the meters live on the main one."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(last_word(meters, state), main))


def _from_thread(main: asyncio.AbstractEventLoop, take: Callable[[T], None]) -> Callable[[T], None]:
    """`take`, to be called from another loop's thread."""

    def post(fact: T) -> None:
        main.call_soon_threadsafe(take, fact)

    return post


async def _on(loop: LoopThread, work: Coroutine[Any, Any, T]) -> T:
    """Await something on another loop."""
    return await asyncio.wrap_future(loop.submit(work))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _end_transactions(evses: Sequence[Evse]) -> None:
    """Ask every vehicle to stop, and wait until the records are made."""
    for evse in evses:
        evse.report(ResetRequested(None, immediate=True))
    deadline_s = time.monotonic() + SHUTDOWN_S
    while any(evse.busy for evse in evses) and time.monotonic() < deadline_s:
        await asyncio.sleep(0.02)


def _history(evses: Mapping[EvseId, Evse]) -> History:
    def snapshot(number: EvseId) -> dict[str, object]:
        return evse_status(evses[number], history, time.monotonic(), tokens=False)

    history = History(snapshot)
    return history


async def _start_control(
    config: Config,
    credentials: Credentials,
    evses: Mapping[EvseId, Evse],
    history: History,
    csms: Csms,
    screen: Screen,
    slots: SlotControl | None,
    meters: Mapping[EvseId, SigningMeter],
    grid: GridSide,
    start: StartSide,
    stack: AsyncExitStack,
) -> None:
    visits = Visits(
        lambda number: evses[number].state.maintenance is not None, lambda number: offer_of(evses[number].state.limits)
    )
    history.followers.append(visits)
    ledger = Ledger(config.station.state_dir, evses, visits)
    keeping = asyncio.create_task(ledger.run())
    stack.push_async_callback(ledger.write)
    stack.push_async_callback(_cancel, keeping)
    station = Station(
        config=config,
        version=_version(),
        started=utc_now(),
        evses=evses,
        history=history,
        visits=visits,
        csms=csms,
        certificates=Certificates(credentials.store),
        tpm=credentials.tpm_status,
        log_levels=LogLevels(),
        audit_path=config.station.state_dir / "audit.jsonl",
        start=start,
        ledger=ledger,
        screen=screen,
        slots=slots,
        meters=meters,
        grid=grid,
    )
    await start_control(station, stack)
    await start_page(station, stack)


def _screen(config: Config, stack: AsyncExitStack) -> Screen:
    settings = config.display
    if settings is None or settings.device is None:
        return Screen(None)
    display = ConsoleDisplay(settings.device, settings.columns, settings.rows)
    stack.push_async_callback(display.close)
    return Screen(display)


def _most_a(settings: EvseSettings) -> float:
    """Per phase. What feeds a DC output is bounded by the output's power, which its board tells as a current."""
    return settings.max_current_a if settings.dc is None else math.inf


def _rating_a(settings: EvseSettings) -> float:
    """Per phase, as the CSMS counts."""
    if settings.dc is None:
        return settings.max_current_a
    return settings.dc.max_power_w / (settings.phases * settings.nominal_voltage_v)


def _session(config: Config, settings: EvseSettings) -> Session:
    return Session(
        Limits(board_a=None),
        has_plc=bool(settings.plc_interface),
        nominal_under_hlc=settings.hlc_pilot == "nominal",
        dc=settings.dc is not None,
        slac_retries=settings.slac_retries,
        ev_connection_timeout_s=config.csms.ev_connection_timeout_s,
        signed_metering=signs(settings),
        rcd_self_test=settings.rcd_self_test == "before-session",
        feeding=Feeding(
            settings.discharge_limit_a,
            settings.discharge_reserve_percent,
            settings.phases,
            settings.nominal_voltage_v,
        ),
    )


def _log_file(config: Config, stack: AsyncExitStack) -> LogFile | None:
    """A log that cannot be kept is no reason not to charge."""
    if config.log.file is None:
        return None
    try:
        kept = LogFile(config.log.file)
    except OSError as error:
        log.error("the log file cannot be written: %s", error)
        return None
    logging.getLogger().addHandler(kept.handler)
    stack.callback(kept.handler.close)
    stack.callback(logging.getLogger().removeHandler, kept.handler)
    return kept


def _observers(config: Config, stack: AsyncExitStack) -> list[Observer]:
    ids = SessionIds()
    for handler in logging.getLogger().handlers:
        handler.addFilter(ids)
        stack.callback(handler.removeFilter, ids)
    watchers: list[Observer] = [ids, observers.log_line]
    if config.log.events:
        file = observers.EventFile(config.log.events)
        stack.callback(file.close)
        watchers.append(file)
    return watchers


def _ocpp_config(config: Config, overrides: tuple[Override, ...]) -> OcppConfig:
    station, csms, first = config.station, config.csms, config.evse[0]
    return OcppConfig(
        identity=station.identity,
        url=csms.url,
        vendor=station.vendor,
        model=station.model,
        serial=station.serial,
        firmware=_version(),
        evse_count=len(config.evse),
        phases=first.phases,
        nominal_voltage_v=first.nominal_voltage_v,
        max_current_a=_rating_a(first),
        dc=first.dc is not None,
        discharges=any(evse.discharge_limit_a > 0 for evse in config.evse),
        security_profile=csms.security_profile,
        password=csms.password,
        has_display=config.display is not None,
        iso15118_vendor=csms.iso15118_data_transfer,
        problems=MONITORED,
        heartbeat_s=csms.heartbeat_s,
        sampled_interval_s=csms.sampled_interval_s,
        retry_back_off_min_s=csms.retry_back_off_s,
        retry_back_off_random_s=csms.retry_back_off_s,
        message_timeout_s=csms.message_timeout_s,
        web_socket_ping_s=csms.web_socket_ping_s,
        ev_connection_timeout_s=csms.ev_connection_timeout_s,
        meter_note_s=csms.meter_note_s,
        allow_unsigned_firmware=config.update is not None and config.update.allow_unsigned,
        update_stops_transactions=config.update is not None and config.update.when_busy == "stop",
        signs=any(map(signs, config.evse)),
        overrides=overrides,
    )


def _version() -> str:
    try:
        return version("evsed")
    except PackageNotFoundError:
        return "development"


async def _run_until_signal(config: Config, overrides: tuple[Override, ...]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(config, stop, overrides)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 stopped as asked, 1 could not go on, 2 the configuration is wrong."""
    parser = argparse.ArgumentParser(prog="evsed", description="The software of an EV charging station")
    parser.add_argument("config", type=Path)
    parser.add_argument("--check", action="store_true", help="only read the configuration")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        config = overridden(load(options.config), options)
    except ConfigError as error:
        print(f"evsed: {error}", file=sys.stderr)
        return 2
    if options.check:
        print(f"{options.config}: good, {len(config.evse)} EVSE")
        return 0
    logging.basicConfig(level=config.log.level, handlers=[handler_for(config.log.form)], force=True)
    try:
        asyncio.run(_run_until_signal(config, tuple(options.ocpp)))
    except (CertsError, ConfigError, DriverError, OcppError) as error:
        log.error("evsed cannot run: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
