"""A go-between before a socket, which a test can break, freeze and mend."""

import contextlib
import os
import select
import socket
import threading


class Proxy:
    """Copies bytes between clients and a target: `unix:PATH` or (host, port)."""

    def __init__(self, target, path=None):
        self.target = target
        self.path = path
        self._lock = threading.Lock()
        self._open = set()
        self._flows = threading.Event()
        self._flows.set()
        self._listener = None
        self._port = 0
        self.mend()

    @property
    def port(self):
        return self._port

    def mend(self):
        """Takes connections, as at the start."""
        self._flows.set()
        if self._listener is not None:
            return
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self.path)
        else:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._port))
            self._port = listener.getsockname()[1]
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def break_off(self):
        """Closes every connection, and refuses new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        with self._lock:
            for connection in list(self._open):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def freeze(self):
        """Takes connections and bytes, and passes nothing on."""
        self._flows.clear()

    def close(self):
        self.break_off()
        self._flows.set()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        target = socket.socket(socket.AF_UNIX) if isinstance(self.target, str) else socket.socket()
        with client, target:
            try:
                target.connect(self.target)
            except OSError:
                return
            with self._lock:
                self._open |= {client, target}
            try:
                self._copy(client, target)
            except OSError:
                pass  # broken off by either side
            finally:
                with self._lock:
                    self._open -= {client, target}

    def _copy(self, client, target):
        other = {client: target, target: client}
        reading = {client, target}
        while reading:
            for source in select.select(list(reading), [], [])[0]:
                self._flows.wait()
                data = source.recv(1 << 16)
                if data:
                    other[source].sendall(data)
                else:
                    # Docker's attach and logs need the half that is still open.
                    reading.discard(source)
                    with contextlib.suppress(OSError):
                        other[source].shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxy(target, path=None):
    made = Proxy(target, path)
    try:
        yield made
    finally:
        made.close()
