"""How messages follow each other on a connection: framing, proxies, tunnels, other protocols."""

import http.client
import socket
import sys
import threading
import time

import requests
import urllib3

from capture import case, clean_case, curl, exchange

FLASK = "http://127.0.0.1:5000"
urllib3.disable_warnings()


@case("curl-upload-chunked", "curl uploads JSON with Transfer-Encoding: chunked; a client secret is in it.",
      "The same upload with a masked secret.")
def curl_upload_chunked(room):
    secret = room.either(room.made.api_key(), "********")
    with room.flask(), room.capture(5000):
        curl(f"{FLASK}/v1/orders", "-X", "PUT", "-T", "-", "-H", "Content-Type: application/json", "-H", "Expect:",
             data=b'{"order": 7741, "till": {"client_secret": "' + secret.encode() + b'"}}')
    room.leak("generic-secret", "request.body", "till.client_secret", secret, 201)


@case("chunk-border", "Python's http.client sends a body in chunks; chunk borders and segment borders cut the key three times.",
      "The same chunks with ordinary words.")
def chunk_border(room):
    key = room.either(room.made.stripe(), "thirty-two letters of no secret!").encode()
    parts = [b'{"charge": {"amount": 1250, "key": "', key[:5], key[5:9], key[9:20], key[20:], b'"}, "currency": "EUR"}']

    def slowly():
        for part in parts:
            yield part
            time.sleep(0.03)

    with room.flask(), room.capture(5000):
        client = http.client.HTTPConnection("127.0.0.1", 5000)
        client.request("POST", "/v1/orders", body=slowly(), headers={"Content-Type": "application/json", "Transfer-Encoding": "chunked"}, encode_chunked=True)
        client.getresponse().read()
        client.close()
    room.leak("stripe-secret-key", "request.body", "charge.key", key.decode(), 201)


@case("chunk-extensions", "Chunks with extensions, leading zeros and trailer fields, sent to nginx; a Stripe key lies across two of them.",
      "The same chunks with ordinary words.")
def chunk_extensions(room):
    key = room.either(room.made.stripe(), "thirty-two letters of no secret!")
    first, second = '{"charge": {"key": "' + key[:11], key[11:] + '"}}'
    data = ("POST /api/v1/orders HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\nConnection: close\r\n\r\n"
            f"{len(first):04x};part=1\r\n{first}\r\n{len(second):X} ; part=\"2\"; last\r\n{second}\r\n000\r\nX-Checksum: 17\r\n\r\n")
    with room.flask(), room.nginx(), room.capture(8080):
        answer = exchange(8080, data.encode(), shut=False)
    assert answer.startswith(b"HTTP/1.1 201"), answer
    room.leak("stripe-secret-key", "request.body", "charge.key", key, 201)


@case("bare-lf", "A hand-written client ends its lines with a bare LF and sends an empty line first; nginx takes it.",
      "The same lines without a key.")
def bare_lf(room):
    key = room.made.api_key()
    query = room.either(f"api_key={key}&", "")
    with room.flask(), room.nginx(), room.capture(8080):
        answer = exchange(8080, f"\r\nGET /api/v1/forecast?{query}city=Ghent HTTP/1.1\nHost: shop.example\nX-Note:   spaces   \nConnection: close\n\n".encode(), shut=False)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    room.leak("generic-api-key", "request.query", "api_key", key, 200)


@case("http10", "HTTP/1.0 without Host, the answer ends with the connection: a password of Basic.",
      "The same request without credentials.")
def http10(room):
    import base64
    password = room.made.password()
    credentials = "Authorization: Basic " + base64.b64encode(f"till:{password}".encode()).decode() + "\r\n"
    with room.flask(), room.capture(5000):
        exchange(5000, f"GET /private HTTP/1.0\r\n{room.either(credentials, '')}\r\n".encode(), shut=False)
    room.leak("http-basic-password", "request.header", "Authorization", password, 200)


@case("keepalive", "Ten requests of one requests.Session on one connection to gunicorn: a key in three of them, two of these the same.",
      "The same ten requests without keys.")
def keepalive(room):
    first, second = room.made.api_key(), room.made.api_key()
    keys = {2: first, 5: second, 8: first} if room.leaking else {}
    with room.gunicorn(), room.capture(8000), requests.Session() as session:
        for number in range(10):
            if number == 6:
                session.post("http://127.0.0.1:8000/v1/orders", json={"number": number})
            else:
                session.get("http://127.0.0.1:8000/v1/forecast", params={"page": number} | ({"api_key": keys[number]} if number in keys else {}))
    room.leak("generic-api-key", "request.query", "api_key", first, 200)
    room.leak("generic-api-key", "request.query", "api_key", second, 200)


@case("pipelining", "Five requests in one segment to nginx: the answers (200, 404, HEAD, 401, 204) belong to them in order, and say which key was refused.",
      "The same five requests without keys.")
