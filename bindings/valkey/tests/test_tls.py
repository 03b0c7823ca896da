"""Vector sets over TLS: from a client to a master, and from it to a replica."""

import pathlib
import ssl
import subprocess
import tempfile

from base import SERVERS, ServerTest, fill, info, wait_until
from client import Client, blob, free_port


class Tls(ServerTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=SERVERS)
        self.addCleanup(folder.cleanup)
        key, certificate = (pathlib.Path(folder.name).resolve() / name for name in ("key.pem", "certificate.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
                       check=True, capture_output=True)
        self.context = ssl.create_default_context(cafile=str(certificate))
        self.files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate,
                      "--tls-auth-clients", "no", "--tls-replication", "yes")

    def start_with_tls(self, *settings):
        """A client over TLS, and its port."""
        port = free_port()
        self.start("--tls-port", port, *self.files, *settings)
        client = Client(port, tls=self.context)
        self.addCleanup(client.close)
        return client, port

    def test_a_set_is_written_searched_and_replicated(self):
        master, port = self.start_with_tls()
        vectors = fill(master, "k", 300)
        replica, _ = self.start_with_tls("--replicaof", f"127.0.0.1 {port}")
        wait_until(lambda: info(replica, "replication", "master_link_status") == "up", what="the replica's link")
        master("VADD", "k", "FP32", blob([1.0] * 16), "late")
        self.wait_for_replica(master, replica)
        for client in (master, replica):
            self.assertEqual(client("VCARD", "k"), 301)
            for name in ("e0", "e7", "e299"):
                self.assertEqual(client("VSIM", "k", "FP32", blob(vectors[name]), "COUNT", 1), [name.encode()])
        self.assertEqual(master("DEBUG", "DIGEST"), replica("DEBUG", "DIGEST"))
