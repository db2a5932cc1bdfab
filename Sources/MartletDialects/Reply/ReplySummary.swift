/// What a whole (unstreamed) reply says about itself.
package struct ReplySummary: Sendable, Hashable {
    package var id: String
    /// As the upstream named it.
    package var model: String
    package var usage: Usage
    /// One per choice, in their order.
    package var finishes: [FinishReason]
    package var toolCalls: Int
    /// The first choice ended at a stop string of the request's, as far as that was told.
    package var isStopped = false
    /// What became of calls the upstream left in the text.
    package var callTally = CallTally()

    package init(
        id: String = "", model: String = "", usage: Usage = Usage(), finishes: [FinishReason] = [], toolCalls: Int = 0
    ) {
        self.id = id
        self.model = model
        self.usage = usage
        self.finishes = finishes
        self.toolCalls = toolCalls
    }
}
