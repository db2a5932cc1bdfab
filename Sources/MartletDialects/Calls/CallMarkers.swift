/// What may begin a call, or belongs to the form of one.
struct CallMarker: Sendable {
    enum Opening: Sendable, Equatable {
        /// `<tool_call>`, with JSON, XML or GLM's pairs in it.
        case tag
        case function
        case request
        case mistral
        case python
        case deepSeek
        case kimi
        /// `<|channel|>` and what may stand before it.
        case channel
        /// The end of a Harmony message.
        case messageEnd
        case bare
        case pythonic
        case thinkBegin
        case thinkEnd
        /// What models write behind a call.
        case remnant
    }

    /// Where it counts.
    enum Place: Sendable {
        /// At the beginning of a line, of the text, or behind another call: plain text that a model also writes when it
        /// talks about calls.
        case line
        /// Anywhere but in code or behind a quote: one token of its own in the model's vocabulary, which servers show
        /// as text when they miss it, and which models put right behind a sentence.
        case anywhere
        /// Behind a call only.
        case behindCall
        /// At the very beginning.
        case beginning
    }

    let bytes: [UInt8]
    let opening: Opening
    let place: Place

    private init(_ text: String, _ opening: Opening, _ place: Place) {
        bytes = Array(text.utf8)
        self.opening = opening
        self.place = place
    }

    static let all: [CallMarker] =
        [
            CallMarker("<tool_call>", .tag, .line),
            CallMarker("<function=", .function, .line),
            CallMarker("[TOOL_REQUEST]", .request, .line),
            CallMarker("[TOOL_CALLS]", .mistral, .anywhere),
            CallMarker("<|python_tag|>", .python, .anywhere),
            CallMarker("<｜tool▁calls▁begin｜>", .deepSeek, .anywhere),
            CallMarker("<｜tool▁call▁begin｜>", .deepSeek, .anywhere),
            CallMarker("<｜tool_calls_begin｜>", .deepSeek, .anywhere),
            CallMarker("<｜tool_call_begin｜>", .deepSeek, .anywhere),
            CallMarker("<|tool_calls_section_begin|>", .kimi, .anywhere),
            CallMarker("<|tool_call_begin|>", .kimi, .anywhere),
            CallMarker("<|channel|>", .channel, .anywhere),
            CallMarker("<|start|>assistant", .channel, .anywhere),
            CallMarker("<|end|><|start|>assistant", .channel, .anywhere),
            CallMarker("<think>", .thinkBegin, .beginning),
            CallMarker("<thinking>", .thinkBegin, .beginning),
        ] + thinkEnds

    static let thinkEnds = [
        CallMarker("</think>", .thinkEnd, .anywhere), CallMarker("</thinking>", .thinkEnd, .anywhere),
    ]

    static let remnants: [CallMarker] = [
        "</tool_call>", "[END_TOOL_REQUEST]", "<|eom_id|>", "<|eot_id|>", "<|call|>", "<|end|>", "<|return|>",
        "<|im_end|>", "<|tool_calls_section_end|>", "<｜tool▁calls▁end｜>", "<｜tool_calls_end｜>",
        "<｜end▁of▁sentence｜>",
    ].map { CallMarker($0, .remnant, .behindCall) }

    /// Inside a message of Harmony's.
    static let harmony: [CallMarker] = [
        CallMarker("<|channel|>", .channel, .anywhere),
        CallMarker("<|start|>assistant", .channel, .anywhere),
        CallMarker("<|end|>", .messageEnd, .anywhere),
        CallMarker("<|call|>", .messageEnd, .anywhere),
        CallMarker("<|return|>", .messageEnd, .anywhere),
    ]

    enum Match: Sendable, Equatable {
        case none
        /// The text ends, and what there is of it may become one.
        case partial
        case full(Opening, length: Int)
    }

    /// - Parameter counts: whether a marker of that place counts here.
    static func match(_ markers: [CallMarker], _ text: ArraySlice<UInt8>, _ counts: (Place) -> Bool) -> Match {
        var match = Match.none
        for marker in markers where counts(marker.place) {
            if text.starts(with: marker.bytes) { return .full(marker.opening, length: marker.bytes.count) }
            if marker.bytes.starts(with: text) { match = .partial }
        }
        return match
    }
}
