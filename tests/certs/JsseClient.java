import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.Security;
import java.security.cert.CertPathBuilder;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.X509CertSelector;
import java.util.EnumSet;
import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.ExtendedSSLSession;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** A TLS 1.2 client that accepts a server only if the status of every certificate of its chain was stapled. */
public class JsseClient {
    public static void main(String[] arguments) throws Exception {
        System.setProperty("jdk.tls.client.enableStatusRequestExtension", "true");
        Security.setProperty("jdk.tls.disabledAlgorithms", "");
        KeyStore roots = KeyStore.getInstance(KeyStore.getDefaultType());
        roots.load(null, null);
        try (FileInputStream file = new FileInputStream(arguments[1])) {
            roots.setCertificateEntry("v2g", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        PKIXBuilderParameters path = new PKIXBuilderParameters(roots, new X509CertSelector());
        CertPathBuilder builder = CertPathBuilder.getInstance("PKIX");
        PKIXRevocationChecker revocation = (PKIXRevocationChecker) builder.getRevocationChecker();
        revocation.setOptions(EnumSet.of(PKIXRevocationChecker.Option.NO_FALLBACK));
        path.addCertPathChecker(revocation);
        path.setRevocationEnabled(true);
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(new CertPathTrustManagerParameters(path));
        SSLContext context = SSLContext.getInstance("TLSv1.2");
        context.init(null, trust.getTrustManagers(), null);
        int port = Integer.parseInt(arguments[0]);
        try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket("127.0.0.1", port)) {
            socket.setEnabledProtocols(new String[] {"TLSv1.2"});
            socket.startHandshake();
            ExtendedSSLSession session = (ExtendedSSLSession) socket.getSession();
            int staples = session.getStatusResponses().size();
            System.out.println(session.getProtocol() + " " + session.getCipherSuite() + " staples=" + staples);
        }
    }
}
