import MartletWire
import Testing

@Suite("Bytes as people read them")
struct ByteCountTests {
    @Test(
        "a unit is a thousand of the one before, and there is one digit behind the point",
        arguments: [
            (0, "0 B"), (-5, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
            (1_949_000, "1.9 MB"), (4_683_073_632, "4.7 GB"), (1_500_000_000_000, "1.5 TB"),
            (2_000_000_000_000_000, "2000.0 TB"),
        ])
    func shown(_ bytes: Int64, _ shown: String) { #expect(ByteCount.shown(bytes) == shown) }
}
