"""One server of a Python framework: `python python_apps.py FRAMEWORK PORT debug|production`. `/boom` fails, with a
made-up secret in the source line and in the message."""

import asyncio
import os
import sys

framework, port, debug = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "debug"
HOST = "127.0.0.1"


def total(cart):
    rate = {"standard": 21}
    return sum(cart) * rate["reduced"]


def boom():
    return str(total([3, 4]))


def flask():
    from flask import Flask
    app = Flask("shop")
    app.add_url_rule("/boom", view_func=boom)
    app.run(HOST, port, debug=debug, use_reloader=False)


def flask_traceback():
    import traceback

    from flask import Flask, jsonify
    app = Flask("shop")

    @app.errorhandler(Exception)
    def failed(error):
        if not debug:
            return jsonify(error="internal error"), 500
        return jsonify(error=str(error), traceback=traceback.format_exception(error)), 500
    app.add_url_rule("/boom", view_func=boom)
    app.run(HOST, port, use_reloader=False)


def flask_lines():
    import traceback

    from flask import Flask, jsonify
    app = Flask("shop")

    @app.errorhandler(Exception)
    def failed(error):
        if not debug:
            return jsonify(error="internal error"), 500
        return jsonify(error=str(error), details={"trace": traceback.format_exc().splitlines()}), 500
    app.add_url_rule("/boom", view_func=boom)
    app.run(HOST, port, use_reloader=False)


def exception_group():
    import traceback

    from flask import Flask
    app = Flask("shop")

    def groups():
        try:
            boom()
        except KeyError as error:
            raise ExceptionGroup("two carts", [error, ValueError("no cart")]) from error

    @app.errorhandler(Exception)
    def failed(error):
        text = "".join(traceback.format_exception(error)) if debug else "internal error\n"
        return text, 500, {"Content-Type": "text/plain"}
    app.add_url_rule("/boom", view_func=groups)
    app.run(HOST, port, use_reloader=False)


def django():
    from django.conf import settings
    settings.configure(DEBUG=debug, ALLOWED_HOSTS=["*"], ROOT_URLCONF="shop_urls", SECRET_KEY="made-up-for-a-page")
    import types

    from django.urls import path
    urls = types.ModuleType("shop_urls")
    urls.urlpatterns = [path("boom", lambda request: boom())]
    sys.modules["shop_urls"] = urls
    from wsgiref.simple_server import make_server

    from django.core.wsgi import get_wsgi_application
    make_server(HOST, port, get_wsgi_application()).serve_forever()


def asgi(app):
    import uvicorn
    uvicorn.run(app, host=HOST, port=port, log_level="critical")


def starlette():
    from starlette.applications import Starlette
    from starlette.routing import Route

    async def view(request):
        return boom()
    asgi(Starlette(debug=debug, routes=[Route("/boom", view)]))


def fastapi():
    from fastapi import FastAPI
    app = FastAPI(debug=debug)
    app.get("/boom")(boom)
    asgi(app)


def litestar():
    from litestar import Litestar, get

    @get("/boom", sync_to_thread=False)
    def view() -> str:
        return boom()
    asgi(Litestar([view], debug=debug))


def quart():
    from quart import Quart
    app = Quart("shop")
    app.add_url_rule("/boom", view_func=boom)
    app.run(HOST, port, debug=debug, use_reloader=False)


def aiohttp():
    from aiohttp import web

    async def view(request):
        return boom()
    app = web.Application()
    app.router.add_get("/boom", view)
    loop = asyncio.new_event_loop()
    loop.set_debug(debug)
    web.run_app(app, host=HOST, port=port, loop=loop, print=None)


def tornado():
    from tornado import ioloop, web

    class View(web.RequestHandler):
        def get(self):
            boom()
    web.Application([("/boom", View)], debug=debug, autoreload=False).listen(port, HOST)
    ioloop.IOLoop.current().start()


def bottle():
    import bottle
    bottle.debug(debug)
    bottle.route("/boom")(boom)
    bottle.run(host=HOST, port=port, quiet=True)


def cherrypy():
    import cherrypy

    class Shop:
        @cherrypy.expose
        def boom(self):
            return boom()
    cherrypy.config.update({"server.socket_host": HOST, "server.socket_port": port, "log.screen": False,
                            "request.show_tracebacks": debug, "engine.autoreload.on": False})
    cherrypy.quickstart(Shop())


def sanic():
    from sanic import Sanic
    app = Sanic("shop")
    app.config.FALLBACK_ERROR_FORMAT = os.environ.get("FORMAT", "html")
    app.get("/boom")(lambda request: boom())
    app.run(HOST, port, debug=debug, single_process=True, motd=False)


def pyramid():
    from wsgiref.simple_server import make_server

    from pyramid.config import Configurator
    with Configurator() as config:
        config.add_route("boom", "/boom")
        config.add_view(lambda request: boom(), route_name="boom")
        app = config.make_wsgi_app()
    if debug:
        from werkzeug.debug import DebuggedApplication
        app = DebuggedApplication(app, evalex=False)
    make_server(HOST, port, app).serve_forever()


def falcon():
    import traceback
    from wsgiref.simple_server import make_server

    import falcon

    class View:
        def on_get(self, request, response):
            boom()
    app = falcon.App()
    app.add_route("/boom", View())
    if debug:
        def failed(request, response, error, parameters):
            response.status, response.text = 500, traceback.format_exc()
            response.content_type = "text/plain"
        app.add_error_handler(Exception, failed)
    make_server(HOST, port, app).serve_forever()


globals()[framework]()
