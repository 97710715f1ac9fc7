/// Structural rules of requests, with JSON pointers, as many problems at once as are told.
struct ValidationRenderer {
    let access: String

    /// One rule: what is wrong, and what to say of it.
    private struct Rule {
        var condition: String
        var message: String
    }

    func render(_ contract: Contract) -> String {
        var source = Source(header: "Validation of \(contract.title) \(contract.version).")
        for structure in contract.structures {
            source.block("nonisolated extension \(structure.name): JSONValidated") { source in
                let checked = structure.properties.filter { !$0.isReadOnly }
                for property in checked {
                    let patterns = property.constraints.patterns + property.elementConstraints.patterns
                    for (index, pattern) in patterns.enumerated() {
                        source.pattern(pattern, name: patternName(property.jsonName, index))
                    }
                }
                source.line(
                    "/// Adds what breaks the specification's rules, each with its JSON pointer below `pointer`.")
                source.block("\(access) func validate(_ problems: inout RequestProblems, at pointer: String)") {
                    source in
                    for property in checked { rules(property, &source) }
                }
            }
            source.line()
        }
        return source.text
    }

    private func rules(_ property: PropertyModel, _ source: inout Source) {
        let place = "pointer + \(literal("/" + pointerSegment(property.jsonName)))"
        let name = property.isRequired ? "self.\(property.swiftName)" : "value"
        let own = rules(
            name, property.type, property.constraints, isRequired: property.isRequired, property.jsonName)
        var elements: [Rule] = []
        var isNested = false
        switch property.type {
        case .array(let element):
            elements = rules("element", element, property.elementConstraints, property.jsonName)
            if case .structure = element { isNested = true }
        case .map: elements = rules("element", .string, property.elementConstraints, property.jsonName)
        case .structure: isNested = true
        default: break
        }
        guard !own.isEmpty || !elements.isEmpty || isNested else { return }
        let write = { (source: inout Source) in
            self.write(own, at: place, &source)
            switch property.type {
            case .structure: source.line("\(name).validate(&problems, at: \(place))")
            case .array where isNested || !elements.isEmpty:
                source.block("for (index, element) in \(name).enumerated()") { source in
                    source.line("if problems.hasMore { return }")
                    self.write(elements, at: place + " + \"/\\(index)\"", &source)
                    if isNested { source.line("element.validate(&problems, at: \(place) + \"/\\(index)\")") }
                }
            case .map where !elements.isEmpty:
                source.block("for (key, element) in \(name).sorted(by: { $0.key < $1.key })") { source in
                    source.line("if problems.hasMore { return }")
                    self.write(elements, at: place + " + \"/\" + pointerSegment(key)", &source)
                }
            default: break
            }
        }
        if property.isRequired {
            write(&source)
        } else {
            source.block("if let value = self.\(property.swiftName)", write)
        }
    }

    private func write(_ rules: [Rule], at place: String, _ source: inout Source) {
        for rule in rules {
            source.line(
                "if \(rule.condition) { problems.add(\(place), \(literal(rule.message))) }")
        }
    }

    /// The rules of one value.
    ///
    /// - Parameters:
    ///   - value: the expression that holds it.
    ///   - name: the property's name, after which the constants of patterns are named.
    private func rules(
        _ value: String, _ type: TypeReference, _ bounds: Constraints, isRequired: Bool = false, _ name: String
    ) -> [Rule] {
        var rules: [Rule] = []
        func rule(_ condition: String, _ message: String) { rules.append(Rule(condition: condition, message: message)) }
        switch type {
        case .string:
            if let least = bounds.minLength, least > 0 {
                rule(
                    "\(value).unicodeScalars.count < \(least)",
                    isRequired && least == 1 ? "is required" : "needs at least \(count(least, "character"))")
            }
            if let most = bounds.maxLength {
                rule("\(value).unicodeScalars.count > \(most)", "may have at most \(count(most, "character"))")
            }
            for (index, pattern) in bounds.patterns.enumerated() {
                rule("!Self.\(patternName(name, index)).matches(\(value))", "must match \(pattern.text)")
            }
        case .int32, .int64, .int64Text, .double:
            if let least = bounds.minimum {
                rule("\(value) < \(number(least, type))", "must be at least \(number(least, type))")
            }
            if let most = bounds.maximum {
                rule("\(value) > \(number(most, type))", "must be at most \(number(most, type))")
            }
        case .array:
            if let least = bounds.minItems, least > 0 {
                rule(
                    "\(value).count < \(least)",
                    isRequired && least == 1
                        ? "is required and needs at least one item" : "needs at least \(count(least, "item"))")
            }
            if let most = bounds.maxItems {
                rule("\(value).count > \(most)", "may have at most \(count(most, "item"))")
            }
        case .boolean, .timestamp, .enumeration, .map, .structure: break
        }
        return rules
    }

    private func count(_ number: Int, _ noun: String) -> String { number == 1 ? "1 \(noun)" : "\(number) \(noun)s" }

    private func number(_ value: Double, _ type: TypeReference) -> String {
        type == .double ? "\(value)" : "\(Int64(value))"
    }

    private func pointerSegment(_ name: String) -> String {
        name.replacing("~", with: "~0").replacing("/", with: "~1")
    }
}
