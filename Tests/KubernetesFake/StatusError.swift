/// An answer of the API that is no success: a `Status` object, or plain text.
package struct StatusError: Error {
    /// The code of HTTP.
    package var code: Int
    /// The stable part, such as `NotFound`; nil where the recorded answer has none.
    package var reason: String?
    /// For people.
    package var message: String
    /// What it is about, and every cause of a 422.
    package var details: JSON?
    /// The `metadata` of the Status; a list's expired `continue` token comes with a new one.
    var metadata: JSON = [:]
    var headers: [(String, String)] = []

    init(_ code: Int, _ reason: String?, _ message: String, details: JSON? = nil, metadata: JSON = [:]) {
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.metadata = metadata
    }

    /// The Status object.
    package var object: JSON {
        .of([
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
            "message": .string(message), "reason": reason.map(JSON.string), "details": details, "code": .int(code),
        ])
    }
}

extension StatusError {
    static func badRequest(_ message: String) -> StatusError { StatusError(400, "BadRequest", message) }

    private static func details(_ resource: Resource, _ name: String) -> JSON {
        .of([
            "name": .string(name), "group": resource.group.isEmpty ? nil : .string(resource.group),
            "kind": .string(resource.rawValue),
        ])
    }

    static func notFound(_ resource: Resource, _ name: String) -> StatusError {
        StatusError(
            404, "NotFound", "\(resource.qualified) \"\(name)\" not found", details: details(resource, name))
    }

    static func alreadyExists(_ resource: Resource, _ name: String) -> StatusError {
        StatusError(
            409, "AlreadyExists", "\(resource.qualified) \"\(name)\" already exists", details: details(resource, name))
    }

    static let modified = "the object has been modified; please apply your changes to the latest version and try again"

    static func conflict(_ resource: Resource, _ name: String, _ why: String = modified) -> StatusError {
        StatusError(
            409, "Conflict", "Operation cannot be fulfilled on \(resource.qualified) \"\(name)\": \(why)",
            details: details(resource, name))
    }

    /// A uid in the body of a write that is not the object's; `found` is empty if there is no object.
    static func wrongUID(_ resource: Resource, _ key: ObjectKey, _ given: String, _ found: String) -> StatusError {
        conflict(
            resource, key.name,
            "StorageError: invalid object, Code: 4, Key: /registry/\(resource.rawValue)/\(key), ResourceVersion: 0, "
                + "AdditionalErrorMsg: Precondition failed: UID in precondition: \(given), UID in object meta: \(found)"
        )
    }

    /// One thing that is wrong with a value.
    struct Cause {
        var reason: String
        var field: String
        var message: String

        static func invalid(_ field: String, _ value: String, _ why: String) -> Cause {
            Cause(reason: "FieldValueInvalid", field: field, message: "Invalid value: \(value): \(why)")
        }
        static func required(_ field: String, _ why: String = "") -> Cause {
            Cause(
                reason: "FieldValueRequired", field: field,
                message: "Required value" + (why.isEmpty ? "" : ": " + why))
        }
        static func notSupported(_ field: String, _ value: String, _ known: [String]) -> Cause {
            let names = known.map { "\"\($0)\"" }.joined(separator: ", ")
            return Cause(
                reason: "FieldValueNotSupported", field: field,
                message: "Unsupported value: \"\(value)\": supported values: \(names)")
        }
        static func forbidden(_ field: String, _ why: String) -> Cause {
            Cause(reason: "FieldValueForbidden", field: field, message: "Forbidden: \(why)")
        }
        static func notFound(_ field: String, _ value: String) -> Cause {
            Cause(reason: "FieldValueNotFound", field: field, message: "Not found: \"\(value)\"")
        }
    }

    /// 422 with every cause.
    static func invalid(_ kind: String, group: String, name: String, _ causes: [Cause]) -> StatusError {
        let texts = causes.map { "\($0.field): \($0.message)" }
        let text = texts.count == 1 ? texts[0] : "[" + texts.joined(separator: ", ") + "]"
        let title = group.isEmpty ? kind : "\(kind).\(group)"
        return StatusError(
            422, "Invalid", "\(title) \"\(name)\" is invalid: \(text)",
            details: .of([
                "name": name.isEmpty ? nil : .string(name), "group": group.isEmpty ? nil : .string(group),
                "kind": .string(kind),
                "causes": .array(
                    causes.map {
                        ["reason": .string($0.reason), "message": .string($0.message), "field": .string($0.field)]
                    }),
            ]))
    }

    static func invalid(_ resource: Resource, _ name: String, _ causes: [Cause]) -> StatusError {
        invalid(resource.kind, group: resource.group, name: name, causes)
    }

    static func expired(_ message: String, metadata: JSON = [:]) -> StatusError {
        StatusError(410, "Expired", message, metadata: metadata)
    }

    static func methodNotAllowed() -> StatusError {
        StatusError(
            405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details: [:])
    }
}
