import KubernetesAPI
import Testing

extension RecordedCalls {
    /// GET of objects and lists.
    static let reading: [String: RecordedCall] = [
        "list-chunk-1": { client, exchange in try await chunk(client, exchange, items: ["page-0", "page-1"]) },
        "list-chunk-2": { client, exchange in try await chunk(client, exchange, items: ["page-2", "page-3"]) },
        "list-chunk-3": { client, exchange in try await chunk(client, exchange, items: ["page-4"]) },
        "list-continue-after-compaction": { client, exchange in
            try await chunk(client, exchange, items: ["page-2", "page-3"])
        },
        "list-in-missing-namespace": { client, _ in
            let list = try await client.list(Pod.self, namespace: "no-such-namespace")
            #expect(list.items.isEmpty && list.resourceVersion?.isEmpty == false && list.continueToken == nil)
        },
        "list-future-resource-version": refused(504, .timeout, causes: 1, retryAfter: .seconds(1)) { client, exchange in
            var options = ListOptions()
            options.selection = pages
            options.resourceVersion = "99999999"
            _ = try await client.list(Job.self, options: options)
        },
        "error-400-bad-continue": refused(400, .badRequest) { client, _ in
            var options = ListOptions()
            (options.selection, options.limit, options.continueToken) = (pages, 2, "abc")
            _ = try await client.list(Job.self, options: options)
        },
        "error-410-continue-expired": { client, exchange in
            let refusal = await refusal { try await chunk(client, exchange, items: []) }
            #expect(refusal?.code == 410 && refusal?.reason == .expired && refusal?.isExpired == true)
            #expect(refusal?.continueToken?.hasPrefix("eyJ2") == true)
        },
        "error-410-list-exact": refused(410, .expired) { client, _ in
            var options = ListOptions()
            (options.selection, options.resourceVersion, options.resourceVersionMatch) = (pages, "5", "Exact")
            _ = try await client.list(Job.self, options: options)
        },
        "error-400-bad-field-selector": refused(400, .badRequest) { client, _ in
            var options = ListOptions()
            options.selection.fields = "spec.nope=x"
            _ = try await client.list(Pod.self, options: options)
        },
        "error-400-bad-selector": refused(400, .badRequest) { client, _ in
            var options = ListOptions()
            options.selection.labels = "a b c"
            _ = try await client.list(Pod.self, options: options)
        },
        "error-401-bad-token": refused(401, .unauthorized) { client, _ in _ = try await client.list(Pod.self) },
        "error-403-anonymous": refused(403, .forbidden) { client, _ in _ = try await client.list(Pod.self) },
        "error-404-object": refused(404, .notFound) { client, _ in _ = try await client.get(Job.self, "no-such-job") },
        "error-429-too-many-requests": refused(429, .tooManyRequests, retryAfter: .seconds(1)) { client, _ in
            _ = try await client.list(Event.self)
        },
    ]

    private static func chunk(
        _ client: KubernetesClient, _ exchange: RecordedExchange, items: [String]
    ) async throws {
        var options = ListOptions()
        options.selection = pages
        options.limit = 2
        options.continueToken = exchange.parameter("continue")
        let list = try await client.list(Job.self, options: options)
        #expect(list.items.map { $0.metadata?.name ?? "" } == items)
        #expect(list.items.allSatisfy { $0.kind == "Job" && $0.apiVersion == "batch/v1" && $0.spec?.suspend == true })
        #expect(list.resourceVersion == "8395")
        #expect((list.continueToken == nil) == (items.count == 1))
    }

