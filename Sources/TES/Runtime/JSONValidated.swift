/// A generated structure whose requests can be checked.
package protocol JSONValidated {
    func validate(_ problems: inout RequestProblems, at pointer: String)
}
