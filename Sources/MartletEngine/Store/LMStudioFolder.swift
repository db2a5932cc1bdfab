import MartletWire

/// Where LM Studio keeps its models on this machine; only read.
package enum LMStudioFolder {
    /// - Parameter home: the user's own folder.
    /// - Returns: nil where LM Studio has no folder of models.
    ///
    /// As LM Studio 0.4 looks for it: its home is what `~/.lmstudio-home-pointer` says, else `~/.cache/lm-studio` if there is one, else
    /// `~/.lmstudio`; `downloadsFolder` of its settings moves the models.
    package static func models(home: String) -> String? {
        guard let own = own(home: home) else { return nil }
        let text = Disk.read("\(own)/settings.json").map { String(decoding: $0, as: UTF8.self) }
        let settings = text.flatMap { try? JSON(parsing: $0) }
        if let moved = settings?["downloadsFolder"]?.string, moved.hasPrefix("/"), isFolder(moved) { return moved }
        return isFolder("\(own)/models") ? "\(own)/models" : nil
    }

    /// LM Studio's own folder; nil where there is none.
    package static func own(home: String) -> String? {
        pointed(home) ?? ["\(home)/.cache/lm-studio", "\(home)/.lmstudio"].first { isFolder($0) }
    }

    /// Whether a path leads into its folder of models, links followed.
    package static func holds(_ path: String, _ models: String) -> Bool {
        guard let path = Disk.resolved(path), let models = Disk.resolved(models) else { return false }
        return path.hasPrefix(models + "/")
    }

    private static func pointed(_ home: String) -> String? {
        guard let bytes = Disk.read("\(home)/.lmstudio-home-pointer"), bytes.count < 4096,
            let line = String(validating: bytes, as: UTF8.self)?.split(whereSeparator: \.isNewline).first,
            line.hasPrefix("/")
        else { return nil }
        return String(line)
    }

    private static func isFolder(_ path: String) -> Bool { Disk.entry(path)?.isFolder == true }
}
