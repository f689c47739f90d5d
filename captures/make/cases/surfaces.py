"""A key at every place of a request, and where servers put one: Flask's own server, curl and requests."""

import time

import requests
from requests.auth import HTTPDigestAuth

from capture import ENVIRONMENT, STAGE, case, curl, exchange

FLASK = "http://127.0.0.1:5000"


@case("flask-query", "curl asks a Flask service with the API key in the query, other parameters before and behind it: it ends in logs, histories and Referers.",
      "The same call with a placeholder where the key would stand.")
def flask_query(room):
    key = room.either(room.made.api_key(), "YOUR_API_KEY")
    with room.flask(), room.capture(5000):
        curl(f"{FLASK}/v1/forecast?city=Ghent&api_key={key}&units=metric&debug=")
    room.leak("generic-api-key", "request.query", "api_key", key, 200)


@case("flask-query-encoded", "requests percent-encodes a key with +, / and = in it: the secret is the decoded value, told once for three calls.",
      "The same calls with ordinary words that need percent-encoding.")
def flask_query_encoded(room):
    key = room.either(room.made.text(18) + "+" + room.made.text(12) + "/" + room.made.text(9) + "==", "cafés & bars = 100% fun")
    with room.flask(), room.capture(5000):
        for page in range(3):
            requests.get(f"{FLASK}/v1/forecast", params={"page": page, "apikey": key, "q": "a&b"})
    room.leak("generic-api-key", "request.query", "apikey", key, 200)


@case("flask-query-forms", "Parameters in brackets, repeated and empty ones, and a URL as value of a parameter with a token in its own query.",
      "The same parameters with ordinary values.")
def flask_query_forms(room):
    from urllib.parse import quote
    key, token = room.either((room.made.api_key(), room.made.github()), ("demo", "kettle"))
    target = quote(f"https://code.example/raw/readme?auth={token}&lang=nl", safe="")
    with room.flask(), room.capture(5000):
        curl("--globoff", f"{FLASK}/v1/forecast?tag[]=a&tag[]=b&empty=&&flag&filter[city]=Ghent&filter[api_key]={key}&next={target}&end=1")
    room.leak("generic-api-key", "request.query", "filter[api_key]", key, 200)
    room.leak("github-pat", "request.query", "next", token, 200)


@case("flask-header", "requests sends the key in X-API-Key: the right place, but over plain HTTP anyone on the way reads it.",
      "The same header with the placeholder of a manual.")
def flask_header(room):
    key = room.either(room.made.api_key(), "<your-api-key>")
    with room.flask(), room.capture(5000):
        requests.get(f"{FLASK}/v1/forecast", params={"city": "Ghent"}, headers={"X-API-Key": key, "X-Request-Id": "5b0c6d1e-7f3a-4a52-9d0e-2f6b8c1a4e7d"})
    room.leak("generic-api-key", "request.header", "X-API-Key", key, 200)


@case("flask-path", "A Stripe key as a segment of the path: it stands in every access log.",
      "The same path with an ordinary identifier and with a documentation key.")
def flask_path(room):
    keys = room.either([room.made.stripe()], ["acct-20418", "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx"])
    with room.flask(), room.capture(5000):
        for key in keys:
            curl(f"{FLASK}/v1/keys/{key}/balance?currency=EUR")
    room.leak("stripe-secret-key", "request.path", None, keys[0], 200)


@case("flask-cookie", "A page keeps its API key in a cookie among others, sent with each request.",
      "Cookies of preferences and consent only.")
def flask_cookie(room):
    key = room.made.api_key()
    cookies = "theme=dark; lang=nl-BE; consent=2026-11-01; " + room.either(f"api_key={key}; ", "") + "width=1280"
    with room.flask(), room.capture(5000):
        curl(f"{FLASK}/v1/forecast", "-H", f"Cookie: {cookies}")
        curl(f"{FLASK}/v1/forecast?city=Gent", "-b", cookies)
    room.leak("generic-api-key", "request.cookie", "api_key", key, 200)


@case("session-cookie-sent", "A browser sends the opaque session cookie of a PHP shop with each request: told once for the host.",
      "Requests with cookies of preferences only.")
