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
