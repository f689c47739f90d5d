"""The shop's tests, as anyone would write them: against the app as it runs. `leaktap run -- pytest` sees what they send."""

import logging
import threading
import unittest

import requests
from werkzeug.serving import make_server

from app import app


class Shop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = make_server("127.0.0.1", 0, app, threaded=True)
        cls.url = f"http://127.0.0.1:{cls.server.server_port}"
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.http = requests.Session()
        cls.http.trust_env = False

    @classmethod
    def tearDownClass(cls):
        cls.http.close()
        cls.server.shutdown()

    def test_health(self):
        self.assertEqual(self.http.get(f"{self.url}/health").text, "ok")

    def test_pay(self):
        answer = self.http.get(f"{self.url}/pay", params={"api_key": app.config["STRIPE_KEY"]})
        self.assertTrue(answer.json()["paid"])

    def test_settings(self):
        self.assertIn("stripe", self.http.get(f"{self.url}/settings").json())

    def test_login(self):
        answer = self.http.post(f"{self.url}/login", data={"user": "ann", "password": "tr0ub4dor-and-3"})
        self.assertEqual(answer.json()["user"], "ann")


if __name__ == "__main__":
    unittest.main()
