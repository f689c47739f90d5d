"""The room a case is made in: its servers, its tcpdump, its truth."""

import contextlib
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import subprocess
import time

from made_up import MadeUp

APPS = pathlib.Path(__file__).parent / "apps"
STAGE = pathlib.Path("/srv/app")
ENVIRONMENT = {"PATH": "/srv/app/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": str(STAGE)}
EXPOSURES = ["query-string", "url", "cleartext", "response", "reflected", "traceback", "client-session",
             "misconfiguration"]
CASES = {}


def case(name, why, clean=None):
    """Registers a case, and its clean counterpart where `clean` says why that one is clean."""
    def register(make):
        CASES[name] = (make, True, why)
        if clean:
            CASES[name + "-clean"] = (make, False, clean)
        return make
    return register


def clean_case(name, why):
    """Registers a case in which nothing may be reported."""
    def register(make):
        CASES[name] = (make, False, why)
        return make
    return register


class Room:
    def __init__(self, name, leaking, folder):
        self.name, self.leaking, self.folder = name, leaking, folder
        self.made = MadeUp(name)
        self.truth = {}

    def either(self, leak, harmless):
        """What the leaking case sends, or its clean counterpart in its stead."""
        return leak if self.leaking else harmless

    # Truth

    def leak(self, rule, surface, name, value, status, *more):
        """One line of truth; `more` are the exposures that do not follow from the surface."""
        if not self.leaking:
            return
        exposures = set(more)
        if value is not None:
            exposures.add("cleartext")
        if surface == "request.query":
            exposures.add("query-string")
        if surface == "request.path":
            exposures.add("url")
        if surface.startswith("response."):
            exposures.add("response")
        line = {"rule": rule, "surface": surface, "name": name, "value": value,
                "exposures": sorted(exposures, key=EXPOSURES.index), "status": status}
        self.truth.setdefault((rule, surface, name, value), line)

    def write_truth(self, why):
        lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.truth.values())
        (self.folder / "expect.ndjson").write_text(lines)
        (self.folder / "why.md").write_text(why + "\n")

    # Servers

    def install(self, app, **values):
        """Puts a file of apps/ on the stage, its @@names@@ replaced."""
        text = (APPS / app).read_text()
        for name, value in values.items():
            text = text.replace(f"@@{name}@@", value)
        (STAGE / app).write_text(text)

    @contextlib.contextmanager
    def server(self, port, *command, host="127.0.0.1", within=(), **environment):
        """Runs a server until the block ends; it must listen on `port`. `within` is a command that enters another namespace."""
        log = (STAGE / "server.log").open("ab")
        process = subprocess.Popen([*within, *command], cwd=STAGE, env=ENVIRONMENT | environment, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for_port(host, port, process)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)

    @contextlib.contextmanager
    def flask(self, app="service", port=5000, host="127.0.0.1", config=None, debug=False, within=(), **environment):
        """Flask's own server (HTTP/1.1, closes after each answer)."""
        if app == "service":
            self.install("service.py")
            settings = {"SECRET_KEY": MadeUp("service").api_key()} | (config or {})
            (STAGE / "config.json").write_text(json.dumps(settings))
        extra = ["--debug"] if debug else []
        with self.server(port, "flask", "--app", app, "run", "--port", str(port), "--host", host, "--no-reload", *extra,
                         host=host, within=within, **environment):
            yield

    @contextlib.contextmanager
    def gunicorn(self, port=8000, config=None, host="127.0.0.1", within=()):
        """The same service behind gunicorn, which keeps connections alive."""
        self.install("service.py")
        (STAGE / "config.json").write_text(json.dumps({"SECRET_KEY": MadeUp("service").api_key()} | (config or {})))
        with self.server(port, "gunicorn", "--worker-class", "gthread", "--threads", "8", "--bind", f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
                         "--no-control-socket", "service:app", host=host, within=within):
            wait_for_port(host, port)
            yield

    @contextlib.contextmanager
    def nginx(self, files=None, port=8080, conf="nginx.conf"):
        """nginx with `files` as its documents; /api/ goes to Flask on 5000."""
        shutil.rmtree(STAGE / "www", ignore_errors=True)
        for path, content in (files or {"manual.html": MANUAL}).items():
            target = STAGE / "www" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
            os.utime(target, (1_790_000_000, 1_790_000_000))
        self.install(conf)
        if not (STAGE / "server.key").exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                            "-subj", "/CN=shop.example", "-keyout", STAGE / "server.key", "-out", STAGE / "server.crt"],
                           check=True, capture_output=True)
        with self.server(port, "nginx", "-p", str(STAGE), "-c", str(STAGE / conf), "-g", "daemon off;"):
            yield

    # Capture

    @contextlib.contextmanager
    def capture(self, port, *options, interface="lo", file="input.pcap", filter=None, within=()):
        """tcpdump for the time of the block. `within` is a command that enters another namespace."""
        target = self.folder / file
        raw = STAGE / f"capture-{file}"
        expression = filter or f"tcp port {port}"
        command = ["tcpdump", "-i", interface, "--immediate-mode", "-B", "131072", "-U", "-Z", "root", *options, "-w", str(raw), expression]
        if file.startswith("input.pcapng"):
            command = ["dumpcap", "-q", "-i", interface, *options, "-f", expression, "-w", str(raw)]
        process = subprocess.Popen([*within, *command], stderr=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True)
        said = b""
        while b"listening on" not in said and b"File: " not in said:
            line = process.stderr.readline()
            if not line:
                raise RuntimeError(f"{command} ended: {said.decode()}")
            said += line
        time.sleep(0.1)
        try:
            yield
        finally:
            time.sleep(0.4)
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read().decode()
            process.wait(10)
        dropped = re.search(r"(\d+) packets dropped by kernel", rest)
        if dropped and dropped[1] != "0":
            raise RuntimeError(rest)
        if file.startswith("input.pcapng"):
            neutral(raw)
        if file.endswith(".gz"):
            target.write_bytes(subprocess.run(["gzip", "-9nc", raw], check=True, capture_output=True).stdout)
        elif file.endswith(".zst"):
            target.write_bytes(subprocess.run(["zstd", "-19qc", raw], check=True, capture_output=True).stdout)
        else:
            shutil.copyfile(raw, target)
        raw.unlink()


