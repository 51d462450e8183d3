#!/usr/bin/python3
"""Hello from Python: query parameters in, an escaped HTML page out.

Try /cgi-bin/hello.py?name=Ada. Python needs some 12 ms to start, and a CGI script pays that for
every request: compare it with hello.sh, hello.pl and hello-rust.
"""

import html
import os
from urllib.parse import parse_qs

fields = parse_qs(os.environ.get("QUERY_STRING", ""))
name = fields.get("name", ["stranger"])[0]

print("Content-Type: text/html; charset=utf-8")
print()
print(f"<!doctype html><title>Hello</title><p>Hello from Python, {html.escape(name)}!</p>")
