/// Columns for a terminal.
package struct TextTable {
    package let lines: [String]

    /// - Parameter rightAligned: columns of numbers.
    package init(_ head: [String], rightAligned: Set<Int> = [], _ rows: [[String]]) {
        let all = [head] + rows
        let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        lines = all.map { row in
            var line = ""
            for (column, text) in row.enumerated() {
                let space = String(repeating: " ", count: widths[column] - text.count)
                line += (column == 0 ? "" : "  ") + (rightAligned.contains(column) ? space + text : text + space)
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}
