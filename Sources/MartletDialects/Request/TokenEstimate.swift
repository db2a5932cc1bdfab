package enum TokenEstimate {
    package static func of(_ request: CanonicalRequest) -> Int { 0 }
}
