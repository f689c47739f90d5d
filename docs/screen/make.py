#!/usr/bin/env python3
"""Makes the picture and the recording of the README from a real session: `docs/screen/make.py target/release/leaktap`.

Needs the right to capture, tmux, curl, and Python with Flask. A Flask application answers on the loopback, curl asks it, and
`leaktap watch` runs in tmux; what it writes is recorded (watch.cast, asciicast v2), and what tmux then shows is drawn (*.svg).
Every secret here is made up.
"""

import html
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
COLUMNS, ROWS = 110, 38
PORT = "18080"

APP = '''
import flask, os
app = flask.Flask("shop")
MONGO_URI = "mongodb://shop:T4ngerine-Boat-77@db.shop.example:27017/shop"

@app.get("/v1/charges")
def charges():
    return {"charges": [], "page": 1}

@app.post("/login")
def login():
    answer = flask.make_response({"ok": True})
    answer.set_cookie("sid", "8f14e45fceea167a5a36dedd4bea2543")
    return answer

@app.get("/admin/keys")
def keys():
    return {"data": {"keys": [{"name": "deploy", "secret": "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"}]}}

@app.get("/report/<number>")
def report(number):
    uri = MONGO_URI
    return {"rows": {}[number]}

app.run("127.0.0.1", %s, debug=True, use_reloader=False)
''' % PORT

STRIPE = "sk_live_q7Vd3TzN9mKw2RbX5cYh8PfL"
REQUESTS = {
    "charge": ["-H", "Host: api.shop.example", f"/v1/charges?api_key={STRIPE}&limit=3"],
    "login": ["-H", "Host: shop.example", "-u", "alice:correct-horse-7-battery", "-X", "POST", "/login"],
    "keys": ["-H", "Host: admin.shop.example", "-H", f"Authorization: Bearer {STRIPE}", "/admin/keys"],
    "boom": ["-H", "Host: shop.example", "/report/17"],
    "plain": ["-H", "Host: shop.example", "/v1/charges"],
}

RECORDER = '''
import json, sys, os, time
begun = time.time()
with open(sys.argv[1], "w") as out:
    out.write(json.dumps({"version": 2, "width": %d, "height": %d, "title": "leaktap watch",
                          "env": {"TERM": "xterm-256color"}}) + "\\n")
    rest = b""
    while chunk := os.read(0, 65536):
        text = (rest + chunk)
        try:
            shown, rest = text.decode(), b""
        except UnicodeDecodeError as error:
            shown, rest = text[:error.start].decode(), text[error.start:]
        out.write(json.dumps([round(time.time() - begun, 3), "o", shown], ensure_ascii=False) + "\\n")
        out.flush()
''' % (COLUMNS, ROWS)


def tmux(*arguments):
    return subprocess.run(["tmux", "-L", "leaktap-screen", *arguments], check=True, capture_output=True, text=True).stdout


def ask(name):
    *flags, path = REQUESTS[name]
    subprocess.run(["curl", "-s", "-o", os.devnull, "--noproxy", "*", *flags, f"http://127.0.0.1:{PORT}{path}"], check=True)


def shown():
    return tmux("capture-pane", "-p", "-t", "watch")


def wait(text):
    for _ in range(600):
        if text in shown():
            return
        time.sleep(0.05)
    sys.exit(f"{text!r} does not appear:\n{shown()}")


def keys(*names, pause=0.9):
    for name in names:
        tmux("send-keys", "-t", "watch", name)
        time.sleep(0.12 if len(name) == 1 and pause > 0.5 else 0.05)
    time.sleep(pause)


# The colours of the sixteen-colour terminal that the picture shows.
COLOURS = ["#1d1f21", "#d54e53", "#8cbf5f", "#e0b83f", "#4f83c4", "#b76fc8", "#47b0ab", "#c5c8c6",
           "#767a80", "#ff6b70", "#b5e08c", "#ffd866", "#7aa6da", "#d7a0e6", "#70d6d0", "#ffffff"]
GROUND, INK = "#16181a", "#d8dbd8"
WIDE, HIGH = 8.4, 18


def cells(text):
    """Lines of (letter, ink, ground, bold) from what `tmux capture-pane -e` prints."""
    ink, ground, bold, reverse = None, None, False, False
    for line in text.split("\n"):
        row, at = [], 0
        while at < len(line):
            if line[at] == "\x1b" and line[at + 1:at + 2] == "[":
                end = line.index("m", at)
                codes = [int(code or 0) for code in line[at + 2:end].replace(":", ";").split(";")]
                at = end + 1
                while codes:
                    code = codes.pop(0)
                    if code == 0:
                        ink, ground, bold, reverse = None, None, False, False
                    elif code == 1:
                        bold = True
                    elif code == 7:
                        reverse = True
                    elif code in (38, 48) and codes[:1] == [5]:
                        colour = COLOURS[codes[1] % 16]
                        codes = codes[2:]
                        ink, ground = (colour, ground) if code == 38 else (ink, colour)
                    elif 30 <= code <= 37 or 90 <= code <= 97:
                        ink = COLOURS[code - 30 if code < 90 else code - 82]
                    elif 40 <= code <= 47 or 100 <= code <= 107:
                        ground = COLOURS[code - 40 if code < 100 else code - 92]
                    elif code == 39:
                        ink = None
                    elif code == 49:
                        ground = None
                continue
            pair = (ground or GROUND, ink or INK) if reverse else (ink or INK, ground)
            row.append((line[at], *pair, bold))
            at += 1
        yield row


