#!/bin/sh
# Hello from the shell: the smallest CGI script.
#
# A script answers by printing: header fields, an empty line, the body. What the client sent
# arrives in variables (RFC 3875 4.1). A value is data, never code: print it with printf's %s,
# always in quotes, and as text/plain, so that nobody can inject markup.

printf 'Content-Type: text/plain; charset=utf-8\n\n'
printf 'Hello from sh, %s!\n' "${REMOTE_ADDR:-stranger}"
printf 'You asked for %s with the method %s.\n' "$SCRIPT_NAME$PATH_INFO" "$REQUEST_METHOD"
