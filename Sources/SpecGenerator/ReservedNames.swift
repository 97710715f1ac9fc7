/// Names that mean something already where generated code is compiled.
enum ReservedNames {
    /// Swift's own types and those of the runtime, of Postgres and of the server that generated files name.
    static let types: Set = [
        // Swift
        "Any", "AnyObject", "Array", "AsyncThrowingStream", "Bool", "Character", "Codable", "CodingKey", "Comparable",
        "CustomDebugStringConvertible", "CustomStringConvertible", "Decodable", "Decoder", "Dictionary", "Double",
        "Encodable", "Encoder", "Equatable", "Error", "Executor", "Float", "Hashable", "Hasher", "Identifiable", "Int",
        "Int16", "Int32", "Int64", "Int8", "Never", "Optional", "Protocol", "RawRepresentable", "Result", "Self",
        "Sendable", "Set", "Span", "String", "Substring", "Swift", "Task", "Type", "UInt", "UInt16", "UInt32", "UInt64",
        "UInt8", "Unicode", "Void",
        // The runtime part beside the generated types
        "Answer", "ClientAnswer", "ClientError", "ClientTransport", "Int64Text", "InvalidRequest", "JSONEnumeration",
        "JSONKey", "JSONReader", "JSONSyntaxError", "JSONValidated", "JSONValue", "JSONWriter",
        "OperationNotImplemented", "RequestParameters", "RequestProblem", "RequestProblems", "Route", "TextBounds",
        "TextPattern", "Timestamp",
        // What is generated whatever the document says
        "TESClient", "TESDescription", "TESHandlers", "TESRoutes", "TaskSchema",
        // Names inside generated declarations: they would hide a type of the document
        "CodingKeys", "Context", "H", "Input", "Output",
        // Modules and types that generated statements and routes name
        "CallContext", "ChildRows", "EncodedAnswer", "Hummingbird", "OperationAdapter", "Postgres", "PostgresError",
        "PostgresResult", "PostgresValue", "RouterMethods", "RouterPath", "RowReader", "Statement", "TES",
        "TESRequestContext",
    ]

    /// Swift's keywords, which need backticks as the name of a member.
    static let keywords: Set = [
        "associatedtype", "class", "deinit", "enum", "extension", "func", "import", "init", "inout", "internal", "let",
        "operator", "private", "protocol", "public", "static", "struct", "subscript", "typealias", "var", "break",
        "case", "continue", "default", "defer", "do", "else", "fallthrough", "fileprivate", "for", "guard", "if", "in",
        "precedencegroup", "repeat", "return", "switch", "where", "while", "as", "catch", "false", "is", "nil",
        "rethrows", "self", "super", "throw", "throws", "true", "try", "await",
    ]

    /// Members that every generated enumeration has, beside its cases.
    static let enumerationMembers: Set = ["allCases", "unrecognized"]

    /// Members that generated structures have, beside their properties.
    static let structureMembers: Set = ["debugDescription", "hashValue"]

    /// PostgreSQL's reserved words: no name of a table or column without quotation marks.
    /// https://www.postgresql.org/docs/current/sql-keywords-appendix.html ("reserved", with and without "can be function or type")
    static let sql: Set = [
        "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "binary",
        "both", "case", "cast", "check", "collate", "collation", "column", "concurrently", "constraint", "create",
        "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
        "current_timestamp", "current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end",
        "except", "false", "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group", "having", "ilike",
        "in", "initially", "inner", "intersect", "into", "is", "isnull", "join", "lateral", "leading", "left", "like",
        "limit", "localtime", "localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only", "or",
        "order", "outer", "overlaps", "placing", "primary", "references", "returning", "right", "select",
        "session_user", "similar", "some", "symmetric", "system_user", "table", "tablesample", "then", "to", "trailing",
        "true", "union", "unique", "user", "using", "variadic", "verbose", "when", "where", "window", "with",
    ]
}

/// Text in SQL, in quotation marks. PostgreSQL's text holds no U+0000.
func quotedText(_ text: String) -> String {
    "'" + text.replacing("\0", with: "\u{FFFD}").replacing("'", with: "''") + "'"
}

/// A name in SQL: as it is where PostgreSQL reads it as the same name, otherwise in quotation marks.
func quotedSQL(_ name: String) -> String {
    let isPlain =
        name.utf8.allSatisfy { byte in
            switch byte {
            case 97...122, 48...57, 95: true
            default: false
            }
        } && name.first?.isNumber == false
    return isPlain && !ReservedNames.sql.contains(name) ? name : "\"" + name.replacing("\"", with: "\"\"") + "\""
}