    /// POST, PUT, PATCH and DELETE that succeed.
    static let writing: [String: RecordedCall] = [
        "create-201": { client, exchange in
            let job = try await client.create(try Job(json: exchange.body))
            #expect(job.metadata?.uid?.count == 36 && job.metadata?.resourceVersion != nil)
            #expect(job.spec?.template.spec?.containers.first?.terminationMessagePolicy == "File")
        },
        "update-200": { client, exchange in
            let job = try await client.send(request(exchange))
            #expect(try Job(json: job.body).metadata?.name == "conflict")
        },
        "patch-json-merge": { client, _ in
            let body = #"{"metadata":{"annotations":{"poiesis.io/a":null,"poiesis.io/c":"merge"}}}"#
            let job = try await client.patch(Job.self, "patch", .merge(Array(body.utf8)))
            #expect(job.metadata?.annotations?["poiesis.io/c"] == "merge")
            #expect(job.metadata?.annotations?["poiesis.io/a"] == nil)
        },
        "patch-unsuspend": { client, _ in
            let job = try await client.patch(Job.self, "patch", .merge(Array(#"{"spec":{"suspend":false}}"#.utf8)))
            #expect(job.spec?.suspend == false)
        },
        "patch-strategic-merge": { client, exchange in
            let job = try await client.patch(Job.self, "patch", .strategicMerge(exchange.body))
            #expect(job.spec?.template.metadata?.labels?["extra"] == "yes")
        },
        "patch-json-patch": { client, exchange in
            let job = try await client.patch(Job.self, "patch", .json(exchange.body))
            #expect(job.metadata?.annotations?["poiesis.io/d"] == "json patch")
        },
        "patch-apply-creates": { client, exchange in
            let apply = Patch.apply(exchange.body, fieldManager: "poiesis", isForced: true)
            let result = try await client.patch(Job.self, "applied", apply)
            #expect(result.metadata?.name == "applied")
        },
        "patch-apply-force": { client, exchange in
            let apply = Patch.apply(exchange.body, fieldManager: "poiesis", isForced: true)
            let result = try await client.patch(Job.self, "patch", apply)
            #expect(result.spec?.ttlSecondsAfterFinished == 60)
        },
        "delete-job-background": { client, _ in
            let result = try await client.delete(Job.self, "del", propagation: .background)
            #expect(result == .deleted)
        },
        "delete-job-background-in-body": { client, _ in
            let preconditions = Preconditions(uid: "6379baa8-695e-4471-9b9d-c96e7c53c011")
            let deletion = try await client.delete(
                Job.self, "del", propagation: .background, preconditions: preconditions)
            #expect(deletion == .deleted)
        },
        "delete-job-foreground": { client, _ in try await foreground(client) },
        "delete-job-foreground-again": { client, _ in try await foreground(client) },
        "delete-job-orphan": { client, _ in
            let deletion = try await client.delete(Job.self, "del", propagation: .orphan)
            #expect(object(deletion)?.metadata?.finalizers == ["orphan"])
        },
        "delete-job-default": { client, _ in
            let deletion = try await client.delete(Job.self, "del", propagation: nil)
            #expect(object(deletion)?.metadata?.finalizers == ["orphan"])
        },
        "delete-pod-graceful": { client, _ in
            let deletion = try await client.delete(Pod.self, "del-xdgrw", propagation: nil)
            #expect(object(deletion)?.metadata?.deletionTimestamp != nil)
        },
        "delete-pod-again": { client, _ in
            let deletion = try await client.delete(Pod.self, "del-xdgrw", propagation: nil, gracePeriod: 1)
            #expect(object(deletion)?.metadata?.deletionGracePeriodSeconds == 1)
        },
        "delete-pod-force": { client, _ in
            let deletion = try await client.delete(Pod.self, "del-5268x", propagation: nil, gracePeriod: 0)
            #expect(object(deletion)?.metadata?.name == "del-5268x")
        },
        "delete-pvc-in-use": { client, _ in
            let deletion = try await client.delete(PersistentVolumeClaim.self, "del", propagation: nil)
            #expect(object(deletion)?.metadata?.finalizers?.contains("kubernetes.io/pvc-protection") == true)
        },
        "delete-collection": { client, _ in
            let jobs = try await client.deleteAll(
                Job.self, selection: Selection(labels: "coll=yes"), propagation: .background)
            #expect(jobs.map(\.metadata?.name) == ["coll-0", "coll-1"])
        },
    ]

    private static func foreground(_ client: KubernetesClient) async throws {
        let deletion = try await client.delete(Job.self, "del", propagation: .foreground)
        #expect(object(deletion)?.metadata?.finalizers == ["foregroundDeletion"])
    }

    private static func object<Object>(_ deletion: Deletion<Object>) -> Object? {
        if case .deleting(let object) = deletion { object } else { nil }
    }
}
