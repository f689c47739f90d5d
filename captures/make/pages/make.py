"""Records what frameworks answer to a request that fails, in debug mode and in production: `make.py TARGET`."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
STAGE = pathlib.Path("/srv/app")
PORT = 9100
JETTY = ":".join(str(jar) for name in ("server", "servlet", "http", "io", "util", "security", "util-ajax")
                 for jar in pathlib.Path("/usr/share/java").glob(f"jetty9-{name}.jar")) + ":/usr/share/java/servlet-api.jar:/usr/share/java/servlet-api-3.1.jar"
PYTHON = ["flask", "flask_traceback", "flask_lines", "exception_group", "django", "starlette", "fastapi", "litestar", "quart",
          "aiohttp", "tornado", "bottle", "cherrypy", "sanic", "pyramid", "falcon"]
NODE = ["express", "errorhandler", "express_json", "express_lines", "koa", "fastify", "hapi", "youch", "graphql"]
HTML, ANY, JSON = "text/html", "*/*", "application/json"


def apps():
    """Name, command by mode, environment, what is accepted."""
    for name in PYTHON:
        yield name, lambda mode, name=name: [str(STAGE / "venv/bin/python"), "python_apps.py", name, str(PORT), mode], {}, [HTML, ANY]
    for name in NODE:
        yield name, lambda mode, name=name: ["node", "node_apps.js", name, str(PORT), mode], {}, [HTML]
    for form in ("html", "json", "warning"):
        yield f"php_{form}", lambda mode: ["php", "-d", f"display_errors={int(mode == 'debug')}", "-d", "html_errors=1", "-S",
                                           f"127.0.0.1:{PORT}", "app.php"], {"FORMAT": form}, [HTML]
    for name in ("sinatra", "rack", "rails"):
        yield name, lambda mode, name=name: ["ruby", "app.rb", name, str(PORT), mode], {}, [HTML, JSON] if name == "rails" else [HTML, ANY]
    for name in ("mojolicious", "dancer", "plack"):
        yield name, lambda mode, name=name: ["perl", "app.pl", name, str(PORT), mode], {}, [HTML, ANY]
    yield "go", lambda mode: [str(STAGE / "shop"), str(PORT), mode], {}, [ANY]
    yield "jetty", lambda mode: ["java", "-cp", JETTY, "Shop.java", str(PORT), mode], {}, [HTML, ANY]


@contextlib.contextmanager
def server(command, environment):
    log = (STAGE / "server.log").open("wb")
    process = subprocess.Popen(command, cwd=STAGE, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                               env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": str(STAGE)} | environment)
    try:
        for _ in range(300):
            if process.poll() is not None:
                raise RuntimeError((STAGE / "server.log").read_text()[-2000:])
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
                break
            time.sleep(0.1)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def answer(accept):
    """What the server sends, byte by byte."""
    request = f"GET /boom HTTP/1.1\r\nHost: shop.example\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", PORT), 10) as client:
        client.settimeout(10)
        client.sendall(request.encode())
        parts = []
        while block := client.recv(65536):
            parts.append(block)
    return b"".join(parts)


def main(target):
    failed = []
    for name, command, environment, accepted in apps():
        for mode, folder in (("debug", "leaking"), ("production", "production")):
            try:
                with server(command(mode), environment):
                    for accept in accepted:
                        page = answer(accept)
                        assert page.startswith(b"HTTP/1."), page[:80]
                        suffix = accept.split("/")[1].replace("*", "any")
                        (target / folder / f"{name}.{suffix}.http").write_bytes(page)
            except (RuntimeError, OSError, AssertionError) as error:
                failed.append(f"{name} {mode}: {error}")
    print("\n".join(failed) or "all made")


main(pathlib.Path(sys.argv[1]))
