/// Why a model could not be found at the hub or brought here.
package struct HubError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which kind of failure; more may be added.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        package let description: String

        private init(_ description: String) { self.description = description }

        /// What was asked for is neither a repository, nor a file of one, nor words to look for.
        package static let invalidReference = Code("hub_invalid_reference")
        /// `HF_ENDPOINT` or `HF_TOKEN` cannot be used.
        package static let invalidSetting = Code("hub_invalid_setting")
        /// The hub wants a token, or a better one.
        package static let unauthorized = Code("hub_unauthorized")
        /// The model's owner wants its conditions accepted first.
        package static let gated = Code("hub_gated")
        package static let notFound = Code("hub_not_found")
        package static let rateLimited = Code("hub_rate_limited")
        /// `HF_HUB_OFFLINE` says that nothing is to be asked.
        package static let offline = Code("hub_offline")
        package static let unreachable = Code("hub_unreachable")
        /// Nothing came for as long as ``HubLimits/stall``.
        package static let stalled = Code("hub_stalled")
        /// The hub's side failed: 5xx, a reply cut short, one that starts anew.
        package static let serverFailed = Code("hub_server_failed")
        /// A reply that is not what the hub's API says.
        package static let badReply = Code("hub_bad_reply")
        package static let badRedirect = Code("hub_bad_redirect")
        /// The repository has no file of the kind or quantisation that was asked for.
        package static let noSuchFile = Code("hub_no_such_file")
        /// Several files fit and nothing says which is meant.
        package static let ambiguous = Code("hub_ambiguous")
        package static let wrongDigest = Code("hub_wrong_digest")
        /// What came is as the hub lists it, and no model that can be loaded.
        package static let unusable = Code("hub_unusable_model")
        package static let wrongSize = Code("hub_wrong_size")
        package static let diskFull = Code("hub_disk_full")
        package static let fileSystem = Code("hub_file_system")
        /// Another process, or another download of this one, is getting the same file.
        package static let busy = Code("hub_busy")
        /// As many downloads as there may be are under way.
        package static let tooManyDownloads = Code("hub_too_many_downloads")
    }

    package var code: Code
    /// A finished sentence: what failed, which, and what to do. Holds no token and no folder of this machine.
    package var message: String
    /// How long the hub asks us to wait; nil when it does not.
    package var retryAfter: Duration?

    package init(_ code: Code, _ message: String, retryAfter: Duration? = nil) {
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
    }

    package var description: String { message }

    /// What failed, without what to do.
    package var reason: String { message.firstRange(of: ": ").map { String(message[..<$0.lowerBound]) } ?? message }

    /// Whether the same request may succeed a moment later.
    var isPassing: Bool {
        [.rateLimited, .unreachable, .stalled, .serverFailed].contains(code)
    }
}
