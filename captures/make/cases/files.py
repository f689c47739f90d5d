"""The same kind of call in every capture format, and captures that miss something."""

import http.client
import sys

from capture import case, curl

FLASK = "http://127.0.0.1:5000"


def one_call(room, *options, **places):
    """A call with a key in the query, and a second one with another key in a header."""
    first, second = room.made.api_key(), room.made.stripe()
    with room.flask(), room.capture(5000, *options, **places):
        curl(f"{FLASK}/v1/forecast?city=Ghent" + room.either(f"&api_key={first}", ""))
        curl(f"{FLASK}/v1/forecast?city=Gent", "-H", "Authorization: Bearer " + room.either(second, "$KEY"))
    room.leak("generic-api-key", "request.query", "api_key", first, 200)
    room.leak("stripe-secret-key", "request.header", "Authorization", second, 200)


def format_case(name, why, *options, **places):
    @case(name, why, "The same capture format, nothing in it.")
    def make(room):
        one_call(room, *options, **places)


format_case("pcapng", "pcapng as dumpcap writes it.", file="input.pcapng")
format_case("pcapng-gz", "pcapng, compressed by gzip.", file="input.pcapng.gz")
format_case("pcap-gz", "pcap, compressed by gzip.", file="input.pcap.gz")
format_case("pcap-zst", "pcap, compressed by zstd.", file="input.pcap.zst")
format_case("pcapng-zst", "pcapng, compressed by zstd.", file="input.pcapng.zst")
format_case("pcap-nanoseconds", "pcap with times in nanoseconds.", "--time-stamp-precision=nano")
format_case("any-sll2", "tcpdump on all interfaces: Linux cooked capture, version 2.", interface="any")
format_case("any-sll", "tcpdump on all interfaces: Linux cooked capture, version 1.", "-y", "LINUX_SLL", interface="any")


@case("snaplen", "A capture cut at 256 bytes a frame: heads are whole, of a long answer only the beginning is there. The key at its start is found, the one behind the cut cannot be.",
      "The same cut with ordinary values.")
def snaplen(room):
    import base64
    import json
    query, early, late = room.made.api_key(), room.made.stripe(), room.made.stripe()
    early, late = room.either((early, late), ("early", "late"))
    body = json.dumps({"key": early, "text": "kettle " * 150, "last": late})
    with room.flask(config={"BODY": base64.b64encode(body.encode()).decode(), "TYPE": "application/json"}), room.capture(5000, "-s", "256"):
        curl(f"{FLASK}/answer?x=1" + room.either(f"&api_key={query}", ""))
    room.leak("generic-api-key", "request.query", "api_key", query, 200)
    room.leak("stripe-secret-key", "response.body", "key", early, 200)


@case("snaplen-head", "A capture cut at 128 bytes a frame: the request's head breaks off behind the key; the answer's is short enough to be whole.",
      "The same cut without a key.")
def snaplen_head(room):
    key = room.made.text(32)
    room.install("lines.py")
    with room.server(7200, sys.executable, "lines.py", "7200", "short"), room.capture(7200, "-s", "128"):
        curl("http://127.0.0.1:7200/v?" + room.either(f"api_key={key}&", "") + "u=1", "-H", "X-Trace: 0a1b2c3d4e5f60718293a4b5c6d7e8f9")
    room.leak("generic-api-key", "request.query", "api_key", key, 204)


@case("mid-stream", "The capture begins when the connection is already open and one exchange is over: what follows is found all the same.",
      "The same beginning in mid-stream, no keys.")
def mid_stream(room):
    missed, seen, last = (room.made.api_key() for _ in range(3))
    with room.gunicorn():
        client = http.client.HTTPConnection("127.0.0.1", 8000)

        def get(key):
            client.request("GET", "/v1/forecast?city=Ghent" + room.either(f"&api_key={key}", ""))
            client.getresponse().read()

        get(missed)
        with room.capture(8000):
            get(seen)
            get(last)
            client.close()
    room.leak("generic-api-key", "request.query", "api_key", seen, 200)
    room.leak("generic-api-key", "request.query", "api_key", last, 200)


@case("client-side-only", "Only what the client sends was captured: the keys are found, the answers' status is not known.",
      "The same one-sided capture without keys.")
def client_side_only(room):
    query, secret = room.made.api_key(), room.made.api_key()
    with room.gunicorn(), room.capture(8000, filter="tcp dst port 8000"):
        curl("http://127.0.0.1:8000/v1/forecast?city=Ghent" + room.either(f"&api_key={query}", ""),
             "--next", "--silent", "-H", "Content-Type: application/json", "-d", '{"client_secret": "' + room.either(secret, "") + '"}', "http://127.0.0.1:8000/v1/orders")
    room.leak("generic-api-key", "request.query", "api_key", query, None)
    room.leak("generic-secret", "request.body", "client_secret", secret, None)


@case("server-side-only", "Only what the server sends was captured: the key in its answer is found without a request.",
      "The same one-sided capture with a mask in place of the key.")
def server_side_only(room):
    import base64
    key = room.either(room.made.stripe(), "sk_live_********")
    body = '{"billing": {"stripe_key": "' + key + '"}}'
    with room.gunicorn(config={"BODY": base64.b64encode(body.encode()).decode(), "TYPE": "application/json"}), room.capture(8000, filter="tcp src port 8000"):
        curl("http://127.0.0.1:8000/v1/forecast", "--next", "--silent", "http://127.0.0.1:8000/answer")
    room.leak("stripe-secret-key", "response.body", "billing.stripe_key", key, 200)
