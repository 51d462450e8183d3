"""Says what h11's server makes of bytes: reads "name<TAB>hex" lines, writes "name<TAB>refused|-<TAB>method target body..."
lines, the parts of each request taken in hexadecimal. Knows nothing of what is right."""

import sys

import h11


def verdict(data):
    connection = h11.Connection(h11.SERVER)
    taken, now = [], None
    connection.receive_data(data)
    connection.receive_data(b"")
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                now = [event.method, event.target, b""]
            elif isinstance(event, h11.Data):
                now[2] += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                taken.append(now)
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                if connection.our_state is h11.SWITCHED_PROTOCOL:
                    return taken, False
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return taken, False
                connection.start_next_cycle()
            else:  # ConnectionClosed, NEED_DATA, PAUSED
                return taken, False
    except h11.RemoteProtocolError:
        return taken, True


cases = [line.rstrip("\n").split("\t") for line in sys.stdin]
for name, data in cases:
    taken, refused = verdict(bytes.fromhex(data))
    requests = [" ".join(part.hex() for part in request) for request in taken]
    print("\t".join([name, "refused" if refused else "-", *requests]))
