import FoundationEssentials
import Logging
import MartletDialects
import MartletServer
import MartletWire
import NIOCore
import Testing

@Suite("The key that seals reasoning")
struct SealKeyTests {
    /// A folder that is not there yet, and goes with the test.
    final class Home: Sendable {
        let path = FileManager.default.temporaryDirectory.path + "martlet-seal-\(UInt64.random(in: 0 ... .max))"
        var key: String { path + "/seal.key" }
        var seal: ReasoningSeal { SealKey(home: path, logger: Logger(label: "test")).seal }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    let home = Home()
    let secret = ByteBuffer(string: "what the model thought")

    @Test("what is sealed can be opened with the same key only, also by the next process")
    func keys() throws {
        let sealed = home.seal.close(secret)
        #expect(!sealed.readableBytesView.contains(sequence: secret.readableBytesView))
        #expect(home.seal.open(sealed) == secret)
        let other = Home()
        #expect(other.seal.open(sealed) == nil)
        #expect(!FileManager.default.fileExists(atPath: other.path), "opening makes no key")
        _ = other.seal.close(secret)
        #expect(other.seal.open(sealed) == nil)
        #expect(home.seal.close(secret) != sealed, "the same thought does not look the same twice")
    }

    @Test("what has been changed by one bit, cut or made up does not open")
    func forged() throws {
        let seal = home.seal
        let sealed = [UInt8](buffer: seal.close(secret))
        for place in sealed.indices {
            var changed = sealed
            changed[place] ^= 1
            #expect(seal.open(ByteBuffer(bytes: changed)) == nil, "byte \(place)")
            #expect(seal.open(ByteBuffer(bytes: sealed[..<place])) == nil)
        }
        #expect(seal.open(secret) == nil)
    }

    @Test("the key's file is its owner's alone, and is made once")
    func file() throws {
        _ = home.seal.close(secret)
        let first = try #require(FileManager.default.contents(atPath: home.key))
        #expect(first.count == 32)
        let attributes = try FileManager.default.attributesOfItem(atPath: home.key)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        _ = home.seal.close(secret)
        #expect(FileManager.default.contents(atPath: home.key) == first)
        #expect(try FileManager.default.contentsOfDirectory(atPath: home.path) == ["seal.key"])
    }

    @Test("where no key can be kept, one is good until the process ends")
    func unkept() throws {
        try FileManager.default.createDirectory(atPath: home.path, withIntermediateDirectories: true)
        try Data([1, 2, 3]).write(to: URL(filePath: home.key))
        let seal = home.seal
        let sealed = seal.close(secret)
        #expect(seal.open(sealed) == secret)
        #expect(home.seal.open(sealed) == nil)
        #expect(FileManager.default.contents(atPath: home.key) == Data([1, 2, 3]), "what is there is left alone")
    }
}

extension ByteBufferView {
    fileprivate func contains(sequence other: ByteBufferView) -> Bool {
        indices.contains { self[$0...].starts(with: other) }
    }
}
