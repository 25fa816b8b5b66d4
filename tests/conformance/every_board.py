"""Runs one case over every kind of board, all at the same time: the cases wait far more than they work.

`EVSED_BOARDS=template` (names by comma) runs them over these alone.
"""

import asyncio
import inspect
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.kinds import kinds_with
from tests.conformance.mcu_peer import Maker

Case = Callable[..., Coroutine[Any, Any, None]]


def boards_with(*, lock: bool = False, meter: bool = False, reader: bool = False, commands: bool = False) -> Any:
    """For a case that takes `stand` (a board with its peer) or `make` (to make its own), and its `tmp_path`.

    Each kind gets a directory of its own; the other fixtures are shared.
    """
    chosen = os.environ.get("EVSED_BOARDS", "").split(",")
    names = kinds_with(lock=lock, meter=meter, reader=reader, commands=commands)
    names = [name for name in names if chosen == [""] or name in chosen]

    def over_all(case: Case) -> Case:
        wanted = inspect.signature(case).parameters
        shared = [parameter for name, parameter in wanted.items() if name not in ("stand", "make", "tmp_path")]
        own = inspect.Parameter("tmp_path", inspect.Parameter.KEYWORD_ONLY)
        library = inspect.Parameter("reference", inspect.Parameter.KEYWORD_ONLY)
        keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in shared]

        async def run(*, tmp_path: Path, reference: Path, **fixtures: object) -> None:
            _make_directories(tmp_path, names)
            over = [_run(case, wanted.keys(), name, tmp_path / name, reference, fixtures) for name in names]
            failed = [error for error in await asyncio.gather(*over, return_exceptions=True) if error is not None]
            if len(failed) == 1:
                raise failed[0]
            if failed:
                raise BaseExceptionGroup("several boards", failed)

        run.__name__, run.__doc__, run.__module__ = case.__name__, case.__doc__, case.__module__
        run.__signature__ = inspect.Signature([own, library, *keywords])  # type: ignore[attr-defined]
        return pytest.mark.skipif(not names, reason="no such board chosen")(run)

    return over_all


every_board = boards_with()


def _make_directories(parent: Path, names: list[str]) -> None:
    for name in names:
        (parent / name).mkdir()


async def _run(
    case: Case, wanted: Any, name: str, directory: Path, reference: Path, fixtures: dict[str, object]
) -> None:
    make = Maker(name, ("--reference", str(reference)) if name == "reference_mcu" else ())
    own = {"make": make, "tmp_path": directory}
    given = fixtures | {key: value for key, value in own.items() if key in wanted}
    try:
        if "stand" not in wanted:
            await case(**given)
            return
        async with make(directory, "--telemetry-s", "0.1") as stand:
            await case(stand=stand, **given)
    except BaseException as error:
        error.add_note(f"board: {name}")
        raise
