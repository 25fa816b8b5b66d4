"""A TPM, a PKI and two ends of a TLS connection for the tests of certs/."""

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.csr import Subject
from certs.keystore import Purpose
from certs.provision import ensure_identity
from certs.store import CertificateStore, RootKind
from certs.tls.identity import Identity
from certs.tpm import Tpm, TpmKeyStore
from sim.pki.pki import Pki, build
from sim.tpm.proxy import Proxy
from sim.tpm.swtpm import Swtpm

SUBJECT = Subject("DE*EVS*E0001", "evsed", "DE")


@dataclass(frozen=True, slots=True)
class Bench:
    """A TPM of its own, through the proxy, taken over by a station."""

    swtpm: Swtpm
    proxy: Proxy
    tpm: Tpm
    keys: TpmKeyStore


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return build(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def at() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Function-scoped: a test may break it. Sockets need a short path."""
    if not Swtpm.available():
        pytest.skip("swtpm is not installed")
    with tempfile.TemporaryDirectory(prefix="evsed-tpm-") as name:
        directory = Path(name)
        with Swtpm(directory) as swtpm, Proxy(swtpm.socket, directory) as proxy:
            tpm = Tpm(proxy.tcti)
            tpm.ensure_srk()
            yield Bench(swtpm, proxy, tpm, TpmKeyStore(tpm))
            tpm.close()


@pytest.fixture
def store(tmp_path: Path, pki: Pki) -> CertificateStore:
    """Roots installed, no chains yet."""
    store = CertificateStore(tmp_path / "certificates")
    for kind, root in ((RootKind.V2G, pki.v2g_root), (RootKind.MO, pki.mo_root), (RootKind.CSMS, pki.csms_root)):
        store.install_root(kind, root.pem.decode())
    return store


@pytest.fixture
def secc(bench: Bench, store: CertificateStore, pki: Pki, at: datetime) -> Identity:
    """A SECC identity whose key is in the TPM."""
    return ensure_identity(store, bench.keys, Purpose.SECC, SUBJECT, pki.issue_secc, at)


@pytest.fixture
def station(bench: Bench, store: CertificateStore, pki: Pki, at: datetime) -> Identity:
    """The station's client identity for the CSMS, its key in the TPM."""
    return ensure_identity(store, bench.keys, Purpose.CSMS, SUBJECT, pki.issue_station, at)


@dataclass(frozen=True, slots=True)
class Met:
    """What a handshake came to: each side's connection, or the error that ended it."""

    client: ssl.SSLSocket | ssl.SSLError | ConnectionError
    server: ssl.SSLSocket | ssl.SSLError | ConnectionError

    @property
    def connected(self) -> bool:
        return isinstance(self.client, ssl.SSLSocket) and isinstance(self.server, ssl.SSLSocket)


Meet = Callable[..., Met]


@pytest.fixture
def meet() -> Iterator[Meet]:
    """Let a client context meet a server context over a socket pair; the server answers with one byte."""
    opened: list[socket.socket] = []

    def meet(client: ssl.SSLContext, server: ssl.SSLContext, name: str | None = None) -> Met:
        near, far = socket.socketpair()
        results: dict[str, ssl.SSLSocket | ssl.SSLError | ConnectionError] = {}

        def serve() -> None:
            far.settimeout(10)
            try:
                connection = server.wrap_socket(far, server_side=True)
                opened.append(connection)
                connection.sendall(b"!")
                results["server"] = connection
            except (ssl.SSLError, ConnectionError) as error:
                results["server"] = error
                far.close()

        thread = threading.Thread(target=serve)
        thread.start()
        near.settimeout(10)
        try:
            connection = client.wrap_socket(near, server_hostname=name)
            opened.append(connection)
            assert connection.recv(1) == b"!" or not connection.recv(1)
            results["client"] = connection
        except (ssl.SSLError, ConnectionError) as error:
            results["client"] = error
            near.close()
        thread.join(10)
        opened.extend((near, far))
        return Met(results["client"], results["server"])

    yield meet
    for end in opened:
        end.close()


@contextlib.contextmanager
def _listening(context: ssl.SSLContext) -> Iterator[int]:
    """A server on a free port that shakes hands with whoever comes, one after another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    _serve_one(context, connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _serve_one(context: ssl.SSLContext, connection: socket.socket) -> None:
    with context.wrap_socket(connection, server_side=True) as secured:
        secured.recv(1)


@pytest.fixture
def listening() -> Callable[[ssl.SSLContext], contextlib.AbstractContextManager[int]]:
    return _listening


@pytest.fixture
def vehicle(pki: Pki) -> ssl.SSLContext:
    """An ISO 15118-2 vehicle's context: TLS 1.2, one suite, V2G root, no client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    context.load_verify_locations(cadata=pki.v2g_root.der)
    return context
