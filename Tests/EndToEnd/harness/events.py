"""A reader of server-sent events: what arrives is what the test sees (the format: WHATWG HTML, 9.2.6)."""

import contextlib
import dataclasses
import http.client
import json
import queue
import socket
import threading
import time
import urllib.parse


_NOTHING = object()
"""In place of an event: none came in time. (None is the stream's end.)"""


@dataclasses.dataclass(frozen=True)
class Event:
    id: str
    kind: str
    text: str

    @property
    def data(self):
        return json.loads(self.text)

    @property
    def task(self):
        return self.data["task_id"]

    @property
    def state(self):
        return self.data["state"]


class EventStream:
    """One connection to `/events`. The answer's head has arrived when the constructor returns."""

    def __init__(self, url, last=None, headers=None, receive_buffer=None, **parameters):
        address = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        if receive_buffer:
            self._connection.sock = socket.socket()
            self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self._connection.sock.connect((address.hostname, address.port))
        query = urllib.parse.urlencode(parameters, doseq=True)
        sent = {"Accept": "text/event-stream", **(headers or {})}
        if last is not None:
            sent["Last-Event-ID"] = last
        self._connection.request("GET", "/events" + ("?" + query if query else ""), headers=sent)
        self._socket = self._connection.sock
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self.headers = self._answer.headers
        self.comments = 0
        self.last = last
        """The id of the last event that was taken."""
        self._events = queue.Queue()
        self._thread = None
        if self.status == 200 and not receive_buffer:
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()

    def _read(self):
        kind, data, number = "", [], ""
        try:
            while line := self._answer.readline():
                line = line.decode().rstrip("\r\n")
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    if name == "event":
                        kind = value
                    elif name == "id":
                        number = value
                    elif name == "data":
                        data.append(value)
                elif data:
                    self._events.put(Event(number, kind or "message", "\n".join(data)))
                    kind, data = "", []
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass  # cut off, by the test or by the server: what was not whole does not count
        self._events.put(None)

    def next(self, seconds=60):
        """The next event; None once the stream has ended."""
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no event within {seconds} s") from None
        if event is not None:
            self.last = event.id
        return event

    def is_quiet(self, seconds=1):
        """No event arrives for so long."""
        event = self._within(seconds)
        if event is not _NOTHING:
            self._events.put(event)
        return event is _NOTHING

    def _within(self, seconds):
        """The next event, in short waits: a machine that stands still costs one of them, not all."""
        for _ in range(max(1, round(seconds / 0.05))):
            with contextlib.suppress(queue.Empty):
                return self._events.get(timeout=0.05)
        return _NOTHING

    def until(self, condition, seconds=120):
        """All events up to the first one that satisfies the condition."""
        end, found = time.monotonic() + seconds, []
        while not found or not condition(found[-1]):
            left = end - time.monotonic()
            assert left > 0, f"not within {seconds} s; seen: {found}"
            event = self.next(left)
            assert event is not None, f"the stream ended; seen: {found}"
            found.append(event)
        return found

    def rest(self, quiet=1.5):
        """All events until none has come for so long."""
        found = []
        while (event := self._within(quiet)) is not _NOTHING and event is not None:
            self.last = event.id
            found.append(event)
        return found

    def body(self):
        """Of an answer that is no stream."""
        return json.loads(self._answer.read())

    def close(self):
        """Cuts the connection off, in the middle of an event if one is on its way."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server was first
        if self._thread:
            self._thread.join(10)
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