def picture(name):
    """Draws what tmux shows."""
    rows = list(cells(tmux("capture-pane", "-e", "-p", "-t", "watch").rstrip("\n")))
    width, height = COLUMNS * WIDE + 24, ROWS * HIGH + 24
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-family="ui-monospace, '
           'SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14">',
           f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>']
    for number, row in enumerate(rows):
        top = 12 + number * HIGH
        runs = []
        for column, (letter, *style) in enumerate(row):
            if runs and runs[-1][2] == style:
                runs[-1][1] += letter
            else:
                runs.append([column, letter, style])
        for column, text, (ink, ground, bold) in runs:
            left, length = 12 + column * WIDE, len(text) * WIDE
            if ground:
                out.append(f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{HIGH}" fill="{ground}"/>')
            if text.strip():
                weight = ' font-weight="bold"' if bold else ""
                out.append(f'<text x="{left:.1f}" y="{top + 13.5}" fill="{ink}"{weight} xml:space="preserve" '
                           f'textLength="{length:.1f}">{html.escape(text)}</text>')
    out.append("</svg>\n")
    (HERE / name).write_text("\n".join(out))


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    folder = tempfile.TemporaryDirectory()
    (pathlib.Path(folder.name) / "shop.py").write_text(APP)
    # The command line is shown: it names no path of this machine.
    server = subprocess.Popen(["python3", "shop.py"], executable=sys.executable, cwd=folder.name,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if subprocess.run(["curl", "-s", "-o", os.devnull, f"http://127.0.0.1:{PORT}/v1/charges"]).returncode == 0:
                break
            time.sleep(0.05)
        recorder = pathlib.Path(folder.name) / "record.py"
        recorder.write_text(RECORDER)
        environment = f"LEAKTAP_FINGERPRINT_KEY=made-up XDG_STATE_HOME={folder.name} XDG_CONFIG_HOME={folder.name}"
        command = f"cd {folder.name} && {environment} {program} watch -i lo --filter 'tcp port {PORT}' --baseline known.toml"
        tmux("-f", os.devnull, "new-session", "-d", "-s", "watch", "-x", str(COLUMNS), "-y", str(ROWS), "sh")
        tmux("set", "-g", "status", "off")
        tmux("set", "-g", "default-terminal", "xterm-256color")
        tmux("pipe-pane", "-t", "watch", f"{sys.executable} {recorder} {HERE / 'watch.cast'}")
        tmux("send-keys", "-t", "watch", f" clear; {command}", "Enter")
        wait("Listening on lo")
        time.sleep(1.5)
        for name in ["charge", "plain", "login", "charge", "keys", "plain", "charge", "boom", "charge", "plain", "login"]:
            ask(name)
            time.sleep(0.5)
        wait("GitHub")
        time.sleep(1)
        keys("s")
        keys("j", "j")
        picture("watch.svg")
        keys("/", *"host:api", pause=1.5)
        keys("Enter", "Enter", pause=2.5)
        picture("leak.svg")
        keys("r", pause=1.2)
        keys("r", pause=1.5)
        keys("Escape", pause=0.8)
        keys("\\", "v", "v", pause=1.2)
        keys("Enter", pause=1.5)
        keys("2", pause=1.5)
        keys("4", pause=1.5)
        keys("5", pause=1.5)
        keys("1", "v", "v", "m", pause=1.5)
        keys("r", pause=1)
        keys(*"a test key", "Enter", pause=2)
        keys("u", pause=1.5)
        keys("?", pause=2)
        keys("q", pause=0.5)
        tmux("pipe-pane", "-t", "watch")
        keys("q", pause=0.5)
    finally:
        subprocess.run(["tmux", "-L", "leaktap-screen", "kill-server"], stderr=subprocess.DEVNULL)
        server.terminate()
        server.wait()
    lines = (HERE / "watch.cast").read_text().split("\n")
    # The shell's own line is no part of it.
    first = next(at for at, line in enumerate(lines) if "\\u001b[?1049h" in line)
    begun = json.loads(lines[first])[0]
    events = [json.loads(line) for line in lines[first:] if line]
    kept = [lines[0]] + [json.dumps([round(event[0] - begun, 3), *event[1:]], ensure_ascii=False) for event in events]
    (HERE / "watch.cast").write_text("\n".join(kept) + "\n")


main()
