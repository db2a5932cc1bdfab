import MartletDialects
import MartletGateway
import NIOCore

/// Puts together the pipe from an upstream's dialect to the client's.
enum ReplyPipes {
    static func make(_ plan: Plan, _ candidate: Candidate, ids: IDSource) -> ReplyPipe {
        let edit = ChatFrameEdit(
            mode: candidate.upstream.mode.frameMode, model: plan.shownModel(candidate),
            usage: plan.wantsUsage ? .asked : .hidden, created: Int(HTTPDate.now()), ids: ids)
        return ReplyPipe(
            reader: ChatStreamReader(), edit: edit, dialect: plan.dialect, requestID: plan.requestID)
    }
}

extension RelayMode {
    var frameMode: ChatFrameEdit.Mode {
        switch self {
        case .exact: .exact
        case .repair: .repair
        }
    }
}
