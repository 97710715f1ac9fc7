extension KubernetesClient {
    // `namespace` is the configuration's where it is nil, here and below.

    func path<Object: KubernetesObject>(
        _ type: Object.Type, _ namespace: String?, _ name: String? = nil, subresource: String? = nil
    ) -> String {
        type.resource.path(namespace: namespace ?? configuration.namespace, name: name, subresource: subresource)
    }

    /// Reads one object.
    package func get<Object: KubernetesObject>(
        _ type: Object.Type, _ name: String, namespace: String? = nil
    ) async throws(KubernetesError) -> Object {
        try decoded(type, try await send(APIRequest("GET", path(type, namespace, name))).body)
    }

    /// Reads one chunk of a list, or a whole one where no limit is given.
    ///
    /// A namespace that does not exist has no objects: the server answers 200.
    package func list<Object: KubernetesObject>(
        _ type: Object.Type, namespace: String? = nil, options: ListOptions = ListOptions()
    ) async throws(KubernetesError) -> ObjectList<Object> {
        var request = APIRequest("GET", path(type, namespace))
        request.add(options.selection)
        request.add("limit", options.limit.map { "\($0)" })
        request.add("continue", options.continueToken)
        request.add("resourceVersion", options.resourceVersion)
        request.add("resourceVersionMatch", options.resourceVersionMatch)
        return try decoded(ObjectList<Object>.self, try await send(request).body)
    }

    /// Reads a whole list in chunks, all of one moment.
    ///
    /// - Parameters:
    ///   - limit: objects of a chunk, of which one is in memory at a time.
    ///   - receive: is given the objects of each chunk. What it was given counts only once this function has returned: before, the list may
    ///     still break off.
    /// - Returns: the version that the list shows.
    /// - Throws: a refusal with ``Refusal/isExpired`` where the list took so long that it has to begin again.
    package func forEachChunk<Object: KubernetesObject>(
        _ type: Object.Type, namespace: String? = nil, selection: Selection = Selection(), limit: Int = 250,
        receive: ([Object]) -> Void
    ) async throws(KubernetesError) -> String {
        var options = ListOptions()
        options.selection = selection
        options.limit = limit
        var version: String?
        repeat {
            let chunk = try await list(type, namespace: namespace, options: options)
            version = version ?? chunk.resourceVersion
            options.continueToken = chunk.continueToken
            receive(chunk.items)
        } while options.continueToken != nil
        guard let version else { throw .unreadable("a list of \(type.resource.plural) has no resourceVersion") }
        return version
    }

    /// Makes an object.
    ///
    /// An object with a name is sent again after a broken connection or a 5xx. If the first try had reached the server after all, the
    /// second one is refused as ``StatusReason/alreadyExists``: whether that object is the wanted one is for the caller to judge.
    /// An object with `generateName` alone is not sent again.
    package func create<Object: KubernetesObject>(
        _ object: Object, namespace: String? = nil, options: WriteOptions = WriteOptions()
    ) async throws(KubernetesError) -> Object {
        let namespace = namespace ?? object.metadata?.namespace
        var request = APIRequest("POST", path(Object.self, namespace))
        request.add(options)
        request.body = object.json
        request.isRepeatable = object.metadata?.name != nil
        return try decoded(Object.self, try await send(request).body)
    }

    /// Replaces an object, which must have a name. Members that the model lacks are lost: for a Lease, not for what others write, too.
    ///
    /// - Throws: ``StatusReason/conflict`` where the object's resource version is not the newest, also where the first of two tries
    ///   was carried out. Without a uid a deleted Lease is made again.
    package func replace<Object: KubernetesObject>(
        _ object: Object, namespace: String? = nil, options: WriteOptions = WriteOptions()
    ) async throws(KubernetesError) -> Object {
        let namespace = namespace ?? object.metadata?.namespace
        var request = APIRequest("PUT", path(Object.self, namespace, object.metadata?.name ?? ""))
        request.add(options)
        request.body = object.json
        return try decoded(Object.self, try await send(request).body)
    }

    /// Changes some members of an object.
    package func patch<Object: KubernetesObject>(
        _ type: Object.Type, _ name: String, namespace: String? = nil, _ patch: Patch,
        options: WriteOptions = WriteOptions()
    ) async throws(KubernetesError) -> Object {
        var request = APIRequest("PATCH", path(type, namespace, name))
        request.isRepeatable = true
        request.add(options)
        switch patch {
        case .merge(let body): (request.contentType, request.body) = ("application/merge-patch+json", body)
        case .strategicMerge(let body):
            (request.contentType, request.body) = ("application/strategic-merge-patch+json", body)
        case .json(let body):
            (request.contentType, request.body) = ("application/json-patch+json", body)
            request.isRepeatable = false
        case .apply(let body, let fieldManager, let isForced):
            (request.contentType, request.body) = ("application/apply-patch+yaml", body)
            request.add("fieldManager", fieldManager)
            if isForced { request.add("force", "true") }
        }
        return try decoded(type, try await send(request).body)
    }

    /// Deletes an object.
    ///
    /// - Parameters:
    ///   - propagation: nil takes the resource's default, which for a Job is to orphan its Pods.
    ///   - gracePeriod: in seconds; nil takes the object's, 0 deletes at once.
    ///   - preconditions: what the object must still be; otherwise ``StatusReason/conflict``.
    /// - Throws: ``StatusReason/notFound`` where there is no such object, also where the first of two tries was carried out.
    package func delete<Object: KubernetesObject>(
        _ type: Object.Type, _ name: String, namespace: String? = nil, propagation: PropagationPolicy?,
        gracePeriod: Int64? = nil, preconditions: Preconditions? = nil
    ) async throws(KubernetesError) -> Deletion<Object> {
        var request = APIRequest("DELETE", path(type, namespace, name))
        if let preconditions {
            var options = DeleteOptions()
            options.apiVersion = "v1"
            options.kind = "DeleteOptions"
            options.gracePeriodSeconds = gracePeriod
            options.propagationPolicy = propagation?.rawValue
            options.preconditions = preconditions
            request.body = JSONWriter.encode(options)
        } else {
            request.add("gracePeriodSeconds", gracePeriod.map { "\($0)" })
            request.add("propagationPolicy", propagation?.rawValue)
        }
        let body = try await send(request).body
        let kind = try decoded(PartialObjectMetadata.self, body).kind
        return kind == type.resource.kind ? .deleting(try decoded(type, body)) : .deleted
    }

    /// Deletes every object that a selection names; without labels and fields all of the namespace.
    ///
    /// - Returns: the objects as they were.
    package func deleteAll<Object: KubernetesObject>(
        _ type: Object.Type, namespace: String? = nil, selection: Selection, propagation: PropagationPolicy?
    ) async throws(KubernetesError) -> [Object] {
        var request = APIRequest("DELETE", path(type, namespace))
        request.add(selection)
        request.add("propagationPolicy", propagation?.rawValue)
        return try decoded(ObjectList<Object>.self, try await send(request).body).items
    }
}

extension APIRequest {
    mutating func add(_ selection: Selection) {
        add("labelSelector", selection.labels)
        add("fieldSelector", selection.fields)
    }

    mutating func add(_ options: WriteOptions) {
        if options.isDryRun { add("dryRun", "All") }
        add("fieldValidation", options.fieldValidation)
        add("fieldManager", options.fieldManager)
    }
}
