"""Debug pages and tracebacks of Flask, Werkzeug and Django, and the plain error pages of production."""

import json
import re
import urllib.parse

import requests

from capture import STAGE, case, clean_case, curl
from made_up import MadeUp

FLASK = "http://127.0.0.1:5000"
TRACEBACK = "traceback"


def debugger_secret(page):
    """The secret of Werkzeug's debugger: made anew by each process, so it is read from the page itself."""
    return re.search(r'SECRET = "(\w+)"', page)[1]


def debug_page(room, app, path, **values):
    room.install(f"{app}.py", **values)
    with room.flask(app, debug=room.leaking), room.capture(5000):
        answer = requests.get(FLASK + path)
    assert answer.status_code == 500
    if room.leaking:
        room.leak("werkzeug-debugger", "response.body", None, None, 500, TRACEBACK)
        room.leak("werkzeug-debugger-secret", "response.body", None, debugger_secret(answer.text), 500, TRACEBACK)


@case("flask-debug-pyodbc", "Flask in debug mode, SQLAlchemy cannot load the ODBC driver: Werkzeug's page shows mssql+pyodbc://user:password@… in source lines, in the message and in the trailing comment.",
      "The same failure in production mode: a plain page.")
def flask_debug_pyodbc(room):
    password = room.made.password()
    debug_page(room, "orders", "/orders/7741", password=password)
    room.leak("database-url-password", "response.body", None, password, 500, TRACEBACK)


@case("flask-debug-mongo", "Flask in debug mode, MongoDB does not answer: MONGO_URI with a percent-encoded password in the debug page.",
      "The same failure in production mode: a plain page.")
def flask_debug_mongo(room):
    password = room.made.password("m$", "!")
    debug_page(room, "catalog", "/articles", password=urllib.parse.quote(password))
    room.leak("database-url-password", "response.body", None, password, 500, TRACEBACK)


@case("flask-debug-pin", "A debug page, then the debugger's PIN and its secret in the URL of a request (refused: it was tried too often before).",
      "The same service answers an ordinary request and a 404.")
def flask_debug_pin(room):
    pin = "-".join(room.made.text(3, "123456789") for _ in range(3))
    room.install("console.py")
    with room.server(5000, "flask", "--app", "console", "run", "--port", "5000", "--no-reload", WERKZEUG_DEBUG_PIN=pin), room.capture(5000):
        if room.leaking:
            page = requests.get(f"{FLASK}/stock/samovar").text
            secret = debugger_secret(page)
            answer = requests.get(f"{FLASK}/stock/samovar", params={"__debugger__": "yes", "cmd": "pinauth", "pin": pin, "s": secret})
            assert answer.json() == {"auth": False, "exhausted": True}, answer.text
            assert not answer.cookies
            room.leak("werkzeug-debugger", "response.body", None, None, 500, TRACEBACK)
            room.leak("werkzeug-debugger-secret", "response.body", None, secret, 500, TRACEBACK)
            room.leak("werkzeug-debugger-pin", "request.query", "pin", pin, 200)
            room.leak("werkzeug-debugger-secret-in-query", "request.query", "s", secret, 200)
        else:
            requests.get(f"{FLASK}/stock/kettle")
            requests.get(f"{FLASK}/shelves", params={"cmd": "list", "s": "kettle"})


@clean_case("flask-production-error", "Flask in production mode answers an exception and a missing page plainly: nothing leaks.")
def flask_production_error(room):
    with room.flask(config={"FAULT": "cannot reach postgresql://shop:" + room.made.password() + "@db03.corp.example/shop"}), room.capture(5000):
        curl(f"{FLASK}/boom")
        curl(f"{FLASK}/missing")


@case("flask-json-traceback", "An API answers with traceback.format_exc() in JSON; the message carries a PostgreSQL URL.",
      "The same error told in words.")
