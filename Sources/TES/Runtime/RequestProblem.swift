/// One thing that is wrong with a request: a JSON pointer into its body, or `?name` for a parameter, and what to change.
package struct RequestProblem: Hashable, Sendable, CustomStringConvertible {
    package var pointer: String
    package var message: String

    package init(_ pointer: String, _ message: String) {
        self.pointer = pointer
        self.message = message
    }

    package var description: String { pointer.isEmpty ? message : "\(pointer) \(message)" }
}

/// All that is wrong with one request.
package struct InvalidRequest: Error, Hashable, Sendable {
    package var problems: [RequestProblem]

    package init(_ problems: [RequestProblem]) { self.problems = problems }

    /// What a document's reader found and what its rules say; of several problems at one place the first is told.
    ///
    /// A value that could not be read is left empty: what the rules say of it, or of what is in it, is not told.
    package static func joining(_ read: [RequestProblem], _ rules: [RequestProblem]) -> InvalidRequest {
        var unread: Set<String> = Set(read.map(\.pointer))
        unread.remove("")
        var joined = read
        var seen = Set(read.map(\.pointer))
        for problem in rules where seen.insert(problem.pointer).inserted {
            var place = problem.pointer
            var isInside = false
            while let slash = place.lastIndex(of: "/"), !isInside {
                place = String(place[..<slash])
                isInside = unread.contains(place)
            }
            if !isInside { joined.append(problem) }
        }
        return InvalidRequest(Array(joined.prefix(200)))
    }
}

/// A generated structure whose requests can be checked.
package protocol JSONValidated {
    func validate(_ problems: inout [RequestProblem], at pointer: String)
}

/// An operation that a server left to its stub: answered with 501.
package struct OperationNotImplemented: Error, Sendable {
    package var operation: String
}

/// What a handler answers: a value, or a document that is sent in chunks as they are made.
package enum Answer<Value: Sendable>: Sendable {
    case value(Value)
    case chunks(AsyncThrowingStream<[UInt8], any Error>)
}

/// One line of the route table.
package struct Route: Hashable, Sendable {
    package var operation: String
    package var method: String
    package var path: String
}
