/// Why an MCP server, or a tool of it, cannot be used.
package struct MCPError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which kind of failure; more may be added.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        package let description: String

        private init(_ description: String) { self.description = description }

        /// No server of that name is in `mcp.json`.
        package static let noSuchServer = Code("mcp_no_such_server")
        /// Its entry in `mcp.json`, or what a request says of it, cannot be used.
        package static let badEntry = Code("mcp_bad_entry")
        /// Its program is not there or cannot be run.
        package static let cannotStart = Code("mcp_cannot_start")
        /// It ended by itself.
        package static let ended = Code("mcp_ended")
        /// It failed a moment ago; the message says when it is tried again.
        package static let backingOff = Code("mcp_backing_off")
        package static let timedOut = Code("mcp_timed_out")
        package static let unreachable = Code("mcp_unreachable")
        /// Its address is not on the open internet, and not allowed by configuration.
        package static let closedAddress = Code("mcp_closed_address")
        /// It wants other credentials.
        package static let unauthorized = Code("mcp_unauthorized")
        /// It does not know our session any more; a new one may help.
        package static let sessionGone = Code("mcp_session_gone")
        /// It answers, but not as the protocol says.
        package static let badReply = Code("mcp_bad_reply")
        /// It sends more than the bounds allow.
        package static let tooLarge = Code("mcp_too_large")
        /// It says that it will not do what was asked.
        package static let refused = Code("mcp_refused")
        package static let noSuchTool = Code("mcp_no_such_tool")
        /// The tool is not the one that was approved.
        package static let blocked = Code("mcp_blocked")
        /// As many calls or servers as there may be are under way.
        package static let busy = Code("mcp_busy")
        package static let cancelled = Code("mcp_cancelled")
        /// A file under home cannot be read or written, or is damaged.
        package static let fileSystem = Code("mcp_file_system")
    }

    package var code: Code
    /// What failed, which, and what to do. Holds no header's value and no variable's.
    package var message: String
    /// The last lines the server wrote to its standard error, oldest first.
    package var lastWords: [String]

    package init(_ code: Code, _ message: String, lastWords: [String] = []) {
        self.code = code
        self.message = message
        self.lastWords = lastWords
    }

    package var description: String { message }
}
