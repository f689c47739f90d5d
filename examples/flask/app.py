"""A small shop with the faults that leaktap is made for; every key and password is made up."""

from flask import Flask, jsonify, request

app = Flask(__name__)
app.config["STRIPE_KEY"] = "sk_live_q7Vd3TzN9mKw2RbX5cYh8PfL"


@app.get("/pay")
def pay():
    # A key in the query string: it is in every access log on the way.
    return jsonify(paid=request.args.get("api_key") == app.config["STRIPE_KEY"])


@app.get("/settings")
def settings():
    # The whole configuration, its secrets too.
    return jsonify(stripe={"secret_key": app.config["STRIPE_KEY"]}, debug=app.debug)


@app.post("/login")
def login():
    return jsonify(user=request.form["user"])


@app.get("/health")
def health():
    return "ok"
