package import SpecDocument
import YAML

/// One normative difference between two versions of a specification.
package struct SpecChange: Hashable, Sendable, CustomStringConvertible {
    /// What it does to programs that were written against the older version; docs/reference/compatibility.md has the rules.
    package enum Weight: String, Sendable { case breaking, compatible }

    package var weight: Weight
    /// JSON pointer, in the newer document where it is there.
    package var pointer: String
    package var what: String

    package var description: String { "\(weight.rawValue)\(weight == .breaking ? "  " : "") \(pointer): \(what)" }
}

/// Compares the normative facts of two documents; descriptions, examples and order do not count.
package struct SpecDifference {
    private let old: SpecDocument
    private let new: SpecDocument
    private var changes: [SpecChange] = []
    private var compared: Set<String> = []

    /// Whether a schema is sent by clients, answered by servers, or both.
    private struct Use: OptionSet {
        let rawValue: Int
        static let sent = Use(rawValue: 1)
        static let answered = Use(rawValue: 2)
    }

    package static func changes(from old: SpecDocument, to new: SpecDocument) -> [SpecChange] {
        var difference = SpecDifference(old: old, new: new)
        difference.compareOperations()
        difference.compareSchemas()
        return difference.changes
    }

    private init(old: SpecDocument, new: SpecDocument) {
        self.old = old
        self.new = new
    }

    /// What is met twice, as sent and as answered, is one change: breaking where it is that in either direction.
    private mutating func add(_ isBreaking: Bool, _ pointer: String, _ what: String) {
        if let index = changes.firstIndex(where: { $0.pointer == pointer && $0.what == what }) {
            if isBreaking { changes[index].weight = .breaking }
            return
        }
        changes.append(SpecChange(weight: isBreaking ? .breaking : .compatible, pointer: pointer, what: what))
    }

    // MARK: Operations

    private mutating func compareOperations() {
        if old.basePath != new.basePath {
            add(true, "/servers/0/url", "the base path was \"\(old.basePath)\" and is \"\(new.basePath)\"")
        }
        for operation in old.operations where !new.operations.contains(where: { $0.id == operation.id }) {
            add(true, operation.pointer, "the operation \(operation.id) is gone")
        }
        for operation in new.operations {
            guard let before = old.operations.first(where: { $0.id == operation.id }) else {
                add(
                    false, operation.pointer,
                    "the operation \(operation.id) is new; it answers 501 until a handler is written")
                continue
            }
            if before.method != operation.method || before.path != operation.path {
                add(
                    true, operation.pointer,
                    "\(operation.id) was \(before.method) \(before.path) and is \(operation.method) \(operation.path)")
            }
            if before.responseStatus != operation.responseStatus {
                add(
                    true, operation.pointer,
                    "\(operation.id) answered \(before.responseStatus) and answers \(operation.responseStatus)")
            }
            compareParameters(before, operation)
            compareBodies(before, operation)
            compare(before.response, operation.response, .answered, at: operation.pointer + "/responses")
        }
    }

    private mutating func compareParameters(_ before: Operation, _ operation: Operation) {
        for parameter in before.parameters
        where !operation.parameters.contains(where: { $0.name == parameter.name && $0.place == parameter.place }) {
            add(true, operation.pointer, "the parameter \"\(parameter.name)\" of \(operation.id) is gone")
        }
        for parameter in operation.parameters {
            let place = "\(operation.pointer)/parameters/\(parameter.name)"
            guard
                let earlier = before.parameters.first(where: {
                    $0.name == parameter.name && $0.place == parameter.place
                })
            else {
                add(
                    parameter.isRequired, place,
                    "the \(parameter.isRequired ? "required" : "optional") parameter \"\(parameter.name)\" is new")
                continue
            }
            if earlier.isRequired != parameter.isRequired {
                add(
                    parameter.isRequired, place,
                    "the parameter is \(parameter.isRequired ? "required now" : "optional now")")
            }
            compare(earlier.schema, parameter.schema, .sent, at: place)
        }
    }

    private mutating func compareBodies(_ before: Operation, _ operation: Operation) {
        let place = operation.pointer + "/requestBody"
        switch (before.requestBody, operation.requestBody) {
        case (let earlier?, let later?):
            compare(earlier, later, .sent, at: place)
            if before.requestBodyIsRequired != operation.requestBodyIsRequired {
                add(
                    operation.requestBodyIsRequired, place,
                    "the body is \(operation.requestBodyIsRequired ? "required" : "optional") now")
            }
        case (nil, .some): add(operation.requestBodyIsRequired, place, "the request has a body now")
        case (.some, nil): add(true, place, "the request has no body any more")
        case (nil, nil): break
        }
    }

    // MARK: Schemas

    /// Named schemas that no operation reaches are compared, too: they count as answered.
    private mutating func compareSchemas() {
        for (id, schema) in old.schemas {
            guard let later = new.schemas.first(where: { $0.id.name == id.name }) else {
                add(true, schema.pointer, "the schema \(id.name) is gone")
                continue
            }
            if !compared.contains(where: { $0.hasPrefix(id.name + " ") }) {
                compareNamed(id.name, schema, later.schema, .answered)
            }
        }
        for (id, schema) in new.schemas where !old.schemas.contains(where: { $0.id.name == id.name }) {
            add(false, schema.pointer, "the schema \(id.name) is new")
        }
    }

    private mutating func compareNamed(_ name: String, _ old: Schema, _ new: Schema, _ use: Use) {
        guard compared.insert("\(name) \(use.rawValue)").inserted else { return }
        compare(old, new, use, at: new.pointer)
    }

    private mutating func compare(_ before: Schema, _ after: Schema, _ use: Use, at pointer: String) {
        if case .reference(let first) = before.kind, case .reference(let second) = after.kind {
            compareFacts([before], [after], use, at: pointer)
            if first.name != second.name {
                add(true, pointer, "the schema was \(first.name) and is \(second.name)")
            } else if let old = old.schema(first), let new = new.schema(second) {
                compareNamed(first.name, old, new, use)
            }
            return
        }
        let (earlier, later) = (chain(before, in: old), chain(after, in: new))
        compareFacts(earlier, later, use, at: pointer)
        compareKinds(earlier[earlier.count - 1].kind, later[later.count - 1].kind, use, at: pointer)
    }

    private mutating func compareKinds(_ old: Schema.Kind, _ new: Schema.Kind, _ use: Use, at pointer: String) {
        if let (earlier, later) = Self.formats(old, new), earlier != later {
            add(true, pointer, "the format was \(earlier ?? "not given") and is \(later ?? "not given any more")")
        }
        switch (old, new) {
        case (.string(_, let earlier), .string(_, let later)): compareCases(earlier, later, use, at: pointer)
        case (.array(let earlier), .array(let later)): compare(earlier, later, use, at: pointer + "/items")
        case (.map(let earlier), .map(let later)):
            compare(earlier, later, use, at: pointer + "/additionalProperties")
        case (.allOf(let earlier), .allOf(let later)):
            for (index, parts) in zip(earlier, later).enumerated() {
                compare(parts.0, parts.1, use, at: "\(pointer)/allOf/\(index)")
            }
            if earlier.count != later.count {
                add(true, pointer + "/allOf", "it had \(earlier.count) parts and has \(later.count)")
            }
        case (.object(let earlier, let required), .object(let later, let nowRequired)):
            compareProperties(
                earlier, later, Set(required.compactMap(\.text)), Set(nowRequired.compactMap(\.text)), use, at: pointer)
        default:
            if Self.name(old) != Self.name(new) {
                add(true, pointer, "the type was \(Self.name(old)) and is \(Self.name(new))")
            }
        }
    }

    /// A schema and what it refers to, one after the other: what stands beside a `$ref` holds, too.
    private func chain(_ schema: Schema, in document: SpecDocument) -> [Schema] {
        guard case .reference(let id) = schema.kind, let target = document.schema(id) else { return [schema] }
        return [schema] + chain(target, in: document)
    }

    /// - Parameters:
    ///   - old: schemas whose facts hold together.
    ///   - new: likewise.
    private mutating func compareFacts(_ old: [Schema], _ new: [Schema], _ use: Use, at pointer: String) {
        let isReadOnly = new.contains(where: \.isReadOnly)
        if old.contains(where: \.isReadOnly) != isReadOnly {
            add(isReadOnly, pointer, isReadOnly ? "only the server sets it now" : "clients may set it now")
        }
        let defaults = [old, new].map { $0.compactMap(\.defaultValue).first?.text ?? "none" }
        if defaults[0] != defaults[1] {
            add(true, pointer, "the default was \(defaults[0]) and is \(defaults[1])")
        }
        let least: [(String, (Schema) -> Double?)] = [
            ("minItems", { $0.minItems.map(Double.init) }), ("minLength", { $0.minLength.map(Double.init) }),
            ("minimum", { $0.minimum }),
        ]
        for (name, value) in least {
            let (earlier, later) = (old.compactMap(value).max(), new.compactMap(value).max())
            bound(name, earlier, later, isNarrower: (later ?? -.infinity) > (earlier ?? -.infinity), use, pointer)
        }
        let most: [(String, (Schema) -> Double?)] = [
            ("maxItems", { $0.maxItems.map(Double.init) }), ("maxLength", { $0.maxLength.map(Double.init) }),
            ("maximum", { $0.maximum }),
        ]
        for (name, value) in most {
            let (earlier, later) = (old.compactMap(value).min(), new.compactMap(value).min())
            bound(name, earlier, later, isNarrower: (later ?? .infinity) < (earlier ?? .infinity), use, pointer)
        }
        comparePatterns(old.compactMap(\.pattern), new.compactMap(\.pattern), use, at: pointer)
    }

    private mutating func bound(
        _ name: String, _ earlier: Double?, _ later: Double?, isNarrower: Bool, _ use: Use, _ pointer: String
    ) {
        if earlier == later { return }
        let text =
            "\(name) was \(earlier.map { "\($0)" } ?? "not given") and is \(later.map { "\($0)" } ?? "not given")"
        add(use.contains(.sent) ? isNarrower : !isNarrower, pointer, text)
    }

    /// Of two patterns nobody can say which one allows less: another one is breaking for both sides.
    private mutating func comparePatterns(_ earlier: [String], _ later: [String], _ use: Use, at pointer: String) {
        let gone = earlier.filter { !later.contains($0) }
        let new = later.filter { !earlier.contains($0) }
        switch (gone.isEmpty, new.isEmpty) {
        case (true, true): break
        case (true, false): add(use.contains(.sent), pointer, "the pattern \(new.joined(separator: ", ")) is new")
        case (false, true): add(use.contains(.answered), pointer, "the pattern \(gone.joined(separator: ", ")) is gone")
        case (false, false):
            add(
                true, pointer,
                "the pattern was \(gone.joined(separator: ", ")) and is \(new.joined(separator: ", "))")
        }
    }

    private mutating func compareCases(_ earlier: [YAMLNode], _ later: [YAMLNode], _ use: Use, at pointer: String) {
        let (old, new) = (earlier.compactMap(\.text), later.compactMap(\.text))
        if old.isEmpty != new.isEmpty {
            let isClosed = old.isEmpty
            add(
                use.contains(.sent) == isClosed, pointer,
                isClosed ? "only \(new.joined(separator: ", ")) are allowed now" : "any text is allowed now")
            return
        }
        for value in old where !new.contains(value) {
            add(use.contains(.sent), pointer, "the value \(value) is gone")
        }
        for value in new where !old.contains(value) {
            add(use.contains(.answered), pointer, "the value \(value) is new")
        }
    }

    private mutating func compareProperties(
        _ earlier: [Schema.Property], _ later: [Schema.Property], _ required: Set<String>, _ nowRequired: Set<String>,
        _ use: Use, at pointer: String
    ) {
        for property in earlier where !later.contains(where: { $0.name == property.name }) {
            add(true, "\(pointer)/properties/\(property.name)", "the property is gone")
        }
        for property in later {
            let place = "\(pointer)/properties/\(property.name)"
            let isRequired = nowRequired.contains(property.name)
            guard let before = earlier.first(where: { $0.name == property.name }) else {
                add(
                    isRequired && use.contains(.sent), place,
                    "the \(isRequired ? "required" : "optional") property is new")
                continue
            }
            if required.contains(property.name) != isRequired {
                add(
                    use.contains(isRequired ? .sent : .answered), place,
                    isRequired ? "the property is required now" : "the property may be missing now")
            }
            // What only the server sets is never sent.
            let isReadOnly = before.schema.isReadOnly && property.schema.isReadOnly
            compare(before.schema, property.schema, isReadOnly ? .answered : use, at: place)
        }
    }

    private static func name(_ kind: Schema.Kind) -> String {
        switch kind {
        case .object: "object"
        case .map: "map"
        case .array: "array"
        case .string: "string"
        case .integer: "integer"
        case .number: "number"
        case .boolean: "boolean"
        case .reference: "reference"
        case .allOf: "allOf"
        }
    }

    private static func formats(_ old: Schema.Kind, _ new: Schema.Kind) -> (String?, String?)? {
        switch (old, new) {
        case (.string(let old, _), .string(let new, _)): (old, new)
        case (.integer(let old), .integer(let new)): (old, new)
        case (.number(let old), .number(let new)): (old, new)
        default: nil
        }
    }
}
