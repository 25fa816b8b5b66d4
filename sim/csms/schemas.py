"""Every message of a station against the Open Charge Alliance's schemas, by jsonschema: not by our own validator."""

import json
import re
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft6Validator, FormatChecker
from jsonschema.exceptions import best_match

# CSMSs in the field refuse more than three digits and other zones than Z; so does this one.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")

_formats = FormatChecker(formats=())


@_formats.checks("date-time")
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or (_TIME.fullmatch(value) is not None and value[:4] >= "2020")


@cache
def _validator(name: str) -> Draft6Validator:
    text = (resources.files("ocpp") / "v201" / "schemas" / f"{name}.json").read_text(encoding="utf-8-sig")
    return Draft6Validator(json.loads(text), format_checker=_formats)


def fault(action: str, kind: str, payload: Any) -> str | None:
    """Why `payload` is no valid `kind` ("Request" or "Response") of `action`; None when it is."""
    try:
        validator = _validator(f"{action}{kind}")
    except FileNotFoundError:
        return f"{action} is no action of OCPP 2.0.1"
    error = best_match(validator.iter_errors(payload))
    if error is None:
        return None
    return f"{'.'.join(map(str, error.absolute_path)) or 'payload'}: {error.message}"[:500]
