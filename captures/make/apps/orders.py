"""An order service whose database cannot be reached."""

from flask import Flask, jsonify
from sqlalchemy import create_engine, text

app = Flask(__name__)

DATABASE_URL = "mssql+pyodbc://svc_orders:@@password@@@db01.corp.example:1433/orders?driver=ODBC+Driver+17+for+SQL+Server"


def connect():
    try:
        return create_engine(DATABASE_URL).connect()
    except ImportError as error:
        raise RuntimeError(f"cannot open {DATABASE_URL}") from error


@app.get("/orders/<int:number>")
def order(number):
    with connect() as connection:
        rows = connection.execute(text("SELECT id, total FROM orders WHERE id = :id"), {"id": number})
        return jsonify([dict(row._mapping) for row in rows])
