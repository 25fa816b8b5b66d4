"""SAScheduleList: an offer as ISO 15118-2 writes it (clauses 8.5.2.12 to 8.5.2.15)."""

from iso15118.shared.messages.iso15118_2.datatypes import SAScheduleList

from secc.v2g.models import build
from secc.v2g.offers import SCHEDULE_DURATION_S
from secc.v2g.quantities import physical_value
from secc.v2g.session import Offer, OfferEntry


def sa_schedule_list(made: Offer) -> SAScheduleList:
    entries = [_entry(entry, last=entry is made.entries[-1]) for entry in made.entries]
    schedule = {"SAScheduleTupleID": made.tuple_id, "PMaxSchedule": {"PMaxScheduleEntry": entries}}
    return build(SAScheduleList, SAScheduleTuple=[schedule])


def _entry(entry: OfferEntry, *, last: bool) -> dict[str, object]:
    interval = {"start": entry.start_s, **({"duration": SCHEDULE_DURATION_S} if last else {})}
    return {"PMax": physical_value(entry.p_max_w, "W"), "RelativeTimeInterval": interval}
