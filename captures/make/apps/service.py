"""An ordinary Flask service: every way a key can come in or go out."""

import base64
import gzip
import hashlib
import json
import time
import traceback
import zlib

import brotli
import zstandard
from flask import Flask, Response, abort, jsonify, redirect, request, session

app = Flask(__name__)
app.config.from_file("config.json", load=json.load)


@app.get("/v1/forecast")
def forecast():
    return jsonify(city=request.args.get("city", "Ghent"), degrees=[7, 9, 11])


@app.get("/v1/keys/<key>/balance")
def balance(key):
    return jsonify(balance=1250, currency="EUR")


@app.route("/v1/orders", methods=["POST", "PUT"])
def orders():
    request.get_data()
    return jsonify(accepted=True), 201


@app.post("/login")
def login():
    if request.form.get("remember"):
        session["basket"] = 3
    return "Welcome back."


@app.get("/basket")
def basket():
    return jsonify(items=session.get("basket", 0))


@app.get("/billing")
def billing():
    session["billing"] = {"key": app.config["BILLING"]}
    return "Billing is set up."


@app.post("/upload")
def upload():
    return jsonify(files=[{"name": file.filename, "bytes": len(file.read())} for file in request.files.values()])


@app.get("/search")
def search():
    key = request.args.get("key", "")
    return f"<!doctype html>\n<title>Search</title>\n<p>No account has the key <b>{key}</b>, please check it.</p>\n"


@app.get("/v1/echo")
def echo():
    return jsonify(ok=False, received={"api_key": request.args.get("api_key"), "page": request.args.get("page")})


@app.get("/oauth/start")
def oauth_start():
    return redirect(app.config["NEXT"])


@app.get("/oauth/short")
def oauth_short():
    return Response(status=302, headers={"Location": app.config["NEXT"]})


@app.get("/oauth/callback")
def oauth_callback():
    return "You are signed in."


@app.post("/oauth/token")
def oauth_token():
    return jsonify(app.config["TOKEN"])


@app.get("/private")
def private():
    if not request.authorization:
        return "Who are you?", 401, {"WWW-Authenticate": 'Basic realm="Private", charset="UTF-8"'}
    return jsonify(hello=request.authorization.username)


@app.get("/me")
def me():
    return jsonify(scheme=request.authorization.type if request.authorization else None)


@app.get("/digest")
def digest():
    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    given = request.authorization
    if given and given.type == "digest":
        first = md5(f"{given.username}:{given.realm}:{app.config['PASSWORD']}")
        second = md5(f"GET:{given.uri}")
        if given.response == md5(f"{first}:{given.nonce}:{given.nc}:{given.cnonce}:{given.qop}:{second}"):
            return "Come in."
    nonce = md5(str(time.time()))
    return "Who are you?", 401, {"WWW-Authenticate": f'Digest realm="Stock", nonce="{nonce}", qop="auth", algorithm=MD5'}


@app.route("/v1/refused", methods=["GET", "POST"])
def refused():
    return jsonify(error="the key is not valid"), 401


@app.get("/v1/slow")
def slow():
    time.sleep(1.2)
    return jsonify(done=True)


@app.get("/v1/boom")
def boom():
    try:
        raise ConnectionError(app.config["FAULT"])
    except ConnectionError as error:
        return jsonify(error=type(error).__name__, detail={"traceback": traceback.format_exc()}), 500


@app.get("/plain-boom")
def plain_boom():
    try:
        raise ConnectionError(app.config["FAULT"])
    except ConnectionError:
        return Response(traceback.format_exc(), 500, content_type="text/plain; charset=utf-8")


@app.get("/boom")
def production_boom():
    raise ConnectionError(app.config["FAULT"])


@app.post("/v1/ingest")
def ingest():
    if request.headers.get("Content-Encoding") == "gzip":
        gzip.decompress(request.get_data())
    return "", 202


@app.route("/answer", methods=["GET", "POST"])
def answer():
    """What the configuration says, in the coding that was asked for."""
    body = base64.b64decode(app.config["BODY"])
    coding = request.args.get("coding")
    headers = app.config.get("HEADERS", {}) | {"Content-Type": app.config["TYPE"]}
    if coding == "raw-deflate":
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        body, headers["Content-Encoding"] = packer.compress(body) + packer.flush(), "deflate"
    elif coding:
        for name in coding.split(","):
            body = {"deflate": zlib.compress, "gzip": gzip.compress, "br": brotli.compress,
                    "zstd": zstandard.compress}[name](body)
        headers["Content-Encoding"] = coding.replace(",", ", ")
    return Response(body, headers=headers)


@app.get("/stream")
def stream():
    def parts():
        for part in app.config["PARTS"]:
            yield part
            time.sleep(0.03)
    return Response(parts(), content_type=app.config.get("TYPE", "text/plain; charset=utf-8"))


@app.route("/v1/chat/completions", methods=["POST"])
@app.route("/v1/messages", methods=["POST"])
@app.route("/services/notify", methods=["POST"])
@app.route("/v3/mail/send", methods=["POST"])
@app.route("/maps/api/geocode/json")
def providers():
    request.get_data()
    return jsonify(status="OK")


@app.get("/shop.git/info/refs")
def git_refs():
    if not request.authorization and app.config.get("PRIVATE"):
        return "Private.", 401, {"WWW-Authenticate": 'Basic realm="Git"'}
    def packet(line):
        return b"%04x" % (len(line) + 4) + line
    head = b"1f0c9a7e4b2d6835c0e1f2a3b4c5d6e7f8091a2b HEAD\0multi_ack symref=HEAD:refs/heads/main\n"
    body = packet(b"# service=git-upload-pack\n") + b"0000" + packet(head) + b"0000"
    return Response(body, content_type="application/x-git-upload-pack-advertisement")


@app.get("/missing")
def missing():
    abort(404)
