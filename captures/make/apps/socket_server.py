"""A WebSocket server that tells prices."""

from websockets.sync.server import serve


def prices(connection):
    for price in ("12.40", "12.45", "12.38"):
        connection.send(f"kettle {price}")
        connection.recv()


with serve(prices, "127.0.0.1", 8765, server_header=None) as server:
    server.serve_forever()
