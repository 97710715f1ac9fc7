/// Path and query parameters of one request, decoded; what is wrong with them is collected.
nonisolated package struct RequestParameters: Sendable {
    private let pathValues: [String: String]
    private let query: [(name: String, value: String)]
    private var problems = RequestProblems()

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
                problems.add("?" + halves[0], "is not valid percent-encoded UTF-8 text")
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

    package mutating func path(_ name: String, _ bounds: TextBounds) -> String {
        let text = path(name)
        check(text, name, bounds)
        return text
    }

    package mutating func string(_ name: String, _ bounds: TextBounds) -> String? {
        let text = string(name)
        if let text { check(text, name, bounds) }
        return text
    }

    /// - Parameters:
    ///   - minItems: the least number of values where there is one at all.
    ///   - bounds: those of each value.
    package mutating func strings(
        _ name: String, minItems: Int = 0, maxItems: Int = .max, _ bounds: TextBounds = TextBounds()
    ) -> [String] {
        let values = strings(name)
        if !values.isEmpty, values.count < minItems {
            problems.add("?" + name, "must be given at least \(minItems) times")
        }
        if values.count > maxItems {
            problems.add("?" + name, "may be given at most \(maxItems) times")
        }
        for value in values { check(value, name, bounds) }
        return values
    }

    private mutating func check(_ text: String, _ name: String, _ bounds: TextBounds) {
        if let problem = bounds.problem(text) { problems.add("?" + name, problem) }
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
        problems.add("?" + name, "must be a whole number from \(minimum) to \(maximum)")
        return nil
    }

    package mutating func enumeration<Value: JSONEnumeration>(
        _ name: String, _ type: Value.Type, ignoresCase: Bool
    ) -> Value? {
        guard let text = string(name) else { return nil }
        let value = Value.allCases.first {
            $0.rawValue == text || ignoresCase && $0.rawValue.lowercased() == text.lowercased()
        }
        if let value { return value }
        problems.add("?" + name, "must be \(Value.choices)")
        return nil
    }

    /// Throws what was found while the parameters were decoded.
    package func check() throws(InvalidRequest) {
        if !problems.isEmpty { throw InvalidRequest(problems) }
    }
}

/// Bounds of a parameter's text, counted in Unicode scalars.
nonisolated package struct TextBounds: Sendable {
    private let minLength: Int
    private let maxLength: Int
    private let patterns: [(pattern: TextPattern, text: String)]

    package init(
        minLength: Int = 0, maxLength: Int = .max, patterns: [(pattern: TextPattern, text: String)] = []
    ) {
        self.minLength = minLength
        self.maxLength = maxLength
        self.patterns = patterns
    }

    /// What is wrong with a text; nil where nothing is.
    fileprivate func problem(_ text: String) -> String? {
        let count = text.unicodeScalars.count
        if count < minLength { return "needs at least \(minLength) characters" }
        if count > maxLength { return "may have at most \(maxLength) characters" }
        return patterns.first { !$0.pattern.matches(text) }.map { "must match \($0.text)" }
    }
}
