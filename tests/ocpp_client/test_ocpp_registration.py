from ocpp_client.queue import Registration
from ocpp_client.registration import Due, Registrar


def test_boots_at_once_and_beats_after() -> None:
    registrar = Registrar(30.0)
    assert registrar.tick(0.0) is None, "without a link there is nobody to tell"
    registrar.link_up(5.0)
    assert registrar.tick(5.0) is Due.BOOT
    assert registrar.tick(6.0) is None, "one at a time"
    registrar.answered(Registration.ACCEPTED, 60.0, 6.0)
    assert registrar.online
    assert registrar.deadline == 66.0
    assert registrar.tick(66.0) is Due.HEARTBEAT
    assert registrar.deadline == 126.0


def test_pending_and_rejected_wait_the_interval_they_name() -> None:
    registrar = Registrar(30.0)
    registrar.link_up(0.0)
    for status in (Registration.PENDING, Registration.REJECTED):
        assert registrar.tick(1000.0) is Due.BOOT
        registrar.answered(status, 120.0, 0.0)
        assert not registrar.online
        assert registrar.tick(119.0) is None


def test_an_interval_of_zero_leaves_the_choice_to_the_station() -> None:
    registrar = Registrar(30.0)
    registrar.link_up(0.0)
    registrar.tick(0.0)
    registrar.answered(Registration.PENDING, 0.0, 0.0)
    assert registrar.deadline == 30.0
    registrar.tick(30.0)
    registrar.answered(Registration.ACCEPTED, 0.0, 30.0)
    assert registrar.deadline == 330.0


def test_no_answer_boots_again_later_and_a_lost_link_at_the_next_one() -> None:
    registrar = Registrar(30.0)
    registrar.link_up(0.0)
    registrar.tick(0.0)
    registrar.unanswered(10.0)
    assert registrar.deadline == 40.0
    assert registrar.tick(40.0) is Due.BOOT
    registrar.link_down()
    registrar.unanswered(41.0)
    assert registrar.deadline is None
    registrar.link_up(50.0)
    assert registrar.tick(50.0) is Due.BOOT


def test_a_registration_outlives_the_link() -> None:
    registrar = Registrar(30.0)
    registrar.link_up(0.0)
    registrar.tick(0.0)
    registrar.answered(Registration.ACCEPTED, 60.0, 0.0)
    registrar.link_down()
    assert not registrar.online
    registrar.link_up(100.0)
    assert registrar.online
    assert registrar.tick(100.0) is None
    assert registrar.tick(160.0) is Due.HEARTBEAT


def test_the_interval_can_be_set_and_is_never_zero() -> None:
    registrar = Registrar(30.0)
    registrar.set_heartbeat(0.0, 0.0)
    assert registrar.heartbeat_s == 1.0
    registrar.link_up(0.0)
    registrar.answered(Registration.ACCEPTED, 60.0, 0.0)
    registrar.set_heartbeat(20.0, 10.0)
    assert registrar.deadline == 30.0