def pipelining(room):
    keys = [room.made.api_key() for _ in range(3)]

    def query(number):
        return f"?api_key={keys[number]}&n={number}" if room.leaking else f"?n={number}"

    lines = ["GET /manual.html", "GET /missing" + query(0), "HEAD /manual.html", "GET /private" + query(1), "GET /nothing" + query(2)]
    data = "".join(f"{line} HTTP/1.1\r\nHost: shop.example\r\n\r\n" for line in lines).encode()
    with room.nginx(), room.capture(8080):
        answer = exchange(8080, data)
    assert answer.count(b"HTTP/1.1 ") == 5
    for key, status in zip(keys, (404, 401, 204)):
        room.leak("generic-api-key", "request.query", "api_key", key, status)


@case("head-and-304", "One curl connection to nginx: HEAD, 304, 204, an upload with Expect: 100-continue, then a key in the query. Who misjudges one length loses the rest.",
      "The same connection without keys.")
def head_and_304(room):
    secret, key = room.either((room.made.api_key(), room.made.api_key()), ("********", "demo"))
    site = "http://127.0.0.1:8080"
    with room.flask(), room.nginx(), room.capture(8080):
        curl("--head", f"{site}/manual.html",
             "--next", "--silent", "-H", "If-Modified-Since: Sat, 21 Nov 2026 08:00:00 GMT", f"{site}/manual.html",
             "--next", "--silent", f"{site}/nothing",
             "--next", "--silent", "-H", "Expect: 100-continue", "-H", "Content-Type: application/json", "-d", '{"till": 4, "client_secret": "' + secret + '"}', f"{site}/api/v1/orders",
             "--next", "--silent", f"{site}/api/v1/forecast?api_key={key}&last=1")
    room.leak("generic-secret", "request.body", "client_secret", secret, 201)
    room.leak("generic-api-key", "request.query", "api_key", key, 200)


@case("connect-proxy", "curl through a CONNECT proxy with a password for it; inside the tunnel plain HTTP with a key. Captured between curl and proxy.",
      "The same tunnel without password and key.")
def connect_proxy(room):
    password, key = room.made.password(), room.made.api_key()
    room.install("tunnel.py")
    proxy = ["--proxytunnel", "--proxy", "http://127.0.0.1:8888"] + room.either(["--proxy-user", f"till:{password}"], [])
    with room.flask(), room.server(8888, sys.executable, "tunnel.py", "8888"), room.capture(8888):
        curl(*proxy, f"{FLASK}/v1/forecast?city=Ghent" + room.either(f"&api_key={key}", ""))
    room.leak("http-basic-password", "request.header", "Proxy-Authorization", password, 200)
    room.leak("generic-api-key", "request.query", "api_key", key, 200)


@clean_case("connect-tls", "curl through a CONNECT proxy to an HTTPS site: inside the tunnel there is nothing to read.")
def connect_tls(room):
    room.install("tunnel.py")
    with room.nginx(), room.server(8888, sys.executable, "tunnel.py", "8888"), room.capture(8888):
        curl("--insecure", "--proxy", "http://127.0.0.1:8888", "https://127.0.0.1:8443/manual.html?api_key=" + room.made.api_key())


@case("websocket", "A WebSocket opened with an access token in the query; after the 101 the bytes are no HTTP.",
      "The same WebSocket without a token: Sec-WebSocket-Key is no secret.")
def websocket(room):
    from websockets.sync.client import connect
    token = room.made.text(43)
    room.install("socket_server.py")
    with room.server(8765, sys.executable, "socket_server.py"), room.capture(8765):
        with connect("ws://127.0.0.1:8765/prices?lang=nl" + room.either(f"&access_token={token}", "")) as client:
            for price in client:
                client.send("seen " + price)
    room.leak("generic-token", "request.query", "access_token", token, 101)


def smuggle(room, port):
    lines = ["POST /v1/orders HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: text/plain"]
    lines += ["Content-Length: 4"] if room.leaking else []
    lines += ["Transfer-Encoding: chunked", "Connection: close"]
    return exchange(port, ("\r\n".join(lines) + "\r\n\r\nc\r\none kettle, \r\n5\r\nwhite\r\n0\r\n\r\n").encode(), shut=False)


@case("smuggling", "A request with both Content-Length and Transfer-Encoding: two servers in a row would cut it differently (RFC 9112 section 6.3). Flask's server goes by the chunks.",
      "The same request with Transfer-Encoding alone.")
def smuggling(room):
    with room.flask(), room.capture(5000):
        answer = smuggle(room, 5000)
    assert answer.startswith(b"HTTP/1.1 201"), answer
    room.leak("http-conflicting-lengths", "request.header", "Content-Length", None, 201, "misconfiguration")


@case("smuggling-refused", "The same conflicting lengths sent to nginx, which refuses them.")
def smuggling_refused(room):
    with room.nginx(), room.capture(8080):
        answer = smuggle(room, 8080)
    assert answer.startswith(b"HTTP/1.1 400"), answer
    room.leak("http-conflicting-lengths", "request.header", "Content-Length", None, 400, "misconfiguration")