def flask_json_traceback(room):
    password = room.made.password()
    with room.flask(config={"FAULT": f"cannot reach postgresql://shop:{password}@db03.corp.example:5432/shop"}), room.capture(5000):
        curl(f"{FLASK}/{room.either('v1/boom', 'boom')}")
    room.leak("python-traceback", "response.body", "detail.traceback", None, 500, TRACEBACK)
    room.leak("database-url-password", "response.body", "detail.traceback", password, 500, TRACEBACK)


@case("flask-plain-traceback", "A 500 answer in plain text: the traceback, and in its message an AWS key pair.",
      "A 500 answer that talks of tracebacks, but is none.")
def flask_plain_traceback(room):
    identifier, secret = room.made.aws_pair()
    fault = f"upload refused for aws_access_key_id={identifier} aws_secret_access_key={secret}"
    with room.flask(config={"FAULT": fault}), room.capture(5000):
        curl(f"{FLASK}/{room.either('plain-boom', 'boom')}")
    room.leak("python-traceback", "response.body", None, None, 500, TRACEBACK)
    room.leak("aws-access-key-id", "response.body", None, identifier, 500, TRACEBACK)
    room.leak("aws-secret-access-key", "response.body", None, secret, 500, TRACEBACK)


def django(room, debug):
    password = room.made.password()
    room.install("journal.py", password=password, django_key=MadeUp("django").text(50))
    with room.server(8000, "gunicorn", "--bind", "127.0.0.1:8000", "--no-control-socket", "journal:application", DJANGO_DEBUG="1" if debug else "0"), \
            room.capture(8000):
        assert requests.get("http://127.0.0.1:8000/health/").status_code == 200
        answer = requests.get("http://127.0.0.1:8000/entries/")
    assert answer.status_code == 500
    return password


@case("django-debug", "Django's technical page (DEBUG=True): the database URL in the message, in source lines, in local variables and among the settings, where only some names are masked.")
def django_debug(room):
    password = django(room, True)
    room.leak("django-debug-page", "response.body", None, None, 500, TRACEBACK)
    room.leak("database-url-password", "response.body", None, password, 500, TRACEBACK)


@clean_case("django-production", "The same Django site with DEBUG=False: a plain page.")
def django_production(room):
    django(room, False)


@case("django-debug-text", "Django's technical answer to a script (Accept: text/plain … as XMLHttpRequest): the same page as plain text.")
def django_debug_text(room):
    password = room.made.password()
    room.install("journal.py", password=password, django_key=MadeUp("django").text(50))
    with room.server(8000, "gunicorn", "--bind", "127.0.0.1:8000", "--no-control-socket", "journal:application", DJANGO_DEBUG="1"), \
            room.capture(8000):
        curl("http://127.0.0.1:8000/entries/", "-H", "Accept: application/json", "-H", "X-Requested-With: XMLHttpRequest")
    room.leak("django-debug-page", "response.body", None, None, 500, TRACEBACK)
    room.leak("database-url-password", "response.body", None, password, 500, TRACEBACK)


@clean_case("talk-of-tracebacks", "Pages that explain tracebacks and debuggers in words and in made-up snippets without being one.")
def talk_of_tracebacks(room):
    page = """<!doctype html><html><head><title>How to read an error</title></head><body>
<h1>How to read an error</h1><p>A traceback lists the calls, the most recent call last. Start at the bottom: the last line names the exception.</p>
<p>The Werkzeug debugger shows a console for each frame; never enable it in production. Django shows a technical page when <code>DEBUG = True</code>.</p>
<p>See the <a href="/docs/errors">chapter on errors</a>. A database URL looks like <code>postgresql://user:password@host/name</code>.</p></body></html>"""
    with room.nginx({"errors.html": page, "faq.json": json.dumps({"question": "What is a stack trace?", "answer": "The list of calls that led to an exception, for instance in File app.py, line 10."})}), \
            room.capture(8080):
        curl("http://127.0.0.1:8080/errors.html")
        curl("http://127.0.0.1:8080/faq.json")
    assert STAGE.exists()
