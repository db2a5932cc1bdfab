extension RouteTable {
    /// Names that clients of LM Studio have from its own publisher's models and look for in lists as they are (VT Code,
    /// whose provider is chosen by them): of the models of this machine, `lmstudio-community/` and the id. Beside
    /// ``listed``, and like all names of a publisher not in the lists for people.
    package var published: [String] {
        upstreams.filter { $0.location == .hosted }.flatMap { upstream -> [String] in
            let models = served[upstream.name]
            return (models?.ids ?? []).compactMap { id in
                let name = "lmstudio-community/\(id)"
                guard models?.spellings[name] == id, let place = place(of: name),
                    place.upstream.name == upstream.name, place.model == id
                else { return nil }
                return name
            }
        }
    }
}
