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
