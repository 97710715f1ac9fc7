/// Path and query parameters of one request, decoded; what is wrong with them is collected.
package struct RequestParameters: Sendable {
    private let pathValues: [String: String]
    private let query: [(name: String, value: String)]
    private var problems: [RequestProblem] = []

    /// - Parameters:
    ///   - path: values of the path's parameters, still percent-encoded.
    ///   - query: the query as it was sent, without `?`.
    package init(path: [String: String], query: String) {
        pathValues = path.mapValues { percentDecoded($0) ?? $0 }
        var pairs: [(name: String, value: String)] = []
        for part in query.split(separator: "&") {
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = percentDecoded(String(halves[0]), plusIsSpace: true)
            let value = percentDecoded(halves.count > 1 ? String(halves[1]) : "", plusIsSpace: true)
            guard let name, let value, !name.utf8.contains(0), !value.utf8.contains(0) else {
                problems.append(RequestProblem("?" + halves[0], "is not valid percent-encoded UTF-8 text"))
                continue
            }
            pairs.append((name, value))
        }
        self.query = pairs
    }

    package func path(_ name: String) -> String { pathValues[name] ?? "" }

    /// The last value given; an empty one counts as absent.
    package func string(_ name: String) -> String? {
        query.last { $0.name == name && !$0.value.isEmpty }?.value
    }

    /// All values in order of appearance; empty ones keep their place.
    package func strings(_ name: String) -> [String] {
        query.filter { $0.name == name }.map(\.value)
    }

    package mutating func int32(_ name: String, minimum: Int32 = .min, maximum: Int32 = .max) -> Int32? {
        integer(name, minimum: minimum, maximum: maximum)
    }

    package mutating func int64(_ name: String, minimum: Int64 = .min, maximum: Int64 = .max) -> Int64? {
        integer(name, minimum: minimum, maximum: maximum)
    }

    private mutating func integer<Value: FixedWidthInteger>(_ name: String, minimum: Value, maximum: Value) -> Value? {
        guard let text = string(name) else { return nil }
        if let value = Value(text), (minimum...maximum).contains(value) { return value }
        problems.append(RequestProblem("?" + name, "must be a whole number from \(minimum) to \(maximum)"))
        return nil
    }

    package mutating func enumeration<Value: JSONEnumeration>(
        _ name: String, _ type: Value.Type, ignoresCase: Bool
    ) -> Value? {
        guard let text = string(name) else { return nil }
        let value = Value(rawValue: ignoresCase ? text.uppercased() : text)
        if value.position >= 0 { return value }
        problems.append(RequestProblem("?" + name, "must be \(Value.choices)"))
        return nil
    }

    /// Throws what was found while the parameters were decoded.
    package func check() throws(InvalidRequest) {
        if !problems.isEmpty { throw InvalidRequest(problems) }
    }
}
