"""A minimal web app: it answers with a greeting and the revision that is running."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The platform sets both: the port to listen on, and the revision that it has started.
PORT = int(os.environ.get("PORT", "5000"))
REVISION = os.environ.get("GIT_REV", "unknown")


class Hello(BaseHTTPRequestHandler):
    """Answers `/` with text and `/health` with JSON."""

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/":
            self.answer("text/plain", f"Hello from {REVISION[:7]}\n")
        elif self.path == "/health":
            self.answer("application/json", json.dumps({"revision": REVISION}) + "\n")
        else:
            self.send_error(404)

    def answer(self, kind: str, text: str) -> None:
        """Send a response with status 200 and a body; `kind` is its content type."""
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Hello).serve_forever()
