/// One thing that is wrong with a request: a JSON pointer into its body, or `?name` for a parameter, and what to change.
nonisolated package struct RequestProblem: Hashable, Sendable, CustomStringConvertible {
    package var pointer: String
    package var message: String

    package init(_ pointer: String, _ message: String) {
        self.pointer = pointer
        self.message = message
    }

    package var description: String { pointer.isEmpty ? message : "\(pointer) \(message)" }
}

/// What is wrong with one request: the first ``most`` problems, one for each place. A request with a million of them costs no more memory
/// than one with ``most``.
nonisolated package struct RequestProblems: Hashable, Sendable {
    package static let most = 200

    /// In the order in which they were found.
    package private(set) var first: [RequestProblem] = []
    /// Whether there are more than ``first``: nothing is kept any more, and who looks for problems may stop.
    package private(set) var hasMore = false
    private var places: Set<String> = []
    /// Values that could not be read. They are left empty in what was read: rules say nothing of them, nor of what is in them.
    private var unread: Set<String> = []

    package init() {}

    package var isEmpty: Bool { first.isEmpty }

    /// ``first``, and where there are more, a sentence that says so.
    package var told: [RequestProblem] {
        hasMore ? first + [RequestProblem("", "and more: these are the first \(Self.most) problems")] : first
    }

    /// Whether there is a problem at a place itself.
    package func contains(_ pointer: String) -> Bool { places.contains(pointer) }

    /// Adds what a rule says of a value, unless a problem of the value is known, or it was not read.
    package mutating func add(_ pointer: String, _ message: String) {
        if !hasMore && !isUnread(pointer) { keep(pointer, message) }
    }

    /// Adds that a value cannot be read.
    package mutating func addUnread(_ pointer: String, _ message: String) {
        if hasMore { return }
        keep(pointer, message)
        unread.insert(pointer)
    }

    private mutating func keep(_ pointer: String, _ message: String) {
        guard !places.contains(pointer) else { return }
        if first.count == Self.most {
            hasMore = true
            return
        }
        places.insert(pointer)
        first.append(RequestProblem(pointer, message))
    }

    /// Whether a place lies in a value that was not read; the whole document is none.
    private func isUnread(_ pointer: String) -> Bool {
        if unread.isEmpty { return false }
        var place = pointer[...]
        while let slash = place.lastIndex(of: "/"), slash > place.startIndex {
            place = place[..<slash]
            if unread.contains(String(place)) { return true }
        }
        return false
    }
}
