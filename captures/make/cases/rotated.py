"""Captures in several files: rotated by tcpdump, or of two taps."""

import contextlib
import http.client
import subprocess
import time

from capture import ENVIRONMENT, STAGE, case


@contextlib.contextmanager
def tcpdumps(room, *each):
    """Several tcpdumps on the loopback at once, each with its options."""
    running = []
    for options in each:
        process = subprocess.Popen(["tcpdump", "-i", "lo", "--immediate-mode", "-U", "-Z", "root", *options],
                                   stderr=subprocess.PIPE, env=ENVIRONMENT, cwd=room.folder)
        while b"listening on" not in (line := process.stderr.readline()):
            assert line, options
        running.append(process)
    time.sleep(0.1)
    try:
        yield
    finally:
        time.sleep(0.4)
        for process in running:
            process.terminate()
            process.wait(10)


def drip(room, first, second):
    """One connection over some seconds: a key in a query, then a body whose key comes in two halves, far apart."""
    with room.gunicorn():
        yield
        client = http.client.HTTPConnection("127.0.0.1", 8000)
        client.request("GET", "/v1/forecast?city=Ghent" + room.either(f"&api_key={first}", ""))
        client.getresponse().read()
        time.sleep(1.2)
        key = room.either(second, "thirty-two letters of no secret!")
        body = '{"charge": {"key": "' + key + '"}}'
        client.putrequest("POST", "/v1/orders")
        client.putheader("Content-Type", "application/json")
        client.putheader("Content-Length", str(len(body)))
        client.endheaders()
        client.send(body[:30].encode())
        time.sleep(1.2)
        client.send(body[30:].encode())
        client.getresponse().read()
        client.close()
        yield


def slowly(room, *each):
    first, second = room.made.api_key(), room.made.stripe()
    steps = drip(room, first, second)
    next(steps)
    with tcpdumps(room, *each):
        next(steps)
    for _ in steps:
        pass
    room.leak("generic-api-key", "request.query", "api_key", first, 200)
    # Its second half comes when the 500 ms are over in which an answer is waited for.
    room.leak("stripe-secret-key", "request.body", "charge.key", second, None)


@case("rotated", "tcpdump -G 1: a file a second. One connection goes on through all of them, and a key lies across two.", "The same files without keys.")
def rotated(room):
    slowly(room, ["-G", "1", "-w", "raw-%Y%m%d%H%M%S.pcap", "tcp port 8000"])
    for number, file in enumerate(sorted(room.folder.glob("raw-*.pcap"))):
        file.rename(room.folder / f"input.pcap{number}")


@case("two-taps", "A tap for each direction: two captures of the same time, one of requests and one of answers.")
def two_taps(room):
    slowly(room, ["-w", "input.pcap0", "tcp dst port 8000"], ["-w", "input.pcap1", "tcp src port 8000"])