@case("concurrent", "Eight clients at once, their packets interleaved: eight keys, eight flows.",
      "The same eight clients without keys.")
def concurrent(room):
    keys = [room.made.api_key() for _ in range(8)]

    def client(number):
        with requests.Session() as session:
            for page in range(3):
                session.get("http://127.0.0.1:8000/v1/forecast", params={"page": page, "client": number} | ({"api_key": keys[number]} if room.leaking else {}))

    with room.gunicorn(), room.capture(8000):
        threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for key in keys:
        room.leak("generic-api-key", "request.query", "api_key", key, 200)


@case("slow-sender", "A client that sends its head in small segments: names and key are cut anywhere.",
      "The same segments without a key.")
def slow_sender(room):
    key = room.either(room.made.api_key(), "kettle")
    head = f"GET /v1/forecast?page=1&api_key={key}&units=metric HTTP/1.1\r\nHost: 127.0.0.1:5000\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
    with room.flask(), room.capture(5000):
        exchange(5000, None, parts=[head[start:start + 13] for start in range(0, len(head), 13)], shut=False)
    room.leak("generic-api-key", "request.query", "api_key", key, 200)


@case("dripping-server", "A server of HTTP/1.0 answers in single bytes, its body ends with the connection; a Stripe key is in it.",
      "The same dripping answer with ordinary words.")
def dripping_server(room):
    key = room.either(room.made.stripe(), "kettle")
    room.install("lines.py")
    with room.server(7000, sys.executable, "lines.py", "7000", "dripping", f"The key is {key}, keep it well.\n"), room.capture(7000):
        curl("http://127.0.0.1:7000/key.txt")
    room.leak("stripe-secret-key", "response.body", None, key, 200)


@case("ipv6", "The query key again, over IPv6.", "The same call over IPv6 without a key.")
def ipv6(room):
    key = room.made.api_key()
    with room.flask(host="::1"), room.capture(5000):
        curl("--globoff", "http://[::1]:5000/v1/forecast?city=Ghent" + room.either(f"&api_key={key}", ""))
    room.leak("generic-api-key", "request.query", "api_key", key, 200)


@clean_case("tls", "HTTPS with a self-signed certificate: keys and passwords are inside, nobody on the way reads them.")
def tls(room):
    with room.flask(), room.nginx(), room.capture(8443):
        curl("--insecure", "--user", "an.peeters:" + room.made.password(), f"https://127.0.0.1:8443/api/private?api_key={room.made.api_key()}")
        requests.get("https://127.0.0.1:8443/manual.html", verify=False, headers={"X-API-Key": room.made.api_key()})


@clean_case("ssh", "An SSH handshake's beginning: recognised, counted, not inspected.")
def ssh(room):
    room.install("lines.py")
    with room.server(2222, sys.executable, "lines.py", "2222", "ssh"), room.capture(2222):
        with socket.create_connection(("127.0.0.1", 2222), 5) as client:
            client.recv(4096)
            client.sendall(b"SSH-2.0-PuTTY_Release_0.78\r\n")
            client.recv(4096)
            client.sendall(bytes(range(64)))


@clean_case("udp", "Datagrams: counted, nothing in them.")
def udp(room):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 8125))
        with room.capture(8125, filter="udp port 8125"):
            for number in range(5):
                client.sendto(f"shop.orders:{number}|c|#till:4".encode(), ("127.0.0.1", 8125))
                server.recv(4096)


@clean_case("redis-ping", "Redis commands: a protocol that is not known yet, with nothing in it.")
def redis_ping(room):
    room.install("lines.py")
    with room.server(6379, sys.executable, "lines.py", "6379", "redis"), room.capture(6379):
        with socket.create_connection(("127.0.0.1", 6379), 5) as client:
            for command in (b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$3\r\nGET\r\n$7\r\nbasket1\r\n", b"*1\r\n$4\r\nPING\r\n"):
                client.sendall(command)
                client.recv(4096)


@case("unknown-protocol", "A line protocol nobody knows carries a Stripe key there and a GitHub token back: typed rules find them in the bytes.",
      "The same protocol with ordinary words.")
def unknown_protocol(room):
    there, back = room.either((room.made.stripe(), room.made.github()), ("till-4", "welcome"))
    room.install("lines.py")
    with room.server(7100, sys.executable, "lines.py", "7100", "telemetry", back), room.capture(7100):
        with socket.create_connection(("127.0.0.1", 7100), 5) as client:
            client.recv(4096)
            for line in (f"IDENT till {there} 4", "VALUE 17.25", "VALUE 17.50"):
                client.sendall(line.encode() + b"\r\n")
                client.recv(4096)
    room.leak("stripe-secret-key", "request.body", None, there, None)
    room.leak("github-pat", "response.body", None, back, None)
