/// A generated structure whose requests can be checked.
nonisolated package protocol JSONValidated {
    func validate(_ problems: inout RequestProblems, at pointer: String)
}
