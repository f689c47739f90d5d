"""Ordinary traffic that looks like secrets to a careless eye."""

import base64
import hashlib
import json

import requests

from capture import clean_case, curl
from made_up import MadeUp

SITE = "http://127.0.0.1:8080"


def integrity(text):
    return "sha384-" + base64.b64encode(hashlib.sha384(text.encode()).digest()).decode()


@clean_case("benign-web", "nginx serves a shop's pages: CSRF tokens, integrity hashes, ETags, UUIDs, a nonce, a data URL, a public key, minified JavaScript.")
def benign_web(room):
    made = MadeUp("benign")
    script = ("!function(e,t){var n=e.session||{},r=t.password_hint,o='token',i=n.apiKey||window.API_KEY;function a(e){return e&&e.accessToken}"
              "e.auth={getToken:a,setPassword:function(e){n.secret=encodeURIComponent(e)},key:function(e){return o+':'+e}}}"
              f"(this,document);/*! build {made.hexadecimal(40)} */\n//# sourceMappingURL=shop.{made.hexadecimal(20)}.js.map\n")
    style = f".token{{color:#a3b1c9}}.secret::after{{content:'key'}}@font-face{{src:url(/f/inter.{made.hexadecimal(32)}.woff2)}}\n"
    pixel = base64.b64encode(bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489") + made.random.randbytes(60)).decode()
    page = f"""<!doctype html>
<html lang="en"><head><title>Shop</title>
<meta name="csrf-token" content="{made.text(43)}">
<link rel="stylesheet" href="/shop.css?v={made.hexadecimal(16)}" integrity="{integrity(style)}">
<script src="/shop.js?v={made.hexadecimal(16)}" integrity="{integrity(script)}" crossorigin="anonymous" nonce="{made.text(22)}"></script>
</head><body data-request-id="0d6f3a52-71c8-4b0e-9a36-5c2e8f1b7d40">
<form method="post" action="/login"><input type="hidden" name="csrfmiddlewaretoken" value="{made.text(64)}">
<input type="password" name="password" placeholder="Password"><input name="api_key" placeholder="Your API key"></form>
<img alt="" src="data:image/png;base64,{pixel}">
<p>Never share your password, your secret or your API key. Forgot your password? Ask for a new token.</p>
</body></html>
"""
    stock = json.dumps({"etag": made.hexadecimal(32), "items": [{"id": "7b0f1c2e-94d3-4f6a-8a51-3e2d7c9b0f18", "sku": "KT-20418", "sha256": made.hexadecimal(64), "image": f"/i/{made.hexadecimal(40)}.webp"}],
                        "next_page_token": "2", "password_policy": {"min_length": 12, "require_digits": True}, "token_type": "none", "secret_santa": "on 6 December"}, indent=1)
    with room.nginx({"index.html": page, "shop.js": script, "shop.css": style, "stock.json": stock}), room.capture(8080):
        for path in ("/index.html", "/shop.css?v=1", "/shop.js?v=1", "/stock.json?session=closed&token=&key=size"):
            curl(SITE + path, "-H", "Cookie: csrftoken=" + made.text(32) + "; _ga=GA1.1.1184205371.1795324000; theme=dark", "--referer", SITE + "/index.html?utm_source=mail&key=size")
        curl("--compressed", SITE + "/index.html", "-H", 'If-None-Match: "6a1b2c3d-5f0"')


@clean_case("benign-docs", "nginx serves documentation of APIs: example keys, placeholders, masks, curl lines to copy.")
def benign_docs(room):
    page = """<!doctype html><html><head><title>Authentication</title></head><body><h1>Authentication</h1>
<pre>curl https://api.shop.example/v1/orders?api_key=YOUR_API_KEY
curl -H "Authorization: Bearer YOUR_ACCESS_TOKEN" https://api.shop.example/v1/me
curl -u user:password https://api.shop.example/private
export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE
export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
export STRIPE_KEY=sk_live_xxxxxxxxxxxxxxxxxxxxxxxx
export GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
DATABASE_URL=postgresql://user:password@localhost:5432/mydb
MONGO_URI=mongodb://&lt;user&gt;:&lt;password&gt;@cluster0.example.net/test
Driver={ODBC Driver 18 for SQL Server};Server=myserver;Uid=myuser;Pwd=mypassword;</pre>
<p>Keys begin with <code>sk_live_</code> or <code>sk_test_</code>, tokens of GitHub with <code>ghp_</code>.</p>
<p>-----BEGIN PRIVATE KEY----- is the first line of a key file.</p></body></html>"""
    sample = {"api_key": "YOUR_API_KEY", "client_secret": "<client-secret>", "password": "${DB_PASSWORD}", "access_token": "{{ token }}",
              "stripe": "sk_test_...", "secret": "changeme", "auth_token": "xxxxxxxxxxxxxxxxxxxxxxxx", "private_key": None, "apikey": "********"}
    with room.nginx({"auth.html": page, "sample.json": json.dumps(sample, indent=2)}), room.capture(8080):
        curl(SITE + "/auth.html")
        curl(SITE + "/sample.json")
        curl(SITE + "/auth.html?api_key=YOUR_API_KEY&token=%3Ctoken%3E&password=")


@clean_case("benign-api", "A day at an API: pages, cursors, idempotency keys, trace headers, e-mail addresses, GraphQL, pictures.")
def benign_api(room):
    import io
    flask = "http://127.0.0.1:5000"
    made = MadeUp("benign-api")
    with room.flask(), room.capture(5000):
        requests.get(f"{flask}/v1/forecast", params={"cursor": "b3JkZXJzOjIwNDE4", "limit": 50, "sort": "key", "fields": "id,token_count"},
                     headers={"X-Request-Id": "c1f0b8de-0c5e-4a7a-b2f4-7d7e5f8a9b60", "traceparent": f"00-{made.hexadecimal(32)}-{made.hexadecimal(16)}-01"})
        requests.post(f"{flask}/v1/orders", json={"query": "query Tokens($first: Int!) { tokens(first: $first) { id secretName passwordUpdatedAt } }", "variables": {"first": 10}},
                      headers={"Idempotency-Key": "9a0e4c1b-6b6e-4d0a-8a8f-2f1f4c0b7d21"})
        requests.post(f"{flask}/v1/orders", json={"usage": {"prompt_tokens": 812, "max_tokens": 4096}, "keyboard": "azerty", "monkey": "bananas", "passwords_match": True})
        requests.post(f"{flask}/upload", files={"photo": ("kettle.jpg", io.BytesIO(b"\xff\xd8\xff\xe0" + made.random.randbytes(6000)), "image/jpeg")})
        requests.get(f"{flask}/v1/keys/7b0f1c2e-94d3-4f6a-8a51-3e2d7c9b0f18/balance")