def neutral(capture):
    """dumpcap writes the kernel's name into its headers: another of the same length takes its place."""
    release = platform.release().encode()
    capture.write_bytes(capture.read_bytes().replace(release, b"6.1.0-amd64-generic"[:len(release)].ljust(len(release), b"-")))


def wait_for_port(host, port, process=None):
    for _ in range(200):
        if process and process.poll() is not None:
            raise RuntimeError((STAGE / "server.log").read_text()[-3000:])
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            time.sleep(0.05)
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {host} port {port}")


def curl(*arguments, data=None):
    """Runs curl; what it got is thrown away."""
    return subprocess.run(["curl", "--silent", "--show-error", *arguments], input=data, env=ENVIRONMENT, check=True,
                          capture_output=True, timeout=20).stdout


def exchange(port, data, host="127.0.0.1", parts=None, shut=True):
    """Sends bytes over a socket of our own and reads until the server closes."""
    with socket.create_connection((host, port), 5) as client:
        for part in parts or [data]:
            client.sendall(part)
            if parts:
                time.sleep(0.03)
        if shut:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while block := client.recv(65536):
            answer += block
        return answer


MANUAL = """<!doctype html>
<html lang="en">
<head><title>Kettle manual</title></head>
<body>
<h1>Kettle manual</h1>
<p>Fill the kettle to the line, close the lid and press the button. It switches itself off when the water boils.</p>
</body>
</html>
"""
