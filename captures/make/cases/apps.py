"""Frameworks and clients as they come: Express and node's fetch, FastAPI and httpx, nginx with brotli."""

import json
import subprocess

import httpx

from capture import ENVIRONMENT, STAGE, case, curl
from cases.bodies import WORDS, answering


@case("express-fetch", "node's fetch talks to Express: a key in the query, a client secret in JSON, a Stripe key in the answer, and Express's own error page, which shows the stack and the database's password.",
      "The same calls without secrets; the service runs in production, so that the error page says nothing.")
def express_fetch(room):
    key, secret, stripe, password = room.made.api_key(), room.made.api_key(), room.made.stripe(), room.made.password()
    database = f"postgres://till:{password}@db.internal/shop"
    room.install("express_shop.js", charge=room.either(stripe, "****"), database=room.either(database, "the database"))
    room.install("fetch.mjs")
    site = "http://127.0.0.1:3000"
    calls = [
        [f"{site}/v1/forecast?city=Ghent" + room.either(f"&api_key={key}", ""), {}],
        [f"{site}/v1/clients", {"method": "POST", "headers": {"Content-Type": "application/json"},
                                "body": json.dumps({"name": "till-4", "client_secret": room.either(secret, "")})}],
        [f"{site}/v1/stock", {}],
    ]
    environment = {"NODE_PATH": str(STAGE / "node" / "node_modules"), "NODE_ENV": room.either("development", "production")}
    with room.server(3000, "node", "express_shop.js", **environment), room.capture(3000):
        subprocess.run(["node", "fetch.mjs", json.dumps(calls)], cwd=STAGE, env=ENVIRONMENT, check=True, timeout=20)
    room.leak("generic-api-key", "request.query", "api_key", key, 200)
    room.leak("generic-secret", "request.body", "client_secret", secret, 201)
    room.leak("stripe-secret-key", "response.body", "billing.stripe_key", stripe, 201)
    room.leak("node-stack-trace", "response.body", None, None, 500, "traceback")
    room.leak("database-url-password", "response.body", None, password, 500, "traceback")


@case("fastapi-httpx", "httpx talks to FastAPI: a key in the query, a password of Basic, a client secret in JSON, and the traceback that FastAPI answers with where debug is on, with the database's password.",
      "The same calls without secrets; debug is off.")
def fastapi_httpx(room):
    key, secret, password, other = room.made.api_key(), room.made.api_key(), room.made.password(), room.made.password()
    database = f"postgres://till:{other}@db.internal/shop"
    room.install("fast.py", database=room.either(database, "the database"))
    environment = {"DEBUG": room.either("1", "0")}
    with room.server(8000, "uvicorn", "fast:app", "--port", "8000", "--log-level", "warning", **environment), room.capture(8000):
        with httpx.Client(base_url="http://127.0.0.1:8000") as client:
            client.get("/v1/forecast", params={"city": "Ghent"} | ({"api_key": key} if room.leaking else {}))
            client.post("/v1/clients", json={"name": "till-4", "client_secret": room.either(secret, "")})
            if room.leaking:
                client.get("/private", auth=("till", password))
            client.get("/v1/stock")
    room.leak("generic-api-key", "request.query", "api_key", key, 200)
    room.leak("generic-secret", "request.body", "client_secret", secret, 201)
    room.leak("http-basic-password", "request.header", "Authorization", password, 200)
    room.leak("python-traceback", "response.body", None, None, 500, "traceback")
    room.leak("database-url-password", "response.body", None, other, 500, "traceback")


@case("nginx-br", "nginx with its brotli module in front of Flask compresses a JSON answer and a page with keys in them.",
      "The same two answers, compressed, with placeholders.")
def nginx_br(room):
    secret, key = room.either((room.made.api_key(), room.made.google()), ("YOUR_SECRET", "YOUR_API_KEY"))
    body = json.dumps({"text": WORDS * 30, "clients": [{"id": "till-4", "client_secret": secret}]})
    page = f"<!doctype html><title>Map</title><p>{WORDS * 20}</p><script>loadMap('{key}', 51.05, 3.72)</script>"
    with answering(room, body.encode(), "application/json"), room.nginx({"map.html": page}, conf="nginx-br.conf"), room.capture(8080):
        for path in ("/api/answer", "/map.html"):
            answer = curl("--include", "-H", "Accept-Encoding: br", f"http://127.0.0.1:8080{path}")
            assert b"content-encoding: br" in answer.lower(), answer[:300]
    room.leak("generic-secret", "response.body", "clients[0].client_secret", secret, 200)
    room.leak("google-api-key", "response.body", None, key, 200)
