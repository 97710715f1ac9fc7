extension Cluster {
    func create(_ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        let object = try body(request, kind: target.resource.kind)
        return try create(object, request, target)
    }

    /// Creates an object that was read.
    func create(_ object: JSON, _ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        var object = object
        let resource = target.resource
        if let given = object["metadata"]["namespace"].text, given != target.namespace {
            throw .badRequest(
                "the namespace of the provided object does not match the namespace sent on the request")
        }
        let headers = try Self.checkFields(&object, resource, request)
        if resource.namespaced {
            guard self.object(.namespaces, ObjectKey("", target.namespace)) != nil else {
                throw .notFound(.namespaces, target.namespace)
            }
            object["metadata"]["namespace"] = .string(target.namespace)
        }
        if object["metadata"]["name"].text ?? "" == "", let prefix = object["metadata"]["generateName"].text {
            object["metadata"]["name"] = .string(freeName(prefix, resource, target.namespace))
        }
        for field in [
            "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields",
        ] {
            object["metadata"][field] = nil
        }
        try Self.validate(object, resource)
        let key = ObjectKey(of: object)
        if self.object(resource, key) != nil { throw .alreadyExists(resource, key.name) }
        object["status"] = nil
        setDefaults(&object, resource)
        if let (code, message) = policy.webhook?(resource, key.name) {
            throw StatusError(code, code == 500 ? "InternalError" : nil, message)
        }
        if resource == .pods { try admit(object) }
        if request.query["dryRun"] == "All" {
            object["metadata"]["creationTimestamp"] = timestamp
            if resource.hasGeneration { object["metadata"]["generation"] = 1 }
            return APIResponse(201, json: object, headers: headers)
        }
        return APIResponse(201, json: insert(resource, object), headers: headers)
    }

    /// A free name with a random end of five characters.
    func freeName(_ prefix: String, _ resource: Resource, _ namespace: String) -> String {
        while true {
            let end = String((0..<5).map { _ in "bcdfghjklmnpqrstvwxz2456789".randomElement() ?? "x" })
            let name = prefix.prefix(58) + end
            if object(resource, ObjectKey(namespace, String(name))) == nil { return String(name) }
        }
    }

    func replace(_ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        let given = try body(request, kind: target.resource.kind)
        let resource = target.resource
        if let name = given["metadata"]["name"].text, name != target.name {
            throw .badRequest(
                "the name of the object (\(name)) does not match the name on the URL (\(target.name ?? ""))")
        }
        guard let before = object(resource, target.key) else {
            guard resource.createsOnUpdate else { throw .notFound(resource, target.name ?? "") }
            if let uid = given["metadata"]["uid"].text { throw .wrongUID(resource, target.key, uid, "") }
            return try create(given, request, target)
        }
        return try write(given, over: before, request, target)
    }

    /// Puts a whole object in the place of one that is there.
    func write(
        _ given: JSON, over before: JSON, _ request: APIRequest, _ target: Target, patched: Bool = false
    ) throws(StatusError) -> APIResponse {
        let resource = target.resource
        var given = given
        let headers = try Self.checkFields(&given, resource, request)
        let version = given["metadata"]["resourceVersion"].text
        if version == nil && resource.createsOnUpdate && !patched {
            var error = StatusError.invalid(
                resource, target.key.name,
                [.invalid("metadata.resourceVersion", "0", "must be specified for an update")])
            error.message = error.message.replacing(resource.qualifiedKind, with: resource.qualified)
            error.details["kind"] = .string(resource.rawValue)
            throw error
        }
        if let uid = given["metadata"]["uid"].text, uid != before["metadata"]["uid"].text {
            throw .wrongUID(resource, target.key, uid, before["metadata"]["uid"].text ?? "")
        }
        if let version, version != before["metadata"]["resourceVersion"].text {
            throw .conflict(resource, target.key.name)
        }
        try Self.validate(given, resource)
        if target.subresource == nil { try Self.checkImmutable(given, before, resource) }
        let after = update(resource, target.key) { object in
            if target.subresource == "status" {
                object["status"] = given["status"]
                return
            }
            var metadata = before["metadata"]
            for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
                let value = given["metadata"][field]
                metadata[field] = value.members.isEmpty && value.items.isEmpty ? nil : value
            }
            let status = object["status"]
            object = given
            object["kind"] = before["kind"]
            object["apiVersion"] = before["apiVersion"]
            object["metadata"] = metadata
            object["status"] = status
            setDefaults(&object, resource)
        }
        return APIResponse(json: after ?? .null, headers: headers)
    }

    func patch(_ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        let resource = target.resource
        let type = request.mediaType
        guard let change = try? JSON(parsing: request.body) else {
            throw .badRequest("error decoding patch: the body is no JSON")
        }
        if type == "application/apply-patch+yaml" { return try apply(change, request, target) }
        guard Patch.types.contains(type) else {
            throw StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details: [:])
        }
        guard let before = object(resource, target.key) else { throw .notFound(resource, target.name ?? "") }
        if type != "application/json-patch+json", let version = change["metadata"]["resourceVersion"].text,
            version != before["metadata"]["resourceVersion"].text
        {
            throw .conflict(resource, target.key.name)
        }
        let after: JSON
        switch type {
        case "application/json-patch+json": after = try Patch.json(change, to: before)
        case "application/merge-patch+json": after = Patch.merge(change, into: before)
        default: after = Patch.strategic(change, into: before)
        }
        return try write(after, over: before, request, target, patched: true)
    }

    /// Server-side apply, without managed fields: what the fake cannot know (whose a field is) never conflicts.
    private func apply(
        _ change: JSON, _ request: APIRequest, _ target: Target
    ) throws(StatusError) -> APIResponse {
        guard request.query["fieldManager"]?.isEmpty == false else {
            throw .invalid(
                "PatchOptions", group: "meta.k8s.io", name: "",
                [.required("fieldManager", "is required for apply patch")])
        }
        guard let before = object(target.resource, target.key) else { return try create(change, request, target) }
        return try write(Patch.strategic(change, into: before), over: before, request, target, patched: true)
    }

    func delete(_ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        let options = try deleteOptions(request)
        let resource = target.resource
        guard let object = object(resource, target.key) else { throw .notFound(resource, target.name ?? "") }
        let headers: [(String, String)] =
            resource == .jobs && options["propagationPolicy"] == nil
            ? [
                (
                    "Warning",
                    "299 - \"child pods are preserved by default when jobs are deleted; set propagationPolicy=Background"
                        + " to remove them or set propagationPolicy=Orphan to suppress this warning\""
                )
            ] : []
        do throws(StatusError) {
            try checkPreconditions(options["preconditions"], object, resource)
        } catch {
            var error = error
            error.headers += headers
            throw error
        }
        let last = startDeletion(resource, target.key, options)
        if resource != .pods && self.object(resource, target.key) == nil {
            let group: JSON? = resource.group.isEmpty ? nil : .string(resource.group)
            return APIResponse(
                json: [
                    "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success",
                    "details": .of([
                        "name": .string(target.key.name), "group": group, "kind": .string(resource.rawValue),
                        "uid": object["metadata"]["uid"],
                    ]),
                ], headers: headers)
        }
        return APIResponse(json: last ?? object, headers: headers)
    }

    private func deleteOptions(_ request: APIRequest) throws(StatusError) -> JSON {
        var options: JSON = [:]
        if !request.body.isEmpty { options = try body(request, kind: "DeleteOptions") }
        if let policy = request.query["propagationPolicy"] { options["propagationPolicy"] = .string(policy) }
        if let grace = request.query["gracePeriodSeconds"].flatMap({ Int($0) }) {
            options["gracePeriodSeconds"] = .int(grace)
        }
        if let policy = options["propagationPolicy"].text {
            let known = ["Foreground", "Background", "Orphan"]
            guard known.contains(policy) else {
                throw .invalid(
                    "DeleteOptions", group: "meta.k8s.io", name: "",
                    [.notSupported("propagationPolicy", policy, known + ["nil"])])
            }
        }
        return options
    }

    private func checkPreconditions(
        _ conditions: JSON?, _ object: JSON, _ resource: Resource
    ) throws(StatusError) {
        let name = object["metadata"]["name"].text ?? ""
        func refuse(_ what: String, _ given: String, _ found: String) -> StatusError {
            var error = StatusError.conflict(
                resource, name,
                "the \(what) in the precondition (\(given)) does not match the \(what) in record (\(found)). "
                    + "The object might have been \(what == "UID" ? "deleted and then recreated" : "modified")")
            error.message = error.message.replacing("on \(resource.qualified) ", with: "on \(resource.qualifiedKind) ")
            error.details["kind"] = .string(resource.kind)
            return error
        }
        let found = object["metadata"]
        if let uid = conditions["uid"].text, uid != found["uid"].text {
            throw refuse("UID", uid, found["uid"].text ?? "")
        }
        if let version = conditions["resourceVersion"].text, version != found["resourceVersion"].text {
            throw refuse("ResourceVersion", version, found["resourceVersion"].text ?? "")
        }
    }

    func deleteAll(_ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        let options = try deleteOptions(request)
        let selector = try Selector(
            labels: request.query["labelSelector"], fields: request.query["fieldSelector"], resource: target.resource)
        let found = all(target.resource).filter {
            ObjectKey(of: $0).namespace == target.namespace && selector.matches($0)
        }
        for object in found { startDeletion(target.resource, ObjectKey(of: object), options) }
        return APIResponse(json: [
            "kind": .string(target.resource.kind + "List"), "apiVersion": .string(target.resource.apiVersion),
            "metadata": ["resourceVersion": .string(String(resourceVersion))], "items": .array(found.map(Self.asItem)),
        ])
    }
}
