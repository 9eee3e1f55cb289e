#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""slow_server.py DIR SECONDS: an HTTPS server whose answers take SECONDS; it reuses the certificate of the provider in DIR.

Prints its port.
"""
import http.server
import ssl
import sys
import time

directory, seconds = sys.argv[1], float(sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "20")
        self.end_headers()
        for _ in range(20):
            self.wfile.write(b".")
            self.wfile.flush()
            time.sleep(seconds / 20)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(directory + "/cert.pem", directory + "/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
