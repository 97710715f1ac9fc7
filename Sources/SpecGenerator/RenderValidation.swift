/// Structural rules of requests, with JSON pointers, all problems at once.
struct ValidationRenderer {
    let access: String

    func render(_ contract: Contract) -> String {
        var source = Source(header: "Validation of \(contract.title) \(contract.version).")
        for structure in contract.structures {
            source.block("extension \(structure.name): JSONValidated") { source in
                source.line(
                    "/// Adds what breaks the specification's rules, each with its JSON pointer below `pointer`.")
                source.block("\(access) func validate(_ problems: inout [RequestProblem], at pointer: String)") {
                    source in
                    for property in structure.properties where !property.isReadOnly { rules(property, &source) }
                }
            }
            source.line()
        }
        return source.text
    }

    private func rules(_ property: PropertyModel, _ source: inout Source) {
        let name = property.swiftName
        let place = "pointer + \(literal("/" + pointerSegment(property.jsonName)))"
        var body: [(inout Source) -> Void] = []
        func rule(_ condition: String, _ message: String) {
            body.append {
                $0.line("if \(condition) { problems.append(RequestProblem(\(place), \(literal(message)))) }")
            }
        }
        let bounds = property.constraints
        switch property.type {
        case .string:
            if let least = bounds.minLength, least > 0 {
                rule(
                    "\(name).unicodeScalars.count < \(least)",
                    property.isRequired && least == 1 ? "is required" : "needs at least \(least) characters")
            }
            if let most = bounds.maxLength {
                rule("\(name).unicodeScalars.count > \(most)", "may have at most \(most) characters")
            }
        case .int32, .int64, .int64Text, .double:
            if let least = bounds.minimum {
                rule("\(name) < \(number(least, property.type))", "must be at least \(number(least, property.type))")
            }
            if let most = bounds.maximum {
                rule("\(name) > \(number(most, property.type))", "must be at most \(number(most, property.type))")
            }
        case .array(let element):
            if let least = bounds.minItems, least > 0 {
                rule(
                    "\(name).count < \(least)",
                    property.isRequired && least == 1
                        ? "is required and needs at least one item" : "needs at least \(least) items")
            }
            if case .structure = element {
                body.append { source in
                    source.block("for (index, element) in \(name).enumerated()") { source in
                        source.line("element.validate(&problems, at: \(place) + \"/\\(index)\")")
                    }
                }
            }
        case .structure:
            body.append { $0.line("\(name).validate(&problems, at: \(place))") }
        case .boolean, .timestamp, .enumeration, .map: break
        }
        guard !body.isEmpty else { return }
        if property.isRequired {
            for write in body { write(&source) }
        } else {
            source.block("if let \(name)") { source in for write in body { write(&source) } }
        }
    }

    private func number(_ value: Double, _ type: TypeReference) -> String {
        type == .double ? "\(value)" : "\(Int64(value))"
    }

    private func pointerSegment(_ name: String) -> String {
        name.split(separator: "~", omittingEmptySubsequences: false).joined(separator: "~0")
            .split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1")
    }
}
