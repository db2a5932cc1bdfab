import MartletDialects
import MartletGateway

extension RelayMode {
    var frameMode: ChatFrameEdit.Mode {
        switch self {
        case .exact: .exact
        case .repair: .repair
        }
    }
}
