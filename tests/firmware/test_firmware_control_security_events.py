"""What technicians do at the socket is told to the operator as security events."""

from firmware.control.audit import QUIET_S
from tests.firmware.control_bench import bench, connected


async def test_a_technicians_connection_is_told_once() -> None:
    async with bench() as made:
        async with connected(made.path) as line:
            await line.result("Control.WhoAmI")
            await line.result("Station.Status")
            assert made.csms.security_events == [], "to look on is no login"
            await line.result("Audit.Show")
            await line.result("Audit.Show")
        async with connected(made.path) as line:
            await line.result("Audit.Show")
        kinds = [kind for kind, _ in made.csms.security_events]
        assert kinds == ["MaintenanceLoginAccepted", "MaintenanceLoginAccepted"]
        assert made.csms.security_events[0][1].endswith("service: Audit.Show")


async def test_refusals_of_one_user_are_told_as_the_audit_log_has_them() -> None:
    async with bench(service=frozenset()) as made, connected(made.path) as line:
        for _ in range(3):
            assert await line.error("Audit.Show") == -32001
        assert [kind for kind, _ in made.csms.security_events] == ["MaintenanceLoginFailed"]
        assert QUIET_S >= 60
