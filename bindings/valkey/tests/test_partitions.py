"""One set in many keys: shoal.cluster, and VX.SIM, on one server and on a cluster."""

import pathlib
import subprocess
import sys
import unittest

from base import ClusterTest

HERE = pathlib.Path(__file__).resolve().parent


def check_client(test, port, *words, python=sys.executable):
    """cluster_client.py against the server, or cluster, at this port."""
    done = subprocess.run([python, str(HERE / "cluster_client.py"), "--port", str(port), *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    test.assertEqual(done.returncode, 0, done.stdout[-3000:])


class Client(ClusterTest):
    def test_elements_are_added_found_and_moved_on_one_server(self):
        check_client(self, self.start().port)

    def test_and_on_a_cluster(self):
        nodes, _ = self.start_cluster(3, 0)
        check_client(self, nodes[1].port)


if __name__ == "__main__":
    unittest.main()
