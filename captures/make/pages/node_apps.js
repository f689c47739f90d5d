// One server of a Node framework: `node node_apps.js FRAMEWORK PORT debug|production`. `/boom` fails.
const [framework, port, mode] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const debug = mode === "debug";
process.env.NODE_ENV = debug ? "development" : "production";

function total(cart) {
  return cart.rates.reduced * 7;
}

const boom = () => String(total({}));

const apps = {
  express() {
    const app = require("express")();
    app.get("/boom", (request, response) => response.send(boom()));
    app.listen(port, "127.0.0.1");
  },
  errorhandler() {
    const app = require("express")();
    app.get("/boom", (request, response) => response.send(boom()));
    if (debug) app.use(require("errorhandler")({ log: false }));
    app.listen(port, "127.0.0.1");
  },
  express_json() {
    const app = require("express")();
    app.get("/boom", (request, response) => response.send(boom()));
    app.use((error, request, response, next) => {
      response.status(500).json(debug ? { message: error.message, stack: error.stack } : { message: "internal" });
    });
    app.listen(port, "127.0.0.1");
  },
  express_lines() {
    const app = require("express")();
    app.get("/boom", (request, response) => response.send(boom()));
    app.use((error, request, response, next) => {
      response.status(500).json(debug ? { message: error.message, stack: error.stack.split("\n") } : { message: "internal" });
    });
    app.listen(port, "127.0.0.1");
  },
  koa() {
    const Koa = require("koa");
    const app = new Koa();
    app.silent = true;
    app.use(async (context) => {
      try {
        context.body = boom();
      } catch (error) {
        context.status = 500;
        context.body = debug ? error.stack : "Internal Server Error";
      }
    });
    app.listen(port, "127.0.0.1");
  },
  fastify() {
    const app = require("fastify")();
    app.get("/boom", async () => boom());
    if (debug) app.setErrorHandler((error, request, reply) => reply.code(500).send({ error: error.name, stack: error.stack }));
    app.listen({ port, host: "127.0.0.1" });
  },
  hapi() {
    const app = require("@hapi/hapi").server({ port, host: "127.0.0.1", debug: false });
    app.route({ method: "GET", path: "/boom", handler: () => boom() });
    if (debug) {
      app.ext("onPreResponse", (request, h) => request.response.isBoom ? h.response(request.response.stack).code(500) : h.continue);
    }
    app.start();
  },
  youch() {
    const http = require("http");
    http.createServer(async (request, response) => {
      try {
        boom();
      } catch (error) {
        const { Youch } = await import("youch");
        response.writeHead(500, { "Content-Type": "text/html; charset=utf-8" });
        response.end(debug ? await new Youch().toHTML(error) : "<h1>Internal Server Error</h1>");
      }
    }).listen(port, "127.0.0.1");
  },
  graphql() {
    const http = require("http");
    const { buildSchema, graphql } = require("graphql");
    const schema = buildSchema("type Query { total: Int }");
    http.createServer(async (request, response) => {
      const result = await graphql({ schema, source: "{ total }", rootValue: { total: boom } });
      const errors = result.errors.map((error) => ({
        message: debug ? error.message : "internal", path: error.path,
        extensions: debug ? { code: "INTERNAL_SERVER_ERROR", stacktrace: error.originalError.stack.split("\n") } : { code: "INTERNAL_SERVER_ERROR" },
      }));
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ errors, data: null }));
    }).listen(port, "127.0.0.1");
  },
};
apps[framework]();
