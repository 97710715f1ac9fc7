/// Writes fields as `name length\nbytes\n`.
struct FieldWriter {
    var bytes: [UInt8] = []

    mutating func add(_ name: String, _ value: String?) {
        guard let value else { return }
        bytes.append(contentsOf: "\(name) \(value.utf8.count)\n".utf8)
        bytes.append(contentsOf: value.utf8)
        bytes.append(10)
    }
}

/// Reads what ``FieldWriter`` wrote; nil where it is damaged.
func readFields(_ bytes: [UInt8]) -> [(name: String, value: String)]? {
    var fields: [(name: String, value: String)] = []
    var rest = bytes[...]
    while !rest.isEmpty {
        guard let end = rest.firstIndex(of: 10) else { return nil }
        let header = String(decoding: rest[..<end], as: UTF8.self).split(separator: " ")
        guard header.count == 2, let length = Int(header[1]), length >= 0 else { return nil }
        let start = end + 1
        guard length < rest.endIndex - start, rest[start + length] == 10 else { return nil }
        fields.append((String(header[0]), String(decoding: rest[start..<start + length], as: UTF8.self)))
        rest = rest[(start + length + 1)...]
    }
    return fields
}
