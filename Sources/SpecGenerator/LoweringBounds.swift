import SpecDocument
import YAML

extension Lowering {
    /// Bounds of a schema with those behind its references: all of them hold.
    mutating func constraints(_ schema: Schema, _ type: TypeReference) -> Constraints {
        var result = Constraints()
        for part in chain(schema) {
            result = result.joined(
                Constraints(
                    minItems: part.minItems, maxItems: part.maxItems, minLength: part.minLength,
                    maxLength: part.maxLength,
                    patterns: part.pattern.flatMap { try? PatternCompiler.compile($0) }.map { [$0] } ?? [],
                    minimum: part.minimum, maximum: part.maximum))
        }
        let range = Self.range(of: type)
        if let range {
            // 0.5 and 1 are the same bound for integers, and one beyond the type's range is none.
            result.minimum = result.minimum.map { $0.rounded(.up) }.flatMap { $0 <= range.lowerBound ? nil : $0 }
            result.maximum = result.maximum.map { $0.rounded(.down) }.flatMap { $0 >= range.upperBound ? nil : $0 }
        }
        let least = result.minimum ?? range?.lowerBound ?? -.infinity
        let most = result.maximum ?? range?.upperBound ?? .infinity
        if result.minItems ?? 0 > result.maxItems ?? .max || result.minLength ?? 0 > result.maxLength ?? .max
            || least > most
        {
            found.append(
                Diagnostic(
                    schema.location, "no value is within these bounds",
                    hint: "bounds here and behind a $ref hold together: correct one of them"))
        }
        return result
    }

    /// Bounds of what an array or a map holds.
    mutating func elementConstraints(_ schema: Schema, _ type: TypeReference) -> Constraints {
        guard let element = elements(of: schema).first else { return Constraints() }
        if case .array(let inner) = type { return constraints(element, inner) }
        return constraints(element, .string)
    }

    /// The least and the largest value of an integer type, as near as a number in JSON can say it.
    private static func range(of type: TypeReference) -> ClosedRange<Double>? {
        switch type {
        case .int32: Double(Int32.min)...Double(Int32.max)
        case .int64, .int64Text: Double(Int64.min)...Double(Int64.max)
        default: nil
        }
    }

    /// A bound that has no meaning for a type would be lost without a word.
    mutating func checkBounds(_ schema: Schema, _ type: TypeReference) {
        let known: [String] =
            switch type {
            case .string: ["minLength", "maxLength", "pattern"]
            case .int32, .int64, .int64Text, .double: ["minimum", "maximum"]
            case .array: ["minItems", "maxItems"]
            case .boolean, .timestamp, .structure, .enumeration, .map: []
            }
        for (name, location) in schema.boundLocations.sorted(by: { $0.key < $1.key }) where !known.contains(name) {
            found.append(
                Diagnostic(
                    location, "\"\(name)\" is not supported for \(type.noun)",
                    hint: known.isEmpty
                        ? "remove it with the overlay"
                        : "supported are \(known.joined(separator: ", ")); remove it with the overlay"))
        }
        guard let pattern = schema.pattern, let location = schema.boundLocations["pattern"] else { return }
        do throws(PatternCompiler.Failure) {
            _ = try PatternCompiler.compile(pattern)
        } catch {
            found.append(
                Diagnostic(
                    location, "the pattern \"\(pattern)\" is not supported: \(error.message)",
                    hint: "write it with classes, groups, |, *, +, ?, {n,m}, ^ and $, or remove it with the overlay"))
        }
    }
}
