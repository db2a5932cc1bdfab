import MartletWire
import NIOCore

/// A ranking as its client asked for it: best first, no more than wanted, each result of a document there is.
enum RerankReply {
    private struct Result {
        var entry: RawObject
        var index: Int
        var score: Double
    }

    /// - Throws: `upstreamBadReply` when it does not rank the documents.
    static func edit(_ body: ByteBuffer, _ request: RerankRequest, model: String) throws(GatewayError) -> ByteBuffer {
        guard var top = try? RawObject(body), let list = top["results"], let elements = try? list.rawElements() else {
            throw .badReply("no list of results")
        }
        let wanted = min(request.most ?? .max, request.documents.count)
        var results: [Result] = []
        var seen: Set<Int> = []
        for element in elements {
            guard let entry = try? RawObject(element), let index = entry["index"]?.rawInt,
                let score = (entry["relevance_score"] ?? entry["score"]).flatMap({ Double(String(buffer: $0)) }),
                request.documents.indices.contains(index), seen.insert(index).inserted
            else { throw .badReply("a result that is of none of the documents, or of one for the second time") }
            results.append(Result(entry: entry, index: index, score: score))
        }
        guard results.count >= wanted else {
            throw .badReply("\(results.count) results where there are \(wanted)")
        }
        results.sort { $0.score > $1.score }
        top.set("results", .rawArray(results.prefix(wanted).map { shown($0, request) }))
        top.set("model", .rawString(model))
        return top.text
    }

    private static func shown(_ result: Result, _ request: RerankRequest) -> ByteBuffer {
        var entry = result.entry
        if entry["relevance_score"] == nil { entry.rename("score", to: "relevance_score") }
        switch request.returnsDocuments {
        case true?:
            var document = RawObject()
            document.set("text", request.documents[result.index])
            entry.set("document", document.text)
        case false?: entry.remove("document")
        case nil: break
        }
        return entry.text
    }
}
