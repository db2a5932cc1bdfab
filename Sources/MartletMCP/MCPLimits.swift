/// Bounds of everything that has to do with MCP servers.
package struct MCPLimits: Sendable, Hashable {
    /// Bytes of one message of a server: a line of its output, a body, an event.
    package var message = 4 << 20
    /// Tools of one server.
    package var tools = 256
    /// Bytes of all that its tools say of themselves.
    package var toolBytes = 1 << 20
    /// Pages of its list of them.
    package var pages = 64
    /// Bytes of a tool's name, as the protocol has it.
    package var name = 128
    /// Bytes of a tool's description.
    package var description = 16 << 10
    /// Bytes of a tool's schema.
    package var schema = 64 << 10
    /// Bytes of a call's result.
    package var result = 1 << 20
    /// Bytes of a call's arguments.
    package var arguments = 1 << 20
    /// From a server's start until it has answered to `initialize`. Some fetch themselves first.
    package var start = Duration.seconds(60)
    /// One question other than a call.
    package var question = Duration.seconds(30)
    /// One call.
    package var call = Duration.seconds(120)
    /// Calls of one server at a time.
    package var calls = 16
    /// Lines of its output that are no messages, after which a program is no MCP server.
    package var strangeLines = 20
    /// Lines of its standard error that an error shows.
    package var lastWords = 5
    /// Between the end of a program's input, SIGTERM and SIGKILL.
    package var grace = Duration.seconds(2)
    package var connect = Duration.seconds(10)
    package var redirects = 3
    /// Bytes of a server's headers as configured or asked for, all together.
    package var headers = 16 << 10
    /// How long a list of tools that came over HTTP is good: nobody tells us when it has changed.
    package var listAge = Duration.seconds(30)
    /// The pause after the first failure; doubled after each further one.
    package var backOff = Duration.seconds(1)
    package var longestBackOff = Duration.seconds(60)
    /// A server that lived this long before it ended has not failed at starting.
    package var settled = Duration.seconds(60)
    /// After its last use a server of `mcp.json` is closed.
    package var idle = Duration.seconds(30 * 60)
    /// The same for one that a request has named.
    package var idleEphemeral = Duration.seconds(2 * 60)
    /// Servers named by requests that are connected at a time.
    package var ephemeral = 64
    /// Servers named by requests whose pins are kept; the one that was used longest ago goes first.
    package var ephemeralPins = 256
    /// Bytes of `mcp.json`, and of the file of pins.
    package var file = 8 << 20

    package init() {}
}