def session_cookie_sent(room):
    value = room.made.text(26, "0123456789abcdefghijklmnopqrstuv")
    with room.flask(), room.capture(5000):
        for _ in range(3):
            curl(f"{FLASK}/v1/forecast", "-b", "theme=dark; " + room.either(f"PHPSESSID={value}; ", "") + "lang=nl")
    room.leak("session-cookie", "request.cookie", "PHPSESSID", value, 200)


@case("flask-session-secret", "Flask's session cookie is signed, not encrypted: a Stripe key put into the session is read by whoever sees the cookie.",
      "The same site, a page that sets no session.")
def flask_session_secret(room):
    key = room.made.stripe()
    with room.flask(config={"BILLING": key}), room.capture(5000):
        browser = requests.Session()
        browser.get(f"{FLASK}/{room.either('billing', 'v1/forecast')}")
        browser.get(f"{FLASK}/basket")
    cookie = browser.cookies.get("session")
    assert bool(cookie) == room.leaking
    room.leak("session-cookie", "response.cookie", "session", cookie, 200)
    room.leak("stripe-secret-key", "response.cookie", "session.billing.key", key, 200, "client-session")
    room.leak("stripe-secret-key", "request.cookie", "session.billing.key", key, 200, "client-session")


@case("flask-login-session", "A login form over plain HTTP: the password, and the session cookie that stands for it afterwards.",
      "The same form sent empty, no cookie is set.")
def flask_login_session(room):
    password = room.either(room.made.password(), "")
    with room.flask(), room.capture(5000):
        browser = requests.Session()
        browser.post(f"{FLASK}/login", data={"user": "an.peeters", "password": password, "remember": room.either("1", "")})
        browser.get(f"{FLASK}/basket")
        browser.get(f"{FLASK}/basket")
    room.leak("generic-password", "request.body", "password", password, 200)
    room.leak("session-cookie", "response.cookie", "session", browser.cookies.get("session"), 200)


@case("flask-json", "Nested JSON in a request: a secret in a list of objects, and a key in JSON that stands as a string inside JSON.",
      "The same document with variables and masks in place of the secrets.")
def flask_json(room):
    import json
    secret, key = room.either((room.made.api_key(), room.made.stripe()), ("${CLIENT_SECRET}", "****************"))
    document = {"order": 7741, "data": {"keys": [{"id": "k-1", "secret": secret}, {"id": "k-2", "label": "spare"}]},
                "payload": json.dumps({"kind": "charge", "auth": {"stripe_key": key}})}
    with room.flask(), room.capture(5000):
        requests.post(f"{FLASK}/v1/orders", json=document)
    room.leak("generic-secret", "request.body", "data.keys[0].secret", secret, 201)
    room.leak("stripe-secret-key", "request.body", "payload.auth.stripe_key", key, 201)


@case("flask-json-escaped", "A password with quotes, a backslash and non-ASCII letters in JSON: the value is what stands after the escapes are undone.",
      "The same document, the password masked by the client.")
def flask_json_escaped(room):
    password = room.either(room.made.password('g"r\\ün/'), "********")
    with room.flask(), room.capture(5000):
        requests.post(f"{FLASK}/v1/orders", json={"user": {"name": "Zoë", "password": password}, "note": "a \"quoted\" word"})
    room.leak("generic-password", "request.body", "user.password", password, 201)


@case("flask-form", "A login form whose password holds &, = and a space, percent-encoded by requests: the whole password is the secret.",
      "The same form with an empty password.")
def flask_form(room):
    password = room.either(room.made.password("ju&mp=", " 9%"), "")
    with room.flask(), room.capture(5000):
        requests.post(f"{FLASK}/login", data=[("user", "an.peeters@example.org"), ("password", password), ("next", "/basket?a=1&b=2")])
    room.leak("generic-password", "request.body", "password", password, 200)


@case("flask-multipart", "curl uploads a form with a key as one part and an .env file with AWS credentials as another.",
      "The same upload with the example values of the AWS documentation.")
