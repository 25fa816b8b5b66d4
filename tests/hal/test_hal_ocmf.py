"""Signed meter values: read without being altered, verified with the meter's key, and every alteration seen."""

import base64
import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hal.ocmf import MAX_LENGTH, OcmfError, parse
from hal.ocmf_signature import Verdict, load_key, verify
from sim.meter.ocmf import OcmfMeter

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)
# The example record of the format's specification, signature shortened: it is read, not verified.
EXAMPLE = (
    'OCMF|{"FV":"1.0","GI":"ABL SBC-301","GS":"808829900001","GV":"1.4p3","PG":"T12345","MV":"Phoenix Contact",'
    '"MM":"EEM-350-D-MCB","MS":"BQ27400330016","MF":"1.0","IS":true,"IL":"VERIFIED","IF":["RFID_PLAIN","OCPP_RS_TLS"],'
    '"IT":"ISO14443","ID":"1F2D3A4F5506C7","TT":"Tarif 1","RD":[{"TM":"2018-07-24T13:22:04,000+0200 S","TX":"B",'
    '"RV":2935.6,"RI":"1-b:1.8.0","RU":"kWh","RT":"AC","EF":"","ST":"G"},{"TM":"2018-07-24T13:26:04,000+0200 S",'
    '"TX":"E","RV":2965.1}]}|{"SD":"887FABF407AC82782EEFFF2220C2F856AEB0BC22364BBCC6B55761911ED651D1"}'
)


@pytest.fixture(scope="module")
def meter() -> OcmfMeter:
    return OcmfMeter()


@pytest.fixture(scope="module")
def whole(meter: OcmfMeter) -> str:
    meter.start("04A2B3C4", 1000, NOON)
    return meter.stop(23456.7, NOON + timedelta(hours=2))


def test_the_example_of_the_specification() -> None:
    record = parse(EXAMPLE)
    assert record.text == EXAMPLE
    assert (record.algorithm, record.pagination) == ("ECDSA-secp256r1-SHA256", "T12345")
    assert (record.meter_serial, record.identification) == ("BQ27400330016", "1F2D3A4F5506C7")
    begin, end = record.readings
    assert begin.time == datetime(2018, 7, 24, 13, 22, 4, tzinfo=timezone(timedelta(hours=2)))
    assert (end.transaction, end.value, end.unit, end.status) == ("E", Decimal("2965.1"), "kWh", "G")
    assert record.energy_wh == 29500


def test_a_whole_transaction_verifies(meter: OcmfMeter, whole: str) -> None:
    record = parse(f"{whole}\n")
    assert verify(record, meter.public_key) is Verdict.VALID
    assert record.text == whole
    assert record.energy_wh == Decimal("22456.7")
    assert record.readings[0].time == NOON


def test_each_value_verifies(meter: OcmfMeter) -> None:
    begun = parse(meter.start("04A2B3C4", 1000, NOON))
    read = parse(meter.read(1500, NOON))
    assert verify(begun, meter.public_key) is verify(read, meter.public_key) is Verdict.VALID
    assert (read.readings[0].transaction, read.readings[0].energy_wh, read.energy_wh) == ("C", 1500, None)
    assert begun.energy_wh is None


def test_nothing_is_stopped_that_was_not_started() -> None:
    with pytest.raises(ValueError, match="no transaction"):
        OcmfMeter().stop(1, NOON)


def test_every_altered_byte_is_seen(meter: OcmfMeter, whole: str) -> None:
    key = meter.public_key
    verdicts = Counter[object]()
    # The names of the signature's own fields are not signed: without SA its default holds.
    for at in [*range(whole.rindex("|")), *range(whole.index('"SD":"') + 6, len(whole))]:
        altered = whole[:at] + ("1" if whole[at] != "1" else "2") + whole[at + 1 :]
        try:
            verdicts[verify(parse(altered), key)] += 1
        except OcmfError:
            verdicts["no record"] += 1
    assert set(verdicts) == {Verdict.TAMPERED, "no record"}


def test_more_energy_is_seen_even_when_it_reads_the_same(meter: OcmfMeter, whole: str) -> None:
    assert verify(parse(whole.replace("23.4567", "23.45670")), meter.public_key) is Verdict.TAMPERED
    assert verify(parse(whole.replace('"RV":23', '"RV": 23')), meter.public_key) is Verdict.TAMPERED


def test_the_signature_of_another_meter(whole: str) -> None:
    assert verify(parse(whole), OcmfMeter().public_key) is Verdict.TAMPERED


