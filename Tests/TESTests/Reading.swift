import TES

/// What came of reading a document.
struct Reading<Value: JSONValue> {
    var value: Value?
    /// As `POINTER MESSAGE`.
    var problems: [String]

    init(_ text: String, as type: Value.Type = Value.self, _ purpose: JSONReader.Purpose) throws(JSONSyntaxError) {
        try self.init(Array(text.utf8), as: type, purpose)
    }

    init(_ bytes: [UInt8], as type: Value.Type = Value.self, _ purpose: JSONReader.Purpose) throws(JSONSyntaxError) {
        var reader = JSONReader(bytes, purpose: purpose)
        value = try reader.document(type)
        problems = reader.problems.told.map(\.description)
    }
}

/// A value as JSON text.
func json(_ value: some JSONValue, view: TESView = .full) -> String {
    String(decoding: JSONWriter.encode(value, viewLevel: view.position), as: UTF8.self)
}
