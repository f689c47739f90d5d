"""Looks at a made case with tshark: is the traffic as meant, does each value stand in it, does it tell of this machine?"""

import base64
import gzip
import html
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import urllib.parse
import zlib

import brotli
import zstandard

LIMIT = {"flask-debug-pyodbc": 300_000, "flask-debug-mongo": 300_000, "flask-debug-pin": 300_000, "django-debug": 300_000}
# Answers later than the 500 ms a request's leak waits; those of flask-debug-mongo tell their own leaks.
SLOW = {"slow-answer", "slow-answer-clean", "rotated", "rotated-clean", "two-taps", "flask-debug-mongo", "flask-debug-mongo-clean"}
MACHINE = [b"/root", b"pyenv", b"/work", b"/tmp/", b"/home/", b"runsc", socket.gethostname().encode() + b"."]


def inputs(folder):
    """The files of a case; several are one capture."""
    return sorted(folder.glob("input.pcap*"))


def tshark(folder, *arguments):
    [capture, *more] = inputs(folder)
    data = capture.read_bytes()
    if more:
        data = subprocess.run(["mergecap", "-w", "-", capture, *more], check=True, capture_output=True).stdout
    elif capture.suffix == ".zst":
        data = subprocess.run(["zstd", "-dqc"], input=data, check=True, capture_output=True).stdout
    elif capture.suffix == ".gz":
        data = gzip.decompress(data)
    with tempfile.NamedTemporaryFile() as plain:
        plain.write(data)
        plain.flush()
        decode = [part for port in (3000, 7000, 7200, 8765, 8888) for part in ("-d", f"tcp.port=={port},http")]
        return subprocess.run(["tshark", "-n", "-r", plain.name, *decode, "-d", "tcp.port==5000,http", "-d", "tcp.port==8000,http", *arguments],
                              check=True, capture_output=True).stdout.decode("utf-8", "replace")


def brief(folder):
    """One line: frames, link type and the heads that tshark sees."""
    heads = tshark(folder, "-T", "fields", "-e", "http.request.method", "-e", "http.response.code").split("\n")
    frames = len(heads) - 1
    seen = [" ".join(head.split()) for head in heads if head.strip()]
    size = sum(capture.stat().st_size for capture in inputs(folder))
    return f"{frames} frames, {size} bytes: {' '.join(seen)}"


def payloads(folder):
    """The payload of every stream and direction, in order of sequence numbers."""
    fields = tshark(folder, "-o", "tcp.desegment_tcp_streams:false", "-T", "fields", "-e", "tcp.stream", "-e", "tcp.srcport", "-e", "tcp.seq_raw", "-e", "tcp.payload", "-e", "udp.payload")
    streams = {}
    for line in fields.splitlines():
        stream, port, sequence, payload, datagram = line.split("\t")
        # What is in a tunnel has both: the datagram is the tunnel's.
        if stream:
            datagram = ""
        if payload or datagram:
            parts = streams.setdefault((stream, port), {})
            parts.setdefault(int(sequence or len(parts)), bytes.fromhex((payload or datagram).replace(":", "")))
    return [b"".join(parts[key] for key in sorted(parts)) for parts in streams.values()]


def dechunked(data):
    out = b""
    while match := re.match(rb"\r?\n?([0-9a-fA-F]+)[^\r\n]*\r\n", data):
        size = int(match[1], 16)
        out += data[match.end():match.end() + size]
        if not size:
            break
        data = data[match.end() + size:]
    return out


def decoded(data):
    """Everything a reader could make of the bytes, one layer after the other; generous, for it only has to find what was sent."""
    layers = [data]
    for match in re.finditer(rb"\r\n\r\n", data):
        body = data[match.end():]
        for each in (body, dechunked(body)):
            for _ in range(2):
                for unpack in (lambda b: zlib.decompressobj(31).decompress(b), lambda b: zlib.decompressobj(15).decompress(b), lambda b: zlib.decompressobj(-15).decompress(b),
                               lambda b: zstandard.ZstdDecompressor().decompressobj().decompress(b), brotli.decompress):
                    try:
                        unpacked = unpack(each)
                    except Exception:
                        continue
                    if len(unpacked) > 20:
                        layers.append(unpacked)
                        each = unpacked
                        break
            layers.append(each)
    texts = []
    for layer in layers:
        texts += [layer.decode(charset, "replace") for charset in ("utf-8", "latin-1", "utf-16-le", "utf-16-be")]
        texts.append(layer[1:].decode("utf-16-le", "replace"))
    more = []
    for text in texts[:]:
        more += [urllib.parse.unquote_plus(text), html.unescape(text), text.replace('\\\\"', '"').replace("\\n", "\n")]
        more += [json.loads(f'"{part}"') for part in re.findall(r'"((?:[^"\\]|\\.)*\\(?:[^"\\]|\\.)*)"', text) if valid(part)]
        for part in re.findall(r"[A-Za-z0-9+/_-]{16,}={0,2}", text):
            bare = part.rstrip("=").replace("-", "+").replace("_", "/")
            more.append(base64.b64decode(bare + "=" * (-len(bare) % 4) if len(bare) % 4 != 1 else "").decode("utf-8", "replace"))
    return "\n\0".join(texts + more)


def valid(part):
    try:
        json.loads(f'"{part}"')
    except ValueError:
        return False
    return True


def faults(folder, leaking):
    name, out = folder.name, []
    size = sum(capture.stat().st_size for capture in inputs(folder))
    if size > LIMIT.get(name, 60_000):
        out.append(f"{name}: {size} bytes are too many")
    truth = [json.loads(line) for line in pathlib.Path(folder / "expect.ndjson").read_text().splitlines()]
    if bool(truth) != leaking:
        out.append(f"{name}: {len(truth)} lines of truth")
    streams = payloads(folder)
    if not streams:
        out.append(f"{name}: no payload")
    text = "\n\0".join(decoded(stream) for stream in streams)
    for line in truth:
        if line["value"] is not None and line["value"] not in text:
            out.append(f"{name}: {line['value']!r} does not stand in the capture")
    for word in MACHINE:
        if word.decode() in text:
            out.append(f"{name}: tells of this machine: {word.decode()}")
    waits = [float(wait) for wait in tshark(folder, "-Y", "http.time", "-T", "fields", "-e", "http.time").split()]
    if name not in SLOW and max(waits, default=0) > 0.4:
        out.append(f"{name}: an answer took {max(waits)} s")
    return out
