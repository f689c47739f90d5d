"""Made-up secrets of the right shape, the same in every run: seeded by the name of the case."""

import base64
import hashlib
import hmac
import json
import random
import string
import zlib

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
BASE64URL = string.ascii_letters + string.digits + "-_"


class MadeUp:
    def __init__(self, case):
        self.random = random.Random("leaktap captures: " + case)

    def text(self, length, alphabet=BASE62):
        """Random text with digits and letters of both cases in it, where the alphabet has them."""
        wanted = [kind for kind in (string.digits, string.ascii_lowercase, string.ascii_uppercase)
                  if set(kind) <= set(alphabet)]
        while True:
            text = "".join(self.random.choice(alphabet) for _ in range(length))
            if text[0].isalnum() and text[-1].isalnum() and all(set(kind) & set(text) for kind in wanted):
                return text

    def api_key(self):
        return self.text(40)

    def hexadecimal(self, length=32):
        return self.text(length, "0123456789abcdef")

    def password(self, before="", after=""):
        return before + self.text(14) + after

    def stripe(self):
        return "sk_live_" + self.text(24)

    def github(self):
        """A classic token: 30 characters, and their CRC-32 in base62, six digits."""
        body = self.text(30)
        checksum = zlib.crc32(body.encode())
        digits = ""
        for _ in range(6):
            checksum, digit = divmod(checksum, 62)
            digits = BASE62[digit] + digits
        return "ghp_" + body + digits

    def aws_pair(self):
        return "AKIA" + self.text(16, string.ascii_uppercase + "234567"), self.text(40, BASE62 + "+/")

    def openai(self):
        return "sk-proj-" + self.text(74, BASE64URL) + "T3BlbkFJ" + self.text(74, BASE64URL)

    def anthropic(self):
        return "sk-ant-api03-" + self.text(93, BASE64URL) + "AA"

    def slack(self):
        return "xoxb-" + "-".join(("7" + self.text(11, "0123456789"), "8" + self.text(12, "0123456789"), self.text(24)))

    def sendgrid(self):
        return "SG." + self.text(22, BASE64URL) + "." + self.text(43, BASE64URL)

    def google(self):
        return "AIza" + self.text(35, BASE64URL)

    def jwt(self, claims):
        """A token signed by HS256."""
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        signed = ".".join(part(json.dumps(each, separators=(",", ":")).encode())
                          for each in ({"alg": "HS256", "typ": "JWT"}, claims))
        return signed + "." + part(hmac.digest(self.text(32).encode(), signed.encode(), hashlib.sha256))

    def private_key(self):
        """An Ed25519 key by RFC 8410, without the newline at its end."""
        der = bytes.fromhex("302e020100300506032b657004220420") + self.random.randbytes(32)
        return "-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(der).decode() + "\n-----END PRIVATE KEY-----"
