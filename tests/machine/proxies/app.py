"""An app as a client sees one: it boots for BOOT seconds, answers with its VERSION, and after
SIGTERM takes no new connections but ends its requests, each of which may take TAKES seconds.
With BEHAVES=bad it ends at once."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """GET and POST; keeps connections until it is to end."""

    protocol_version = "HTTP/1.1"
    timeout = 5
    ending = False

    def do_GET(self) -> None:
        """Answer, as slowly as wanted."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/slow"):
            time.sleep(float(os.environ.get("TAKES", "0")))
        text = f"{os.environ.get('VERSION', '')} {len(body)}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        if Handler.ending:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    """Waits for its requests at the end."""

    daemon_threads = False
    request_queue_size = 128


def main() -> None:
    """Boot, serve, end; or `check` whether another one serves."""
    if "check" in sys.argv:
        return socket.create_connection(("localhost", 3000)).close()
    if os.environ.get("BEHAVES") == "bad":
        sys.exit("cannot find the meaning")
    time.sleep(float(os.environ.get("BOOT", "0")))
    server = Server(("", 3000), Handler)

    def end(*_: object) -> None:
        Handler.ending = True
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    server.serve_forever(poll_interval=0.05)
    server.socket.setblocking(False)
    with contextlib.suppress(OSError):  # what has come already is answered, too
        while True:
            server.process_request(*server.get_request())
    return server.server_close()


main()
