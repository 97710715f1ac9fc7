import SpecDocument
import YAML

extension Lowering {
    /// All properties of an object or of the parts of an `allOf`; one that is repeated gets what both of its schemas allow.
    mutating func flatten(_ schema: Schema) -> (properties: [Schema.Property], required: Set<String>) {
        var required: [YAMLNode] = []
        let properties = merged(schema, &required)
        for name in required where !properties.contains(where: { $0.name == name.text }) {
            found.append(
                Diagnostic(
                    name.location, "\"\(name.text ?? "")\" is required but is no property of this object",
                    hint: "add the property to one of the parts, or take the name from \"required\""))
        }
        return (properties, Set(required.compactMap(\.text)))
    }

    private mutating func merged(_ schema: Schema, _ required: inout [YAMLNode]) -> [Schema.Property] {
        switch resolved(schema).kind {
        case .object(let properties, let names):
            required += names
            return properties
        case .allOf(let parts):
            var result: [Schema.Property] = []
            for part in parts {
                check(part.extensions)
                checkBounds(part, .structure(""))
                for property in merged(part, &required) {
                    if let index = result.firstIndex(where: { $0.name == property.name }) {
                        result[index].schema = narrower(result[index].schema, property.schema)
                    } else {
                        result.append(property)
                    }
                }
            }
            return result
        default:
            found.append(
                Diagnostic(
                    schema.location, "each part of \"allOf\" must be an object",
                    hint: "beside a property, bounds and a description can stand next to its $ref"))
            return []
        }
    }

    /// The schema of the two that allows less, with the bounds and extensions of both.
    private mutating func narrower(_ first: Schema, _ second: Schema) -> Schema {
        guard let (kept, dropped) = order(first, second) else {
            found.append(
                Diagnostic(
                    second.location,
                    "the property is declared twice in \"allOf\" with types that cannot be intersected",
                    hint: "remove one of the declarations with the overlay"))
            return first
        }
        var result = kept
        result.isReadOnly = kept.isReadOnly || dropped.isReadOnly
        result.defaultValue = kept.defaultValue ?? dropped.defaultValue
        result.extensions.merge(dropped.extensions) { own, _ in own }
        // What the dropped one refers to is dropped with it, bounds and all, unless the kept one refers to the same.
        let bounds = includes(kept, dropped) ? [dropped] : chain(dropped)
        for part in bounds {
            result.boundLocations.merge(part.boundLocations) { own, _ in own }
            result.minItems = [result.minItems, part.minItems].compactMap { $0 }.max()
            result.maxItems = [result.maxItems, part.maxItems].compactMap { $0 }.min()
            result.minLength = [result.minLength, part.minLength].compactMap { $0 }.max()
            result.maxLength = [result.maxLength, part.maxLength].compactMap { $0 }.min()
            result.minimum = [result.minimum, part.minimum].compactMap { $0 }.max()
            result.maximum = [result.maximum, part.maximum].compactMap { $0 }.min()
            if let pattern = result.pattern, let other = part.pattern, pattern != other {
                found.append(
                    Diagnostic(
                        part.boundLocations["pattern"] ?? part.location,
                        "the property is declared twice in \"allOf\" with two patterns",
                        hint: "join them in one pattern with the overlay"))
            }
            result.pattern = result.pattern ?? part.pattern
        }
        return result
    }

    /// The one that allows less, then the other; nil where neither does.
    private func order(_ first: Schema, _ second: Schema) -> (kept: Schema, dropped: Schema)? {
        if includes(second, first) { return (second, first) }
        if includes(first, second) { return (first, second) }
        switch (resolved(first).kind, resolved(second).kind) {
        case (.string(let format, let cases), .string(let other, let otherCases)):
            guard cases.isEmpty == otherCases.isEmpty else {
                // An enumeration is text without a format.
                let plain = cases.isEmpty ? format : other
                return plain != nil ? nil : cases.isEmpty ? (second, first) : (first, second)
            }
            let values = Set(cases.compactMap(\.text))
            let otherValues = Set(otherCases.compactMap(\.text))
            if values != otherValues {
                return values.isSuperset(of: otherValues)
                    ? (second, first) : values.isSubset(of: otherValues) ? (first, second) : nil
            }
            return byFormat(format, other, first, second)
        case (.integer(let format), .integer(let other)):
            if let format, let other, format != other { return format == "int32" ? (first, second) : (second, first) }
            return byFormat(format, other, first, second)
        case (.number, .number), (.boolean, .boolean): return (second, first)
        default: return nil
        }
    }

    private func byFormat(
        _ format: String?, _ other: String?, _ first: Schema, _ second: Schema
    ) -> (kept: Schema, dropped: Schema)? {
        if format == other || format == nil { return (second, first) }
        return other == nil ? (first, second) : nil
    }

    /// Whether `schema` is `part`, or an `allOf` that contains it.
    private func includes(_ schema: Schema, _ part: Schema) -> Bool {
        if case .reference(let id) = schema.kind, case .reference(let other) = part.kind, id == other { return true }
        guard case .allOf(let parts) = resolved(schema).kind else { return false }
        return parts.contains { includes($0, part) }
    }
}
