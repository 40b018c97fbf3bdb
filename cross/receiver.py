"""A webhook receiver on 127.0.0.1 for the scripts here: acknowledges every batch and appends each event's id to a file.
Accepts spans, too, and answers GET like a sensor.

usage: receiver.py PORT_FILE IDS_FILE [CERT KEY]      (takes a free port and writes its number to PORT_FILE)
"""

import gzip
import http.server
import json
import os
import ssl
import sys

MAX_BODY = 8 << 20


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "0"))
        if length > MAX_BODY:
            self.send_error(413)
            return
        body = self.rfile.read(length)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        events = json.loads(body)
        if isinstance(events, dict):
            events = []
        with open(sys.argv[2], "a", encoding="utf-8") as out:
            for event in events:
                out.write(event["id"] + "\n")
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        body = b'{"t": 20.5}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(sys.argv[1] + ".new", "w", encoding="utf-8") as out:
    out.write(str(server.server_address[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
