import MartletWire
import NIOCore

/// What precedes output: the model's load, the reading of the prompt. Told once a round, in this order.
extension LMStudioStreamWriter {
    mutating func tell(_ progress: Progress, into out: inout ByteBuffer) {
        switch progress.phase {
        case .queue: break
        case .load: load(progress, into: &out)
        case .prefill:
            beginPrompt(into: &out)
            guard stage == .reading, let fraction = progress.fraction else { return }
            writeProgress("prompt_processing.progress", fraction, into: &out)
        }
    }

    private mutating func load(_ progress: Progress, into out: inout ByteBuffer) {
        guard stage < .loaded else { return }
        if stage == .waiting {
            stage = .loading
            writeEvent("model_load.start", into: &out) { writer, out in writer.writeInstance(into: &out) }
        }
        if let fraction = progress.fraction {
            writeProgress("model_load.progress", fraction, namesInstance: true, into: &out)
        }
        if progress.fraction == 1, let elapsed = progress.elapsed { endLoad(elapsed, into: &out) }
    }

    private mutating func endLoad(_ elapsed: Duration, into out: inout ByteBuffer) {
        stage = .loaded
        loadTime = elapsed
        writeEvent("model_load.end", into: &out) { writer, out in
            writer.writeInstance(into: &out)
            out.writeString(",\"load_time_seconds\":\(elapsed.inSeconds.shown)")
        }
    }

    /// The prompt is being read from here on; in a further round of a reply, once more.
    mutating func beginPrompt(into out: inout ByteBuffer) {
        guard stage != .reading else { return }
        if stage == .loading { endLoad(loadTime ?? .zero, into: &out) }
        stage = .reading
        writeEvent("prompt_processing.start", into: &out)
    }

    mutating func endPrompt(into out: inout ByteBuffer) {
        guard stage != .answering else { return }
        beginPrompt(into: &out)
        stage = .answering
        writeEvent("prompt_processing.end", into: &out)
    }

    private func writeProgress(
        _ name: String, _ fraction: Double, namesInstance: Bool = false, into out: inout ByteBuffer
    ) {
        writeEvent(name, into: &out) { writer, out in
            if namesInstance { writer.writeInstance(into: &out) }
            out.writeString(",\"progress\":\(min(1, max(0, fraction)).shown)")
        }
    }
}
