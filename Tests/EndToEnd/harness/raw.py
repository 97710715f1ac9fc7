"""HTTP as bytes, for what no client library would send."""

import contextlib
import re
import socket
import urllib.parse


def connect(server, seconds=60):
    address = urllib.parse.urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=seconds)


def authority(server):
    return urllib.parse.urlsplit(server.url).netloc


def all_answered(connection, quiet=0.4, limit=1 << 20):
    """Everything that comes until the server closes, or falls silent after it has said something."""
    received = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while len(received) < limit and (data := connection.recv(65536)):
            received += data
            connection.settimeout(quiet)
    return received


def statuses(received):
    """Of every answer in the bytes; no body of ours holds such a line."""
    return [int(x) for x in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def exchange(server, data, seconds=20):
    """Statuses of what comes back for these bytes; none when the server closes without a word."""
    with connect(server, seconds) as connection:
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.sendall(data)
        return statuses(all_answered(connection))
