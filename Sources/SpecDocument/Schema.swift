package import YAML

/// A schema's identity across documents: the file that holds it and its name under `components/schemas`.
package struct SchemaID: Hashable, Sendable {
    package var file: String
    package var name: String
}

/// One schema object of OpenAPI 3.0, as far as the generator understands it.
///
/// A keyword outside this model is refused when the document is loaded, so that nothing is dropped silently.
package struct Schema: Sendable {
    /// The forms a schema can take.
    package indirect enum Kind: Sendable {
        case object(properties: [Property], required: [YAMLNode])
        case map(values: Schema)
        case array(items: Schema)
        case string(format: String?, cases: [YAMLNode])
        case integer(format: String?)
        case number(format: String?)
        case boolean
        case reference(SchemaID)
        case allOf([Schema])
    }

    /// One property of an object, in the document's order.
    package struct Property: Sendable {
        package var name: String
        package var schema: Schema
        package var location: SourceLocation
    }

    package var kind: Kind
    package var location: SourceLocation
    /// JSON pointer inside its document.
    package var pointer: String
    package var description: String?
    package var isReadOnly: Bool
    package var defaultValue: YAMLNode?
    package var minItems: Int?
    package var maxItems: Int?
    package var minLength: Int?
    package var maxLength: Int?
    /// A regular expression of ECMA 262 that matches somewhere in the text.
    package var pattern: String?
    package var minimum: Double?
    package var maximum: Double?
    /// Where the bounds above stand, by their keywords.
    package var boundLocations: [String: SourceLocation] = [:]
    /// `x-…` keys; each user of one names those it knows.
    package var extensions: [String: YAMLNode]
}

/// One parameter of an operation.
package struct Parameter: Sendable {
    package enum Place: String, Sendable { case path, query }
    package var name: String
    package var place: Place
    package var isRequired: Bool
    package var schema: Schema
    package var description: String?
    package var location: SourceLocation
    package var extensions: [String: YAMLNode]
}

/// One operation: a method on a path.
package struct Operation: Sendable {
    package var id: String
    /// In capitals, as HTTP writes it.
    package var method: String
    package var path: String
    package var parameters: [Parameter]
    package var requestBody: Schema?
    package var requestBodyIsRequired: Bool
    package var response: Schema
    package var responseStatus: Int
    package var description: String?
    package var location: SourceLocation
    package var pointer: String
}

/// A loaded document with every schema it reaches, its own first and in their order.
package struct SpecDocument: Sendable {
    package var file: String
    package var title: String
    package var version: String
    package var basePath: String
    package var operations: [Operation]
    package var schemas: [(id: SchemaID, schema: Schema)]

    /// The schema behind an identity; every reference in a loaded document leads somewhere.
    package func schema(_ id: SchemaID) -> Schema? {
        schemas.first { $0.id == id }?.schema
    }
}