def flask_multipart(room):
    key = room.either(room.made.api_key(), "YOUR_API_KEY_HERE")
    identifier, secret = room.either(room.made.aws_pair(), ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
    (STAGE / "shop.env").write_text(f"# production\nREGION=eu-west-1\nAWS_ACCESS_KEY_ID={identifier}\nAWS_SECRET_ACCESS_KEY={secret}\nDEBUG=0\n")
    with room.flask(), room.capture(5000):
        curl(f"{FLASK}/upload", "-F", "title=Backup of the shop", "-F", f"api_key={key}", "-F", f"file=@{STAGE}/shop.env;type=text/plain")
    room.leak("generic-api-key", "request.body", "api_key", key, 200)
    room.leak("aws-access-key-id", "request.body", "file", identifier, 200)
    room.leak("aws-secret-access-key", "request.body", "file", secret, 200)


@case("flask-reflected", "The service repeats the key of the query in its HTML error and in its JSON: caches and scripts see it too.",
      "The same pages repeat an ordinary word.")
def flask_reflected(room):
    typed, generic = room.either((room.made.stripe(), room.made.api_key()), ("demo", "demo"))
    with room.flask(), room.capture(5000):
        curl(f"{FLASK}/search?key={typed}&page=2")
        curl(f"{FLASK}/v1/echo?page=3&api_key={generic}")
    room.leak("stripe-secret-key", "request.query", "key", typed, 200)
    room.leak("stripe-secret-key", "response.body", None, typed, 200, "reflected")
    room.leak("generic-api-key", "request.query", "api_key", generic, 200)
    room.leak("generic-api-key", "response.body", "received.api_key", generic, 200, "reflected")


@case("flask-response", "The service hands out an AWS key pair in JSON to whoever asks.",
      "The same answer with the example pair of the AWS documentation.")
def flask_response(room):
    import base64
    import json
    identifier, secret = room.either(room.made.aws_pair(), ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
    body = json.dumps({"Credentials": {"AccessKeyId": identifier, "SecretAccessKey": secret, "Expiration": "2026-11-22T18:00:00Z"}}, indent=2)
    with room.flask(config={"BODY": base64.b64encode(body.encode()).decode(), "TYPE": "application/json"}), room.capture(5000):
        curl(f"{FLASK}/answer")
    room.leak("aws-access-key-id", "response.body", "Credentials.AccessKeyId", identifier, 200)
    room.leak("aws-secret-access-key", "response.body", "Credentials.SecretAccessKey", secret, 200)


@case("flask-response-header", "The server sends a key along in a header of its own with each answer.",
      "Headers that only look like it.")
def flask_response_header(room):
    key = room.made.stripe()
    headers = {"X-Stripe-Key": room.either(key, "sk_live_********"), "X-Runtime": "0.0042", "ETag": '"5d41402abc4b2a76b9719d911017c592"',
               "Strict-Transport-Security": "max-age=63072000", "X-Request-Id": "2f1c9a34-0b7d-4e58-8a6f-d1c3b5e79f02"}
    with room.flask(config={"BODY": "e30=", "TYPE": "application/json", "HEADERS": headers}), room.capture(5000):
        curl(f"{FLASK}/answer")
        curl(f"{FLASK}/answer")
    room.leak("stripe-secret-key", "response.header", "X-Stripe-Key", key, 200)


@case("flask-redirect", "A sign-in redirects with a GitHub token in the URL: in Location, in the link of Flask's redirect page, and in the request that follows it.",
      "The same redirect with a language in the URL.")
def flask_redirect(room):
    token = room.made.github()
    with room.flask(config={"NEXT": "/oauth/callback?" + room.either(f"access_token={token}&", "") + "lang=nl"}), room.capture(5000):
        curl("--location", f"{FLASK}/oauth/start")
    room.leak("github-pat", "response.header", "Location", token, 302, "url")
    room.leak("github-pat", "response.body", "a.@href", token, 302)
    room.leak("github-pat", "response.body", None, token, 302)
    room.leak("github-pat", "request.query", "access_token", token, 200)


@case("flask-redirect-fragment", "The OAuth implicit grant: an opaque access token in the fragment of Location.",
      "The same redirect to an anchor of a page.")
def flask_redirect_fragment(room):
    token = room.made.api_key()
    next_page = "https://app.example/signed-in#" + room.either(f"access_token={token}&token_type=bearer&expires_in=3600", "welcome")
    with room.flask(config={"NEXT": next_page}), room.capture(5000):
        curl(f"{FLASK}/oauth/short")
    room.leak("generic-token", "response.header", "Location", token, 302, "url")


@case("flask-referer", "A page whose URL carries the key loads a picture: the browser tells the key again in Referer.",
      "The same two requests without a key.")
def flask_referer(room):
    key = room.made.api_key()
    page = f"{FLASK}/v1/forecast?" + room.either(f"api_key={key}&", "") + "city=Ghent"
    with room.flask(), room.capture(5000):
        curl(page)
        curl(f"{FLASK}/missing", "--referer", page)
    room.leak("generic-api-key", "request.query", "api_key", key, 200)
    room.leak("generic-api-key", "request.header", "Referer", key, 404, "url")


@case("flask-basic", "HTTP Basic over plain HTTP: the password is only base64 away; a colon belongs to it.",
      "The same page without credentials: the server asks for them.")
def flask_basic(room):
    password = room.made.password("t:")
    with room.flask(), room.capture(5000):
        for _ in range(2):
            requests.get(f"{FLASK}/private", auth=("an.peeters", password) if room.leaking else None)
    room.leak("http-basic-password", "request.header", "Authorization", password, 200)


@case("flask-bearer", "An opaque bearer token over plain HTTP.", "The same call with the placeholder of a manual.")
def flask_bearer(room):
    token = room.either(room.made.text(43), "<token>")
    with room.flask(), room.capture(5000):
        curl(f"{FLASK}/me", "--oauth2-bearer", token)
    room.leak("http-bearer-token", "request.header", "Authorization", token, 200)


@case("flask-bearer-jwt", "A JWT as bearer token over plain HTTP: it can be used again until it expires.",
      "The same call without a token.")
def flask_bearer_jwt(room):
    token = room.made.jwt({"sub": "an.peeters", "iss": "https://id.example", "iat": 1795324000, "exp": 1795327600, "scope": "orders:read"})
    with room.flask(), room.capture(5000):
        requests.get(f"{FLASK}/me", headers={"Authorization": f"Bearer {token}"} if room.leaking else {})
    room.leak("jwt", "request.header", "Authorization", token, 200)


@case("flask-jwt-claims", "A JWT whose claims hold a Stripe key: signed is not encrypted, the carrier and what it carries are two leaks.")
def flask_jwt_claims(room):
    key = room.made.stripe()
    token = room.made.jwt({"sub": "till-4", "billing": {"stripe_key": key}, "exp": 1795327600})
    with room.flask(), room.capture(5000):
        requests.get(f"{FLASK}/me", headers={"Authorization": f"Bearer {token}"})
    room.leak("jwt", "request.header", "Authorization", token, 200)
    room.leak("stripe-secret-key", "request.header", "Authorization.billing.stripe_key", key, 200, "client-session")


@case("flask-digest", "HTTP Digest by requests: the response can be attacked offline; nonces and counters are no secrets.",
      "The same page without credentials: only the challenge.")
def flask_digest(room):
    password = room.made.password()
    with room.flask(config={"PASSWORD": password}), room.capture(5000):
        answer = requests.get(f"{FLASK}/digest", auth=HTTPDigestAuth("an.peeters", password) if room.leaking else None)
    if room.leaking:
        response = answer.request.headers["Authorization"].split('response="')[1].split('"')[0]
        assert answer.status_code == 200
        room.leak("http-digest-response", "request.header", "Authorization", response, 200)


@case("oauth-client-credentials", "OAuth client credentials over plain HTTP: the client secret in the form, a new access token in the answer, which is used at once.",
      "The same calls as a manual shows them.")
def oauth_client_credentials(room):
    secret, token = room.either((room.made.api_key(), room.made.text(48)), ("YOUR_CLIENT_SECRET", "ACCESS_TOKEN"))
    with room.flask(config={"TOKEN": {"access_token": token, "token_type": "Bearer", "expires_in": 3600}}), room.capture(5000):
        requests.post(f"{FLASK}/oauth/token", data={"grant_type": "client_credentials", "client_id": "till-4", "client_secret": secret, "scope": "orders:read"})
        requests.get(f"{FLASK}/me", headers={"Authorization": f"Bearer {token}"})
    room.leak("generic-secret", "request.body", "client_secret", secret, 200)
    room.leak("generic-token", "response.body", "access_token", token, 200)
    room.leak("http-bearer-token", "request.header", "Authorization", token, 200)


@case("typed-providers", "Keys of five providers where their clients put them: OpenAI, Anthropic, Slack, SendGrid, Google.",
      "The same five calls with the placeholders of their manuals.")
def typed_providers(room):
    made = room.made
    openai, anthropic, slack, sendgrid, google = room.either(
        (made.openai(), made.anthropic(), made.slack(), made.sendgrid(), made.google()),
        ("$OPENAI_API_KEY", "$ANTHROPIC_API_KEY", "xoxb-your-token", "<<YOUR_API_KEY>>", "YOUR_API_KEY"))
    with room.flask(), room.capture(5000):
        requests.post(f"{FLASK}/v1/chat/completions", headers={"Authorization": f"Bearer {openai}"}, json={"model": "small", "messages": []})
        requests.post(f"{FLASK}/v1/messages", headers={"x-api-key": anthropic, "anthropic-version": "2023-06-01"}, json={"max_tokens": 1024})
        requests.post(f"{FLASK}/services/notify", json={"channel": "#till", "auth": {"bot_token": slack}})
        requests.post(f"{FLASK}/v3/mail/send", headers={"Authorization": f"Bearer {sendgrid}"}, json={"subject": "Your order"})
        curl(f"{FLASK}/maps/api/geocode/json?address=Korenmarkt+Gent&key={google}")
    room.leak("openai-api-key", "request.header", "Authorization", openai, 200)
    room.leak("anthropic-api-key", "request.header", "x-api-key", anthropic, 200)
    room.leak("slack-bot-token", "request.body", "auth.bot_token", slack, 200)
    room.leak("sendgrid-api-key", "request.header", "Authorization", sendgrid, 200)
    room.leak("google-api-key", "request.query", "key", google, 200)


@case("git-basic", "git fetches over plain HTTP with a GitHub token in the remote's URL: it goes out as the password of Basic, after the server asked.",
      "git asks a public repository: object names are no secrets.")
def git_basic(room):
    import subprocess
    token = room.made.github()
    remote = "http://" + room.either(f"x-access-token:{token}@", "") + "127.0.0.1:5000/shop.git"
    with room.flask(config={"PRIVATE": room.leaking}), room.capture(5000):
        subprocess.run(["git", "ls-remote", remote], check=True, capture_output=True, timeout=20,
                       env=ENVIRONMENT | {"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0"})
    room.leak("github-pat", "request.header", "Authorization", token, 200)


@case("absolute-form-userinfo", "A raw client sends an absolute-form target with user and password in it, as careless proxies' clients do.",
      "The same absolute-form target without userinfo.")
def absolute_form_userinfo(room):
    password = room.made.password()
    user = room.either(f"till:{password}@", "")
    with room.flask(), room.capture(5000):
        exchange(5000, f"GET http://{user}127.0.0.1:5000/v1/forecast?city=Ghent HTTP/1.1\r\nHost: 127.0.0.1:5000\r\nConnection: close\r\n\r\n".encode(), shut=False)
    room.leak("url-password", "request.path", None, password, 200)


@case("refused", "The server refuses the key with 401: it leaks all the same, but milder.",
      "The same refusal of a request that brought no key.")
def refused(room):
    key = room.made.api_key()
    with room.flask(), room.capture(5000):
        curl(f"{FLASK}/v1/refused?lang=nl" + room.either(f"&api_key={key}", ""))
    room.leak("generic-api-key", "request.query", "api_key", key, 401)


@case("slow-answer", "The answer's head comes 1.2 s after the request: the leak is told without a status after 500 ms of capture time.",
      "The same slow answer to a request without a key.")
def slow_answer(room):
    key = room.made.api_key()
    with room.flask(), room.capture(5000):
        curl(f"{FLASK}/v1/slow?lang=nl" + room.either(f"&api_key={key}", ""))
        time.sleep(0.1)
        curl(f"{FLASK}/v1/forecast")
    room.leak("generic-api-key", "request.query", "api_key", key, None)
