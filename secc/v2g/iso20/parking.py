"""VehicleCheckIn and VehicleCheckOut, for a vehicle that has selected the parking status service (8.3.4.8).

They come on a stream of their own beside the session and change nothing in it.
"""  # unverified: clause

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import VehicleParked
from secc.v2g.codes import Refused
from secc.v2g.elements import text
from secc.v2g.iso20.services import PARKING_STATUS
from secc.v2g.iso20.session import Session20
from secc.v2g.session import Answer, Request, Surroundings


def check_in(request: Request, session: Session20, _around: Surroundings, _now: float) -> Answer:
    _admit(session)
    parked = VehicleParked(True, text(request.elements, "EVCheckInStatus"))
    return Answer({"ResponseCode": ResponseCode.OK}, session, (parked,))


def check_out(request: Request, session: Session20, _around: Surroundings, _now: float) -> Answer:
    """The bay is free once the vehicle says that it has left; until then its leaving is noted."""
    _admit(session)
    status = text(request.elements, "EVCheckOutStatus")
    said = "Completed" if status == "Completed" else "Scheduled"
    response = {"ResponseCode": ResponseCode.OK, "EVSECheckOutStatus": said}
    return Answer(response, session, (VehicleParked(False, status),))


def _admit(session: Session20) -> None:
    if PARKING_STATUS not in session.services:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR, detail="the parking status service was not selected")