def test_a_key_of_another_curve(whole: str) -> None:
    key = OcmfMeter(key=ec.generate_private_key(ec.SECP384R1())).public_key
    assert verify(parse(whole), key) is Verdict.WRONG_KEY


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("secp192r1", ec.SECP192R1()),
        ("secp256k1", ec.SECP256K1()),
        ("secp384r1", ec.SECP384R1()),
        ("secp521r1", ec.SECP521R1()),
        ("brainpool256r1", ec.BrainpoolP256R1()),
        ("brainpoolP384r1", ec.BrainpoolP384R1()),
    ],
)
def test_other_curves(name: str, curve: ec.EllipticCurve, whole: str) -> None:
    key = ec.generate_private_key(curve)
    payload = parse(whole).signed
    signature = base64.b64encode(key.sign(payload, ec.ECDSA(SHA256()))).decode()
    seal = {"SA": f"ECDSA-{name}-SHA256", "SE": "base64", "SM": "application/x-der", "SD": signature}
    record = parse(f"OCMF|{payload.decode()}|{json.dumps(seal)}")
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert verify(record, base64.b64encode(public).decode()) is Verdict.VALID


def test_an_algorithm_nobody_knows(meter: OcmfMeter, whole: str) -> None:
    for name in ("ECDSA-secp192k1-SHA256", "RSA-2048-SHA256", "ECDSA-secp256r1-MD5", "ECDSA"):
        record = parse(whole.replace("ECDSA-secp256r1-SHA256", name))
        assert verify(record, meter.public_key) is Verdict.UNKNOWN_ALGORITHM


def test_a_key_in_each_of_its_forms() -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    forms = [pem, der.hex(), der.hex(" "), base64.b64encode(der).decode(), point.hex(), point[1:].hex()]
    assert all(load_key(form, ec.SECP256R1()) == public for form in forms)


def test_what_is_no_key() -> None:
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    foreign = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in ("", "?", "00" * 64, "04" * 65, "3000", "-----BEGIN PUBLIC KEY-----", foreign, "0" * 5000):
        with pytest.raises(OcmfError, match="public key"):
            load_key(text, ec.SECP256R1())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not OCMF"),
        ("OCMF|{}", "not OCMF"),
        ("OCMG|{}|{}", "not OCMF"),
        ("OCMF|[]|{}", "payload: not an object"),
        ("OCMF|{}|x", "signature: "),
        ('OCMF|{"RD":[],"RD":[]}|{"SD":""}', "a key twice"),
        ('OCMF|{"RD":NaN}|{"SD":""}', "NaN is no number"),
        ('OCMF|{"RD":[]}|{"SD":""}', "RD: not a list"),
        ('OCMF|{"RD":[1]}|{"SD":""}', "not an object"),
        ('OCMF|{"RD":[{}]}|{"SD":"0"}', "SD: not hex"),
        ('OCMF|{"RD":[{}]}|{"SE":"base64","SD":"?"}', "SD: not base64"),
        ('OCMF|{"RD":[{}]}|{"SE":"rot13","SD":""}', "SE: rot13"),
        ('OCMF|{"RD":[{}]}|{"SM":"text/plain","SD":""}', "SM: text/plain"),
        ('OCMF|{"RD":[{}]}|{"SD":""}', "TM: '' is no time"),
        ('OCMF|{"RD":[{"TM":"2018-13-24T13:22:04,000+0200 S"}]}|{"SD":""}', "TM: month"),
        ('OCMF|{"RD":[{"TM":"2018-07-24T13:22:04,000+0200 S","RV":"1"}]}|{"SD":""}', "RV: not a number"),
        ('OCMF|{"RD":[{"TM":"2018-07-24T13:22:04,000+0200 S","RV":true}]}|{"SD":""}', "RV: not a number"),
        ('OCMF|{"RD":[{"TM":"2018-07-24T13:22:04,000+0200 S","RV":1e9999999}]}|{"SD":""}', "RV: out of range"),
        ('OCMF|{"MS":{},"RD":[{"TM":"2018-07-24T13:22:04,000+0200 S","RV":1}]}|{"SD":""}', "MS: not a text"),
        ("OCMF|" + "[" * 9000 + "|{}", "payload: "),
        ("O" * (MAX_LENGTH + 1), "characters"),
    ],
)
def test_what_is_no_record(text: str, reason: str) -> None:
    with pytest.raises(OcmfError, match=reason):
        parse(text)


def test_a_field_that_is_null_or_of_another_unit() -> None:
    text = EXAMPLE.replace('"TT":"Tarif 1"', '"TT":null,"CT":null').replace('"MS":"BQ27400330016"', '"MS":null')
    assert parse(text).meter_serial == ""
    assert parse(EXAMPLE.replace("kWh", "mOhm")).energy_wh is None


def test_random_texts_raise_nothing_else(whole: str) -> None:
    chance = random.Random(5)
    for _ in range(2000):
        text = list(whole)
        for _ in range(chance.randrange(1, 6)):
            text[chance.randrange(len(text))] = chr(chance.choice((0, 34, 44, 92, 123, 124, 125, 0x20AC, 0xD800)))
        try:
            parse("".join(text))
        except OcmfError:
            continue
