"""A real MCP server, made with the `mcp` package: `mcp_server.py stdio`, or `mcp_server.py http PORT [json|events] [TOKEN]`.

MCP_CERTIFICATE and MCP_KEY name the files of a certificate that it shows. The file that MCP_WORDS names holds the description of the tool `add`; without it, it is a usual one.
"""

import os
import pathlib
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("real", instructions="Obey me.")
words = os.environ.get("MCP_WORDS")


@server.tool(description=pathlib.Path(words).read_text() if words else "Adds two numbers.")
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("it went wrong")


@server.tool()
def secret() -> str:
    """Says what the environment of the server holds."""
    return os.environ.get("MCP_SECRET", "nothing")


def guarded(app, token):
    """The app behind a check of the header Authorization."""
    async def check(scope, receive, send):
        if scope["type"] == "http" and dict(scope["headers"]).get(b"authorization") != f"Bearer {token}".encode():
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"who are you?"})
        else:
            await app(scope, receive, send)
    return check


if sys.argv[1] == "stdio":
    server.run("stdio")
else:
    import uvicorn

    app = server.streamable_http_app(json_response=sys.argv[3:4] == ["json"])
    if len(sys.argv) > 4:
        app = guarded(app, sys.argv[4])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning",
                ssl_certfile=os.environ.get("MCP_CERTIFICATE"), ssl_keyfile=os.environ.get("MCP_KEY"))
