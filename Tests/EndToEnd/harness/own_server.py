"""A server for as long as a `with` block lasts: for a module that needs one with settings of its own."""

import contextlib
import shutil

from .processes import BUILD
from .server import Server

LOGS = BUILD / "logs"


@contextlib.contextmanager
def own_server(scratch, engine, containers_before, name, **options):
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    log.unlink(missing_ok=True)
    folder = scratch / name
    server = Server(folder, engine, log, **options)
    try:
        yield server.start()
    finally:
        try:
            server.finish(containers_before)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
