/// All that is wrong with one request.
nonisolated package struct InvalidRequest: Error, Hashable, Sendable {
    package var problems: [RequestProblem]

    package init(_ problems: [RequestProblem]) { self.problems = problems }

    /// What is told of the problems that were found.
    package init(_ problems: RequestProblems) { self.problems = problems.told }
}
