/// The type of a property, parameter or element after lowering.
indirect enum TypeReference: Hashable, Sendable {
    case string, int32, int64, double, boolean
    /// A 64-bit integer that JSON carries as text.
    case int64Text
    /// RFC 3339 text in JSON, microseconds in Swift.
    case timestamp
    case structure(String)
    case enumeration(String)
    case array(TypeReference)
    /// A map from text to text.
    case map

    /// The type's name in generated Swift.
    var swift: String {
        switch self {
        case .string: "String"
        case .int32: "Int32"
        case .int64, .int64Text: "Int64"
        case .double: "Double"
        case .boolean: "Bool"
        case .timestamp: "Timestamp"
        case .structure(let name), .enumeration(let name): name
        case .array(let element): "[\(element.swift)]"
        case .map: "[String: String]"
        }
    }

    /// What it is called in a message.
    var noun: String {
        switch self {
        case .string: "text"
        case .int32, .int64: "an integer"
        case .int64Text: "an integer as text"
        case .double: "a number"
        case .boolean: "a boolean"
        case .timestamp: "a time"
        case .structure: "an object"
        case .enumeration: "an enumeration"
        case .array: "an array"
        case .map: "a map"
        }
    }

    /// What a required value of this type is while its member is missing.
    var emptyValue: String {
        switch self {
        case .string: "\"\""
        case .int32, .int64, .int64Text, .double: "0"
        case .boolean: "false"
        case .timestamp: "Timestamp(microseconds: 0)"
        case .structure(let name): "\(name)()"
        case .enumeration: ".unrecognized(\"\")"
        case .array: "[]"
        case .map: "[:]"
        }
    }
}

/// Bounds that requests are checked against.
struct Constraints: Hashable, Sendable {
    var minItems: Int?
    var maxItems: Int?
    var minLength: Int?
    var maxLength: Int?
    /// All of them have to match.
    var patterns: [PatternModel] = []
    var minimum: Double?
    var maximum: Double?

    /// What holds where these bounds and others hold.
    func joined(_ other: Constraints) -> Constraints {
        func larger<Value: Comparable>(_ first: Value?, _ second: Value?) -> Value? {
            [first, second].compactMap { $0 }.max()
        }
        func smaller<Value: Comparable>(_ first: Value?, _ second: Value?) -> Value? {
            [first, second].compactMap { $0 }.min()
        }
        return Constraints(
            minItems: larger(minItems, other.minItems), maxItems: smaller(maxItems, other.maxItems),
            minLength: larger(minLength, other.minLength), maxLength: smaller(maxLength, other.maxLength),
            patterns: patterns + other.patterns.filter { !patterns.contains($0) },
            minimum: larger(minimum, other.minimum), maximum: smaller(maximum, other.maximum))
    }
}

/// One stored property of a generated structure.
struct PropertyModel: Hashable, Sendable {
    var jsonName: String
    var swiftName: String
    var type: TypeReference
    var isRequired: Bool
    var isReadOnly: Bool
    /// Its value never appears in a description of the structure.
    var isSensitive: Bool
    /// The first view that shows it, counted from 0; 0 where there are no views.
    var viewLevel: Int
    /// The enum case to fill in where a request leaves it out.
    var filledIn: String?
    var constraints: Constraints
    /// Bounds of an array's elements or a map's values.
    var elementConstraints: Constraints
    var documentation: String?
    var pointer: String

    /// The Swift type with `?` where the value may be absent.
    var declaredType: String { isRequired ? type.swift : type.swift + "?" }
}

struct StructureModel: Hashable, Sendable {
    var name: String
    /// The schema's name in the document; nil for one written inline.
    var schemaName: String?
    var properties: [PropertyModel]
    var documentation: String?
    var pointer: String
}

struct EnumerationModel: Hashable, Sendable {
    struct Case: Hashable, Sendable {
        var swiftName: String
        var value: String
    }
    var name: String
    var cases: [Case]
    var documentation: String?
    var pointer: String
}

struct ParameterModel: Hashable, Sendable {
    var name: String
    var swiftName: String
    var type: TypeReference
    var isInPath: Bool
    var isRequired: Bool
    /// The Swift expression for an absent parameter.
    var defaultExpression: String?
    var constraints: Constraints
    /// Bounds of an array's elements.
    var elementConstraints: Constraints
    /// Whether letter case of an enum value is ignored.
    var ignoresCase: Bool
    /// Whether its value chooses the view of the answer.
    var choosesView: Bool
    var documentation: String?
}

struct OperationModel: Hashable, Sendable {
    /// `getTask`
    var name: String
    /// `GetTask`
    var typeName: String
    var method: String
    var path: String
    var parameters: [ParameterModel]
    var body: TypeReference?
    var output: TypeReference
    var documentation: String?
    var pointer: String
}

/// Everything that is rendered, in the document's order.
struct Contract: Sendable {
    var title: String
    var version: String
    var basePath: String
    var structures: [StructureModel]
    var enumerations: [EnumerationModel]
    var operations: [OperationModel]
}
