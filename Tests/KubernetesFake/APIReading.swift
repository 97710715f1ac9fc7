import Foundation

extension Cluster {
    func get(_ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        guard let object = object(target.resource, target.key) else {
            throw .notFound(target.resource, target.name ?? "")
        }
        return APIResponse(json: Self.partial(request) ? Self.metadataAlone(object) : object)
    }

    private static func partial(_ request: APIRequest) -> Bool {
        request.headers["accept"]?.contains("as=PartialObjectMetadata") == true
    }

    private static func metadataAlone(_ object: JSON) -> JSON {
        .of(["kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]])
    }

    /// The version that a list or watch names; nil if it names none.
    private static func version(_ request: APIRequest) throws(StatusError) -> Int? {
        guard let text = request.query["resourceVersion"], !text.isEmpty else { return nil }
        guard let version = Int(text), version >= 0 else {
            throw StatusError(
                500, nil,
                "resourceVersion: Invalid value: \"\(text)\": strconv.ParseUint: parsing \"\(text)\": invalid syntax")
        }
        return version
    }

    func list(_ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        let resource = target.resource
        let selector = try Selector(
            labels: request.query["labelSelector"], fields: request.query["fieldSelector"], resource: resource)
        var version = try Self.version(request)
        if let asked = version, asked > resourceVersion {
            var error = StatusError(
                504, "Timeout", "Timeout: Too large resource version: \(asked), current: \(resourceVersion)",
                details: [
                    "causes": [["reason": "ResourceVersionTooLarge", "message": "Too large resource version"]],
                    "retryAfterSeconds": 1,
                ])
            error.headers = [("Retry-After", "1")]
            throw error
        }
        var limit = Int(request.query["limit"] ?? "") ?? 0
        if version == 0 { limit = 0 }
        if request.query["resourceVersionMatch"] != "Exact" { version = nil }
        var from: ObjectKey?
        if let token = request.query["continue"], !token.isEmpty {
            let start = try Self.readToken(token)
            from = start.key.namespace.isEmpty ? ObjectKey(target.namespace, start.key.name) : start.key
            version = start.version < 0 ? nil : start.version
            if let asked = version, asked < compacted {
                throw .expired(
                    Self.expiredToken, metadata: ["continue": .string(Self.token(version: -1, start.key))])
            }
        }
        let at = version ?? resourceVersion
        let objects = try snapshot(resource, at: at)
        let keys = sortedKeys(of: objects, resource, at: at)
        func isIn(_ key: ObjectKey) -> Bool { target.namespace.isEmpty || key.namespace == target.namespace }
        var found: [JSON] = []
        var metadata: JSON = ["resourceVersion": .string(String(at))]
        for position in (from.map { keys.firstPosition(notBefore: $0) } ?? 0)..<keys.count {
            let key = keys[position]
            guard isIn(key), let object = objects[key], selector.matches(object) else { continue }
            if limit > 0, found.count == limit {
                metadata["continue"] = .string(Self.token(version: at, key))
                if request.query["labelSelector"] == nil && request.query["fieldSelector"] == nil {
                    metadata["remainingItemCount"] = .int(keys[position...].count(where: isIn))
                }
                break
            }
            found.append(object)
        }
        let partial = Self.partial(request)
        let items = found.map { partial ? Self.metadataAlone($0) : Self.asItem($0) }
        return APIResponse(json: [
            "kind": .string(partial ? "PartialObjectMetadataList" : resource.kind + "List"),
            "apiVersion": .string(partial ? "meta.k8s.io/v1" : resource.apiVersion), "metadata": metadata,
            "items": .array(items),
        ])
    }

    /// The chunks of one list share them.
    private func sortedKeys(of objects: [ObjectKey: JSON], _ resource: Resource, at version: Int) -> [ObjectKey] {
        if let kept = listedKeys, kept.resource == resource, kept.version == version { return kept.keys }
        let keys = objects.keys.sorted()
        listedKeys = (resource, version, keys)
        return keys
    }

    /// An object as it stands in a list: without kind and version.
    static func asItem(_ object: JSON) -> JSON {
        var item = object
        item["kind"] = nil
        item["apiVersion"] = nil
        return item
    }

    private static let expiredToken =
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
        + "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
        + "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
        + "deleted between the time the first chunk was returned and now may show up in the list."

    /// A `continue` token; a version of -1 goes on from the newest.
    private static func token(version: Int, _ key: ObjectKey) -> String {
        let token: JSON = [
            "v": "meta.k8s.io/v1", "rv": .int(version), "start": .string("\(key.namespace)/\(key.name)"),
        ]
        return Data(token.bytes).base64EncodedString().replacing("=", with: "")
    }

    private static func readToken(_ text: String) throws(StatusError) -> (version: Int, key: ObjectKey) {
        let padded = text + String(repeating: "=", count: (4 - text.count % 4) % 4)
        let bytes = Data(base64Encoded: padded.replacing("-", with: "+").replacing("_", with: "/")) ?? Data()
        guard let token = try? JSON(parsing: bytes), let version = token["rv"].int, let start = token["start"].text
        else {
            throw .badRequest(
                "invalid continue token: continue key is not valid: invalid character 'i' looking for beginning of value"
            )
        }
        let parts = start.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        // The recorded tokens name the object alone, behind a slash, and end in a NUL: start after it.
        let name = parts.count == 2 ? parts[1] : parts[0]
        return (version, ObjectKey(parts.count == 2 ? parts[0] : "", name))
    }

    func watch(_ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        let selector = try Selector(
            labels: request.query["labelSelector"], fields: request.query["fieldSelector"], resource: target.resource)
        var version = try Self.version(request)
        let sendsInitial = request.query["sendInitialEvents"] == "true"
        let match = request.query["resourceVersionMatch"]
        if sendsInitial && match != "NotOlderThan" || !sendsInitial && match != nil {
            let why =
                sendsInitial
                ? "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
                : "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            throw .invalid(
                "ListOptions", group: "meta.k8s.io", name: "", [.forbidden("resourceVersionMatch", why)])
        }
        if version == 0 || sendsInitial { version = nil }
        let bookmarks = request.flag("allowWatchBookmarks")
        return APIResponse(
            type: "application/json",
            stream: .watch(
                WatchRequest(
                    resource: target.resource, namespace: target.namespace.isEmpty ? nil : target.namespace,
                    selector: selector, version: version, bookmarks: bookmarks,
                    marksInitialEvents: sendsInitial && bookmarks,
                    timeout: Double(request.query["timeoutSeconds"] ?? ""))))
    }
}

extension [ObjectKey] {
    /// Of sorted keys the first that is not before another one.
    fileprivate func firstPosition(notBefore key: ObjectKey) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
