"""Bodies: formats, charsets, codings, streams."""

import base64
import gzip
import json

import requests

from capture import case, curl

FLASK = "http://127.0.0.1:5000"
WORDS = ("The kettle stands on the shelf beside the toaster, and both are told apart by their number. "
         "Orders are picked in the morning and leave the house before noon. ")


def answering(room, body, media):
    """Flask with one answer."""
    return room.flask(config={"BODY": base64.b64encode(body).decode(), "TYPE": media})


@case("html-places", "An HTML page with a secret in an attribute, in a script, in a comment and behind an entity-encoded &.",
      "The same page with placeholders.")
def html_places(room):
    made = room.made
    stripe, google, github, slack = room.either((made.stripe(), made.google(), made.github(), made.slack()),
                                                ("sk_live_your_key_here", "YOUR_GOOGLE_API_KEY", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "xoxb-***"))
    page = f"""<!doctype html>
<html lang="en"><head><title>Till</title>
<script>var settings = {{"lang": "nl", "maps": '{google}', retries: 3}};</script>
</head><body>
<!-- old bot: {slack} -->
<form action="/pay" method="post"><input type="hidden" name="stripe" value="{stripe}"><button>Pay</button></form>
<p><a href="/export?format=csv&amp;auth={github}&amp;page=1">Export</a></p>
</body></html>
"""
    with answering(room, page.encode(), "text/html; charset=utf-8"), room.capture(5000):
        curl(f"{FLASK}/answer")
    room.leak("google-api-key", "response.body", None, google, 200)
    room.leak("slack-bot-token", "response.body", None, slack, 200)
    room.leak("stripe-secret-key", "response.body", "input.@value", stripe, 200)
    room.leak("github-pat", "response.body", "a.@href", github, 200)


@case("xml-credentials", "An XML answer in the manner of AWS STS with a key pair in it.",
      "The same answer with the example pair of the AWS documentation.")
