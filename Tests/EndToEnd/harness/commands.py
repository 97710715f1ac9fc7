"""The command line, run as a person runs it."""

import json
import os
import pty
import select
import subprocess

from .processes import end_with_us
from .server import BINARY, environment


class Commands:
    """`poiesis …` in a home folder of its own, against one server and one engine."""

    def __init__(self, home, engine=None, url=None):
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        more = {"NO_COLOR": "1", "POIESIS_DATA": str(home / "data")}
        if engine:
            more["POIESIS_ENGINE"] = engine.url
        if url:
            more["POIESIS_URL"] = url
        self.env = environment(home, **more)

    def __call__(self, *arguments, stdin="", env=None, seconds=300):
        """The finished process, with its text."""
        return subprocess.run([BINARY, *map(str, arguments)], input=stdin, capture_output=True, text=True,
                              errors="replace", timeout=seconds, env={**self.env, **(env or {})}, cwd=self.home)

    def start(self, *arguments, env=None):
        return subprocess.Popen([BINARY, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env={**self.env, **(env or {})}, cwd=self.home,
                                preexec_fn=end_with_us)

    def file(self, document, name="task.json"):
        """The document as a file."""
        path = self.home / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    def on_a_terminal(self, *arguments, seconds=60):
        """Everything that a terminal would be sent."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen([BINARY, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs,
                                   env={**self.env, "TERM": "xterm"}, cwd=self.home, preexec_fn=end_with_us)
        os.close(theirs)
        output = b""
        try:
            while select.select([ours], [], [], seconds)[0]:
                output += os.read(ours, 65536)
        except OSError:
            pass  # how a terminal says that nobody has it open any more
        finally:
            os.close(ours)
            process.kill()  # one that went silent without ending; of no effect on one that has ended
            process.wait()
        return output
