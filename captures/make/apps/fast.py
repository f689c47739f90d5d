"""An ordinary FastAPI service; with DEBUG=1 it answers an error with its traceback."""

import os

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel

app = FastAPI(debug=os.environ.get("DEBUG") == "1")
DATABASE = "@@database@@"


class Client(BaseModel):
    name: str
    client_secret: str


@app.get("/v1/forecast")
def forecast(city: str, api_key: str | None = None):
    return {"city": city, "degrees": [7, 9, 11]}


@app.post("/v1/clients", status_code=201)
def clients(client: Client):
    return {"id": 7741, "name": client.name}


@app.get("/private")
def private(credentials: HTTPBasicCredentials = Depends(HTTPBasic())):
    return {"user": credentials.username}


@app.get("/v1/stock")
def stock():
    raise ConnectionError(f"cannot connect to {DATABASE}")
