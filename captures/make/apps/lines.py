"""Servers that are no web servers: `lines.py PORT KIND [ANSWER]`."""

import socket
import sys
import threading


def redis(client):
    while command := client.recv(4096):
        client.sendall(b"+PONG\r\n" if b"PING" in command.upper() else b"$6\r\nkettle\r\n")


def ssh(client):
    client.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    client.recv(4096)
    client.sendall(bytes.fromhex("0000003406148d4f3e") + bytes(range(47)))
    client.recv(4096)


def telemetry(client):
    """A line protocol nobody knows."""
    client.sendall(b"TELEMETRY 3 READY\r\n")
    while line := client.recv(4096):
        client.sendall(b"ACK " + sys.argv[3].encode() + b"\r\n" if line.startswith(b"IDENT") else b"ACK\r\n")


def short(client):
    """HTTP with a head that fits into the smallest snapshot."""
    client.recv(65536)
    client.sendall(b"HTTP/1.1 204 No Content\r\nServer: tiny\r\n\r\n")


def dripping(client):
    """An answer in single bytes."""
    client.recv(65536)
    body = sys.argv[3].encode()
    for byte in b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + body:
        client.sendall(bytes([byte]))


def serve(client, kind):
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        {"redis": redis, "ssh": ssh, "telemetry": telemetry, "short": short, "dripping": dripping}[kind](client)


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0], sys.argv[2]), daemon=True).start()
