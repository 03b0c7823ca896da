"""A small client (RESP2 and RESP3) and servers on free loopback ports, with their data in a temporary folder."""

import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import time


class ReplyError(Exception):
    """An error reply; equal to another with the same text."""

    def __eq__(self, other):
        return isinstance(other, ReplyError) and self.args == other.args

    __hash__ = Exception.__hash__


class Map(list):
    """A map reply: pairs, in the server's order."""


class Client:
    """One connection. Replies: bytes, int, float, bool, None, list, Map; '+' is str; errors are raised."""

    def __init__(self, port, protocol=2, timeout=30, host="127.0.0.1", tls=None):
        """tls: an ssl.SSLContext; None: without TLS."""
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self.file = self.socket.makefile("rb")
        self.port = port
        if protocol == 3:
            self("HELLO", 3)

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def encode(words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            if not isinstance(word, (bytes, bytearray)):
                word = (repr(word) if isinstance(word, float) else str(word)).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        return b"".join(parts)

    def send(self, *words):
        self.socket.sendall(self.encode(words))

    def __call__(self, *words):
        self.send(*words)
        return self.read()

    def pipeline(self, commands):
        """Replies to all; errors as values."""
        commands = list(commands)
        self.socket.sendall(b"".join(self.encode(command) for command in commands))
        return [self.read(raising=False) for _ in commands]

    def error(self, *words):
        """The text of the error that this command must be answered with."""
        self.send(*words)
        reply = self.read(raising=False)
        assert isinstance(reply, ReplyError), f"{words[:3]}: an error expected, found {reply!r}"
        return str(reply)

    def read(self, raising=True):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind in (b"-", b"!"):
            error = ReplyError(rest.decode(errors="replace"))
            if raising:
                raise error
            return error
        if kind == b":":
            return int(rest)
        if kind == b",":
            return float(rest)
        if kind == b"#":
            return rest == b"t"
        if kind == b"_":
            return None
        length = int(rest)
        if kind in (b"$", b"="):
            return None if length < 0 else self.file.read(length + 2)[:-2]
        if kind in (b"*", b"~", b">"):
            return None if length < 0 else [self.read(raising=False) for _ in range(length)]
        if kind == b"%":
            return Map((self.read(raising=False), self.read(raising=False)) for _ in range(length))
        raise ConnectionError(f"unknown reply {line!r}")


def blob(vector):
    return struct.pack(f"<{len(vector)}f", *vector)


def free_port(cluster=False):
    """A port that is free now, below those that the system hands out by itself."""
    for _ in range(200):
        port = 15000 + int.from_bytes(os.urandom(2), "little") % 15000
        try:
            for candidate in (port, port + 10000) if cluster else (port,):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", candidate))
            return port
        except OSError:
            continue
    raise RuntimeError("no free port")


# Of servers only: a sanitizer's runtime, say.
SERVER_ENVIRONMENT = dict(word.split("=", 1) for word in os.environ.get("SHOAL_SERVER_ENVIRONMENT", "").split())


class Server:
    """A server with the module, which ends with the `with` block. Restart keeps its folder."""

    def __init__(self, command, module, folder, *settings, arguments=(), cluster=False):
        self.command, self.module, self.arguments = command, module, [str(word) for word in arguments]
        self.folder = pathlib.Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings = [str(word) for word in settings]
        self.cluster = cluster
        self.process = None
        self.port = free_port(cluster)
        self.environment = {**os.environ, **SERVER_ENVIRONMENT}

    def start(self, *more):
        # The file is not written by hand: a replica's CONFIG REWRITE is not ours.
        words = [*self.command, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                 "--dir", str(self.folder), "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0",
                 "--repl-ping-replica-period", "1", "--loglevel", "notice", "--logfile", str(self.folder / "log")]
        if self.cluster:
            words += ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout",
                      "2000"]
        if self.module:
            words += ["--loadmodule", str(self.module), *self.arguments]
        words += [*self.settings, *[str(word) for word in more]]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=(self.folder / "stderr").open("ab"), env=self.environment)
        self.wait()
        return self

    def wait(self, timeout=60):
        deadline = time.monotonic() + timeout
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                with Client(self.port, timeout=5) as client:
                    client("PING")
                    return
            except (OSError, ReplyError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def log_tail(self, lines=30):
        text = ""
        for name in ("log", "stderr"):
            path = self.folder / name
            if path.exists():
                text += "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) + "\n"
        return text

    def client(self, protocol=2, timeout=30):
        return Client(self.port, protocol, timeout)

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise RuntimeError("the server did not end when told to") from None
        code, self.process = (self.process.returncode if self.process else 0), None
        report = self.folder / "stderr"
        if report.exists() and "Sanitizer" in (text := report.read_text(errors="replace")):
            report.unlink()
            raise RuntimeError(f"a sanitizer's report:\n{text[:6000]}")
        return code

    def restart(self, *more, how=signal.SIGTERM):
        self.stop(how)
        return self.start(*more)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def __enter__(self):
        return self.start() if self.process is None else self

    def __exit__(self, kind, *_):
        if kind and self.process and self.process.poll() is not None:
            print(self.log_tail(80))
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
