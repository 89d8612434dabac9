"""A relay between browser and server that can be made slow: the socket of a bad line."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

# Small, so that what can't be delivered waits in the server and not in the system.
_BUFFER = 16_384


class Relay:
    """Listens on a port of its own and hands on to another.

    Parameters
    ----------
    port
        Where the server listens.

    Attributes
    ----------
    rate : float
        Bytes per second that each connection brings to the browser; 0 for no limit.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.rate = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End it with all its connections."""
        for end in (self._listener, *list(self._open)):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                browser.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
                server = socket.socket()
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
                server.connect(("127.0.0.1", self._to))
                for pair in ((browser, server), (server, browser)):
                    self._open.add(pair[0])
                    threading.Thread(target=self._hand_on, args=pair, daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket) -> None:
        slow = source.getpeername()[1] == self._to
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                sink.sendall(data)
                if slow and self.rate:
                    time.sleep(len(data) / self.rate)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()
