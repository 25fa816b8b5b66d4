"""The far end is not ours: the `iso15118` package's own client context, files and all, against our server."""

import pytest

from certs.tls.vehicle import VehicleContext
from sim.pki.evcc import export_evcc


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_packages_evcc_shakes_hands_with_us(secc, pki, meet, tmp_path, monkeypatch) -> None:
    from iso15118.shared import security, settings

    monkeypatch.setitem(settings.shared_settings, settings.SettingKey.PKI_PATH, str(export_evcc(pki, tmp_path)) + "/")
    monkeypatch.setitem(settings.shared_settings, settings.SettingKey.ENABLE_TLS_1_3, False)
    met = meet(security.get_ssl_context(server_side=False), VehicleContext([secc]))
    assert met.connected
    assert met.client.version() == "TLSv1.2"
    key = security.load_priv_key(
        security.KeyPath.CONTRACT_LEAF_PEM,
        security.KeyEncoding.PEM,
        security.KeyPasswordPath.CONTRACT_LEAF_KEY_PASSWORD,
    )
    assert key.public_key() == pki.contract.certificate.public_key()
