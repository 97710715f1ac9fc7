/// A generated enumeration: the specification's values, and what a client met beyond them.
nonisolated package protocol JSONEnumeration: Codable, Hashable, Sendable {
    static var allCases: [Self] { get }
    init(rawValue: String)
    var rawValue: String { get }
    static func unrecognized(_ value: String) -> Self
}

nonisolated extension JSONEnumeration {
    package init(from decoder: any Decoder) throws {
        self.init(rawValue: try decoder.singleValueContainer().decode(String.self))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }

    /// The place among the specification's values, from 0; -1 for a value that it does not know.
    package var position: Int { Self.allCases.firstIndex(of: self) ?? -1 }

    /// `A, B or C`: for messages.
    package static var choices: String {
        let names = allCases.map(\.rawValue)
        return names.dropLast().joined(separator: ", ") + (names.count > 1 ? " or " : "") + (names.last ?? "")
    }
}

/// A 64-bit integer that JSON carries as text; a number is read too.
nonisolated struct Int64Text: Codable {
    var value: Int64

    init(value: Int64) { self.value = value }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            guard let value = Int64(text) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(text) is no integer")
            }
            self.value = value
        } else {
            value = try container.decode(Int64.self)
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(String(value))
    }
}
