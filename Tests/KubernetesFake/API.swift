extension Cluster {
    /// Answers a request; a watch or followed log is described in the answer's `stream`.
    package func answer(_ request: APIRequest) -> APIResponse {
        do throws(StatusError) {
            return try route(request)
        } catch {
            return APIResponse(error)
        }
    }

    private func route(_ request: APIRequest) throws(StatusError) -> APIResponse {
        let account = try authenticate(request)
        switch request.path.joined(separator: "/") {
        case "readyz", "livez", "healthz": return .plain(200, "ok")
        case "version":
            return APIResponse(json: ["major": "1", "minor": "36", "gitVersion": "v1.36.2", "platform": "linux/amd64"])
        case "apis/authorization.k8s.io/v1/selfsubjectaccessreviews": return try accessReview(request, account)
        case "apis/batch/v1", "apis/coordination.k8s.io/v1", "api/v1": return discovery(request.path)
        default: break
        }
        guard let target = Target(request.path) else { return .plain(404, "404 page not found\n") }
        if let accept = request.headers["accept"], !accept.contains("json"), !accept.contains("*/*") {
            throw StatusError(
                406, "NotAcceptable",
                "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
                    + "application/vnd.kubernetes.protobuf", details: [:])
        }
        let verb = Self.verb(request, target)
        try authorize(verb, target, account)
        if request.method == "GET", target.subresource == "log" { return try log(request, target) }
        switch (verb, target.subresource) {
        case ("get", nil), ("get", "status"): return try get(request, target)
        case ("list", nil): return try list(request, target)
        case ("watch", nil): return try watch(request, target)
        case ("create", nil): return try create(request, target)
        case ("create", "eviction") where target.resource == .pods: return try evict(request, target)
        case ("update", nil), ("update", "status"): return try replace(request, target)
        case ("patch", nil), ("patch", "status"): return try patch(request, target)
        case ("delete", nil): return try delete(request, target)
        case ("deletecollection", nil) where target.resource.namespaced: return try deleteAll(request, target)
        default: throw .methodNotAllowed()
        }
    }

    private static func verb(_ request: APIRequest, _ target: Target) -> String {
        switch request.method {
        case "GET", "HEAD":
            target.name != nil ? "get" : request.flag("watch") ? "watch" : "list"
        case "POST": target.name == nil || target.subresource != nil ? "create" : "unknown"
        case "PUT": target.name == nil ? "unknown" : "update"
        case "PATCH": target.name == nil ? "unknown" : "patch"
        case "DELETE": target.name == nil ? "deletecollection" : "delete"
        default: "unknown"
        }
    }

    private func authenticate(_ request: APIRequest) throws(StatusError) -> Access.Account {
        let everything = Access.Account(name: "system:admin", rules: nil)
        guard let access else { return everything }
        guard let header = request.headers["authorization"] else {
            return Access.Account(name: "system:anonymous", rules: [])
        }
        guard header.hasPrefix("Bearer "), let account = access.accounts[String(header.dropFirst(7))] else {
            throw StatusError(401, "Unauthorized", "Unauthorized")
        }
        return account
    }

    private func authorize(_ verb: String, _ target: Target, _ account: Access.Account) throws(StatusError) {
        guard let rules = account.rules else { return }
        let resource = target.resource
        let rule = "\(verb) \(resource.group)/\(resource.rawValue)\(target.subresource.map { "/" + $0 } ?? "")"
        if rules.contains(rule) { return }
        let object = target.name.map { " \"\($0)\"" } ?? ""
        let place = target.namespace.isEmpty ? "at the cluster scope" : "in the namespace \"\(target.namespace)\""
        var error = StatusError(
            403, "Forbidden",
            "\(resource.qualified)\(object) is forbidden: User \"\(account.name)\" cannot \(verb) resource "
                + "\"\(resource.rawValue)\" in API group \"\(resource.group)\" \(place)",
            details: .of([
                "name": target.name.map(JSON.string), "group": resource.group.isEmpty ? nil : .string(resource.group),
                "kind": .string(resource.rawValue),
            ]))
        error.headers = [("X-Content-Type-Options", "nosniff")]
        throw error
    }

    private func accessReview(
        _ request: APIRequest, _ account: Access.Account
    ) throws(StatusError) -> APIResponse {
        guard request.method == "POST" else { throw .methodNotAllowed() }
        var review = try body(request, kind: "SelfSubjectAccessReview")
        let asked = review["spec"]["resourceAttributes"]
        let rule = "\(asked["verb"].text ?? "") \(asked["group"].text ?? "")/\(asked["resource"].text ?? "")"
        review["metadata"] = [:]
        review["status"] = ["allowed": .bool(account.rules?.contains(rule) ?? true)]
        return APIResponse(201, json: review)
    }

    private func discovery(_ path: [String]) -> APIResponse {
        let group = path.count == 3 ? path[1] : ""
        let verbs: JSON = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        let resources = Resource.allCases.filter { $0.group == group }.map { resource -> JSON in
            [
                "name": .string(resource.rawValue), "singularName": .string(resource.kind.lowercased()),
                "namespaced": .bool(resource.namespaced), "kind": .string(resource.kind), "verbs": verbs,
            ]
        }
        return APIResponse(json: [
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": .string(group.isEmpty ? "v1" : group + "/v1"),
            "resources": .array(resources),
        ])
    }

    /// The object in a request's body.
    func body(_ request: APIRequest, kind: String) throws(StatusError) -> JSON {
        guard request.mediaType.isEmpty || request.mediaType == "application/json" else {
            throw StatusError(
                415, "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: "
                    + "application/json, application/yaml, application/vnd.kubernetes.protobuf")
        }
        let object: JSON
        do { object = try JSON(parsing: request.body) } catch {
            let start = String(decoding: request.body.prefix(29), as: UTF8.self)
            throw .badRequest(
                "the object provided is unrecognized (must be of type \(kind)): couldn't get version/kind; "
                    + "json parse error: \(error.message) (\(JSON.string(start)) ...)")
        }
        let given = object["kind"].text ?? kind
        guard given == kind else {
            let version = object["apiVersion"].text ?? "v1"
            let package = version.split(separator: "/").first.map(String.init) ?? version
            throw .badRequest(
                "\(given) in version \"\(version)\" cannot be handled as a \(kind): converting "
                    + "(\(package).\(given)) to (\(Resource(kind: kind)?.group ?? "").\(kind)): unknown conversion")
        }
        return object
    }
}