def xml_credentials(room):
    identifier, secret = room.either(room.made.aws_pair(), ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
    body = f"""<?xml version="1.0" encoding="UTF-8"?>
<CreateAccessKeyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
  <CreateAccessKeyResult>
    <AccessKey>
      <UserName>till</UserName>
      <AccessKeyId>{identifier}</AccessKeyId>
      <Status>Active</Status>
      <SecretAccessKey>{secret}</SecretAccessKey>
    </AccessKey>
  </CreateAccessKeyResult>
</CreateAccessKeyResponse>
"""
    with answering(room, body.encode(), "text/xml"), room.capture(5000):
        curl(f"{FLASK}/answer", "-d", "Action=CreateAccessKey&UserName=till&Version=2010-05-08")
    place = "CreateAccessKeyResponse.CreateAccessKeyResult.AccessKey."
    room.leak("aws-access-key-id", "response.body", place + "AccessKeyId", identifier, 200)
    room.leak("aws-secret-access-key", "response.body", place + "SecretAccessKey", secret, 200)


@case("connection-strings", "A settings endpoint hands out an ODBC and a PostgreSQL connection string.",
      "The same settings with the masks and templates that belong there.")
def connection_strings(room):
    odbc, postgres = room.either((room.made.password(), room.made.password()), ("********", "${DB_PASSWORD}"))
    body = {"reports": {"connection": f"Driver={{ODBC Driver 18 for SQL Server}};Server=tcp:db04.corp.example,1433;Database=reports;Uid=reports;Pwd={odbc};Encrypt=yes;"},
            "stores": [{"url": f"postgresql://stock:{postgres}@db05.corp.example:5432/stock?sslmode=require"}], "pool": 5}
    with answering(room, json.dumps(body).encode(), "application/json"), room.capture(5000):
        curl(f"{FLASK}/answer")
    room.leak("odbc-password", "response.body", "reports.connection", odbc, 200)
    room.leak("database-url-password", "response.body", "stores[0].url", postgres, 200)


@case("private-key", "A server hands out a private key: as JSON string with escaped newlines, and as a file.",
      "A public key and a certificate request are handed out instead.")
def private_key(room):
    first, second = room.made.private_key(), room.made.private_key()
    public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----"
    with answering(room, json.dumps({"name": "till", "tls": {"key": room.either(first, public)}}).encode(), "application/json"), room.capture(5000):
        curl(f"{FLASK}/answer")
        curl(f"{FLASK}/v1/orders", "-H", "Content-Type: application/x-pem-file", "--data-binary", room.either(second, public) + "\n")
    room.leak("private-key", "response.body", "tls.key", first, 200)
    room.leak("private-key", "request.body", None, second, 201)


@case("base64-values", "A secret object as Kubernetes shows it: values in base64, which hides nothing.",
      "The same object with ordinary words in base64, a digest and a picture.")
def base64_values(room):
    def coded(text):
        return base64.b64encode(text.encode()).decode()

    stripe, github = room.either((room.made.stripe(), room.made.github()), ("the kettle is on the shelf", "and the toaster beside it"))
    body = {"kind": "Secret", "metadata": {"name": "till", "uid": "4b1e7f0a-62d5-4c3b-9d18-a07c5e2f9b64"},
            "data": {"STRIPE_KEY": coded(stripe), "settings": coded(f"lang: nl\nremote:\n  token: {github}\n  retries: 3\n"),
                     "digest": base64.b64encode(room.made.random.randbytes(32)).decode()}}
    with answering(room, json.dumps(body).encode(), "application/json"), room.capture(5000):
        curl(f"{FLASK}/answer")
    room.leak("stripe-secret-key", "response.body", "data.STRIPE_KEY", stripe, 200)
    room.leak("github-pat", "response.body", "data.settings", github, 200)


@case("json-lines", "An ingest of JSON lines, one record of which carries a Slack token.", "The same ingest with a masked token.")
def json_lines(room):
    token = room.either(room.made.slack(), "xoxb-************")
    lines = [{"n": 1, "text": "opened"}, {"n": 2, "text": "linked", "slack": {"token": token}}, {"n": 3, "text": "closed"}]
    with room.flask(), room.capture(5000):
        requests.post(f"{FLASK}/v1/ingest", data="".join(json.dumps(line) + "\n" for line in lines), headers={"Content-Type": "application/x-ndjson"})
    room.leak("slack-bot-token", "request.body", "slack.token", token, 202)


@case("latin1", "A form posted as JSON in ISO-8859-1 with a password in German, answered by an ISO-8859-1 page with a Stripe key: values are told in UTF-8.",
      "The same texts without secrets.")
def latin1(room):
    password, key = room.either((room.made.password("Grüße-"), room.made.stripe()), ("", "(folgt)"))
    page = f"<html><head><title>Schlüssel</title></head><body><p>Größe: groß. Ihr Schlüssel für München: {key} – bitte löschen.</p></body></html>".replace("–", "-")
    with answering(room, page.encode("latin-1"), "text/html; charset=iso-8859-1"), room.capture(5000):
        body = json.dumps({"benutzer": "jürgen", "password": password}, ensure_ascii=False).encode("latin-1")
        requests.post(f"{FLASK}/answer", data=body, headers={"Content-Type": "application/json; charset=ISO-8859-1"})
    room.leak("generic-password", "request.body", "password", password, 200)
    room.leak("stripe-secret-key", "response.body", None, key, 200)


@case("utf16", "A text in UTF-16 (with its mark, little-endian) with a GitHub token, and one in UTF-16BE without a mark.",
      "The same texts without a token.")
def utf16(room):
    first, second = room.either((room.made.github(), room.made.stripe()), ("(none)", "(none)"))
    with answering(room, ("\ufeff" + WORDS + f"Token: {first}\r\n").encode("utf-16-le"), "text/plain; charset=utf-16"), room.capture(5000):
        curl(f"{FLASK}/answer")
        requests.post(f"{FLASK}/v1/orders", data=f"naïve order, key {second}\n".encode("utf-16-be"), headers={"Content-Type": "text/plain; charset=utf-16be"})
    room.leak("github-pat", "response.body", None, first, 200)
    room.leak("stripe-secret-key", "request.body", None, second, 201)


def coded(coding, why):
    @case("answer-" + coding.replace(",", "-"), why, "The same compressed answer with a mask where the key would stand.")
    def make(room):
        key = room.either(room.made.stripe(), "sk_live_************")
        body = json.dumps({"text": WORDS * 40, "billing": {"stripe_key": key}, "more": WORDS * 20})
        with answering(room, body.encode(), "application/json"), room.capture(5000):
            curl(f"{FLASK}/answer?coding={coding}")
        room.leak("stripe-secret-key", "response.body", "billing.stripe_key", key, 200)


coded("gzip", "An answer that Flask compressed by gzip.")
coded("deflate", "An answer that Flask compressed by deflate in its zlib form, as RFC 9110 says.")
coded("raw-deflate", "An answer that Flask compressed by raw deflate, as some servers do in spite of RFC 9110.")
coded("br", "An answer that Flask compressed by brotli.")
coded("zstd", "An answer that Flask compressed by Zstandard.")
coded("br,gzip", "An answer that was compressed twice: brotli, then gzip.")


@case("curl-upload-gzip", "An agent uploads a compressed log with an AWS key pair in it (Content-Encoding in a request).",
      "The same log with the example pair of the AWS documentation.")
def curl_upload_gzip(room):
    identifier, secret = room.either(room.made.aws_pair(), ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
    log = WORDS * 20 + f"\nstarting with aws_access_key_id={identifier} aws_secret_access_key={secret} region=eu-west-1\n" + WORDS * 20
    with room.flask(), room.capture(5000):
        curl(f"{FLASK}/v1/ingest", "-H", "Content-Encoding: gzip", "-H", "Content-Type: text/plain", "--data-binary", "@-", data=gzip.compress(log.encode(), mtime=0))
    room.leak("aws-access-key-id", "request.body", None, identifier, 202)
    room.leak("aws-secret-access-key", "request.body", None, secret, 202)


@case("llm-stream", "A chat service streams its answer as server-sent events, chunked by gunicorn; one event repeats a GitHub token; the call itself carries an OpenAI key.",
      "The same stream without a token, the call with a variable in place of the key.")
def llm_stream(room):
    key, token = room.either((room.made.openai(), room.made.github()), ("$OPENAI_API_KEY", "<token>"))
    texts = ["Put", " it", " in", " a", " header:", f" Authorization: token {token}", " and", " rotate", " it."]
    parts = ["data: " + json.dumps({"id": "chatcmpl-7741", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}) + "\n\n" for text in texts]
    with room.gunicorn(config={"PARTS": parts + ["data: [DONE]\n\n"], "TYPE": "text/event-stream"}), room.capture(8000):
        curl("--no-buffer", "http://127.0.0.1:8000/stream", "-H", f"Authorization: Bearer {key}")
    room.leak("openai-api-key", "request.header", "Authorization", key, 200)
    room.leak("github-pat", "response.body", "choices[0].delta.content", token, 200)


@case("nginx-gzip", "nginx in front of Flask compresses a JSON answer and a page with keys in them.",
      "The same two answers, compressed, with placeholders.")
def nginx_gzip(room):
    secret, key = room.either((room.made.api_key(), room.made.google()), ("YOUR_SECRET", "YOUR_API_KEY"))
    body = json.dumps({"text": WORDS * 30, "clients": [{"id": "till-4", "client_secret": secret}]})
    page = f"<!doctype html><title>Map</title><p>{WORDS * 20}</p><script>loadMap('{key}', 51.05, 3.72)</script>"
    with answering(room, body.encode(), "application/json"), room.nginx({"map.html": page}), room.capture(8080):
        curl("--compressed", "http://127.0.0.1:8080/api/answer")
        curl("--compressed", "http://127.0.0.1:8080/map.html")
    room.leak("generic-secret", "response.body", "clients[0].client_secret", secret, 200)
    room.leak("google-api-key", "response.body", None, key, 200)


@case("nginx-chunked", "nginx passes on a stream of unknown length in chunks; a Stripe key is cut by a chunk border.",
      "The same stream with ordinary words.")
def nginx_chunked(room):
    key = room.either(room.made.stripe(), "kettles and toasters and lamps")
    parts = [WORDS, "account key: " + key[:17], key[17:] + "\n", WORDS]
    with room.flask(config={"PARTS": parts}), room.nginx(), room.capture(8080):
        curl("http://127.0.0.1:8080/api/stream")
    room.leak("stripe-secret-key", "response.body", None, key, 200)


@case("long-answer", "A JSON answer of 40 kB over many segments, keys at its start, across a segment border and at its end.",
      "The same long answer with ordinary values.")
def long_answer(room):
    keys = room.either([room.made.stripe() for _ in range(3)], ["first", "middle", "last"])
    filler = {f"p{number:03}": WORDS for number in range(120)}
    body = json.dumps({"head": {"key": keys[0]}, "first": filler, "middle": [{"key": keys[1]}], "second": filler, "tail": keys[2]})
    with answering(room, body.encode(), "application/json"), room.capture(5000):
        curl(f"{FLASK}/answer")
    for key, name in zip(keys, ("head.key", "middle[0].key", "tail")):
        room.leak("stripe-secret-key", "response.body", name, key, 200)
