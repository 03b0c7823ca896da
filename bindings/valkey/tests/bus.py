"""A node on the cluster bus that is no server: it is met, answers pings, gets the module's messages, and sends what it likes.

Layouts are those of Redis 7.0 and Valkey 8.0; the module's own are described in core/gather.h.
"""

import os
import queue
import socket
import struct
import threading

from client import free_port

HEADER = struct.Struct(">4sIHHHHQQQ40s2048s40s46sH30sHHHB3s")  # Numbers of the bus are big-endian.
PING, PONG, MEET, MODULE = 0, 1, 2, 9
MASTER = 1
REQUEST, ANSWER, ELEMENT, VECTOR = 0x53, 0x54, 0x55, 0x56


class BusNode:
    """Until `close`. `got` has by kind the payloads of VX.SIM's messages that have come."""

    def __init__(self):
        self.port = free_port(cluster=True)
        self.name = os.urandom(20).hex().encode()
        self.got = {kind: queue.Queue() for kind in (REQUEST, ANSWER, ELEMENT, VECTOR)}
        self.listener = socket.create_server(("127.0.0.1", self.port + 10000))
        self.sender = None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def message(self, kind, data=b""):
        return HEADER.pack(b"RCmb", HEADER.size + len(data), 1, self.port, kind, 0, 0, 0, 0, self.name, b"", b"", b"", 0, b"", 0,
                           self.port + 10000, MASTER, 0, b"") + data

    def serve(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.listen, args=(link,), daemon=True).start()

    def listen(self, link):
        with link, link.makefile("rb") as file:
            try:
                while len(head := file.read(8)) == 8:
                    message = head + file.read(int.from_bytes(head[4:], "big") - 8)
                    kind, = struct.unpack_from(">H", message, 12)
                    if kind in (PING, MEET):
                        link.sendall(self.message(PONG))
                    elif kind == MODULE:
                        self.take(message[HEADER.size:])
            except OSError:
                pass

    def take(self, data):
        size, kind = struct.unpack_from(">IB", data, 8)
        self.got[kind].put(data[13:13 + size])

    def next(self, kind):
        return self.got[kind].get(timeout=60)

    def connect(self, port):
        """Messages go to the server at this port from now on."""
        self.sender = socket.create_connection(("127.0.0.1", port + 10000), 10)

    def send(self, kind, payload):
        # The module's id: 0, as its name is none of a type.
        self.sender.sendall(self.message(MODULE, struct.pack(">QIB", 0, len(payload), kind) + payload))

    def close(self):
        self.listener.close()
        if self.sender:
            self.sender.close()


def request(name, partitions, query, count=10, filter_text=None, identity=7):
    """The bytes of a request of VX.SIM."""
    text = b"" if filter_text is None else filter_text
    return struct.pack("<4sIQIIIIIIQd", b"SVQ1", 0 if filter_text is None else 2, identity, partitions, len(query), count, 100,
                       len(name), len(text), 0, 0.0) + struct.pack(f"<{len(query)}f", *query) + name + text


def answer(identity, partitions, entries, hits):
    """The bytes of an answer: entries (partition, problem), hits (partition, name, attribute, score)."""
    parts = [struct.pack("<4sIQIIII", b"SVA1", 0, identity, partitions, len(entries), len(hits), 0)]
    parts += [struct.pack("<II", partition, len(problem)) + problem for partition, problem in entries]
    parts += [struct.pack("<IIIId", partition, len(name), len(attribute), 0, score) + name + attribute
              for partition, name, attribute, score in hits]
    return b"".join(parts)


def element_request(name, partitions, element, identity=7):
    """The bytes of a request for an element's vector."""
    return struct.pack("<4sIQII", b"SVE1", partitions, identity, len(name), len(element)) + name + element


def vector_answer(identity, vector):
    """The bytes of an element's vector, of a NOQUANT set under cosine. None: it is not here."""
    head = struct.pack("<4sIQ", b"SVV1", 0 if vector is None else 1, identity)
    if vector is None:
        return head
    norm = sum(x * x for x in vector) ** 0.5
    return head + struct.pack(f"<IIIIff{len(vector)}f", len(vector), 0, 0, 0, norm, 0.0, *(x / norm for x in vector))


def identity_of(payload):
    return struct.unpack_from("<Q", payload, 8)[0]
