import MartletDialects
import MartletServer
import Testing

@Suite("Pages of the model list")
struct ModelPageTests {
    @Test(
        "A page is as long as was asked for, and says whether there are more",
        arguments: [
            ("", ["a", "b/c", "d"], false), ("limit=1", ["a"], true), ("limit=3", ["a", "b/c", "d"], false),
            ("limit=1&after_id=a", ["b/c"], true), ("x=1&after_id=b%2Fc&limit=20", ["d"], false),
            ("before_id=d&limit=1", ["b/c"], true), ("after_id=d", [], false),
        ])
    func page(query: String, ids: [String], hasMore: Bool) throws {
        let page = try ModelPage(query: query).of(["a", "b/c", "d"])
        #expect(page.ids == ids)
        #expect(page.hasMore == hasMore)
    }

    @Test("A limit that is none is refused", arguments: ["0", "1001", "x", "", "-1"])
    func limit(text: String) {
        let error = #expect(throws: GatewayError.self) { try ModelPage(query: "limit=\(text)") }
        #expect(error?.param == "limit")
    }
}
