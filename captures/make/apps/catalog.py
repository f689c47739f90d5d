"""A catalogue whose MongoDB does not answer."""

import pymongo
from flask import Flask, jsonify

app = Flask(__name__)
app.config["MONGO_URI"] = "mongodb://catalog:@@password@@@127.0.0.1:27999/catalog?authSource=admin"


def articles():
    client = pymongo.MongoClient(app.config["MONGO_URI"], serverSelectionTimeoutMS=120)
    try:
        return list(client["catalog"]["articles"].find(limit=5))
    except pymongo.errors.ServerSelectionTimeoutError as error:
        raise RuntimeError("no answer from " + app.config["MONGO_URI"]) from error


@app.get("/articles")
def index():
    return jsonify(articles())
