"""A service under Werkzeug's debugger, whose PIN was tried too often."""

from flask import Flask
from werkzeug.debug import DebuggedApplication

app = Flask(__name__)
debugged = DebuggedApplication(app.wsgi_app, evalex=True, pin_logging=False)
# Ten wrong PINs before the capture begins; each would cost seconds.
debugged._failed_pin_auth.value = 11
app.wsgi_app = debugged
app.config["PROPAGATE_EXCEPTIONS"] = True


@app.get("/stock/<name>")
def stock(name):
    shelves = {"kettle": 4, "toaster": 0}
    return {"left": shelves[name]}
