import KubernetesAPI
import Testing

extension RecordedCalls {
    private static let create: RecordedCall = { client, exchange in
        _ = try await client.create(try Job(json: exchange.body), namespace: "poiesis")
    }

    private static let send: RecordedCall = { client, exchange in _ = try await client.send(request(exchange)) }

    private static func patch(
        _ patch: @escaping @Sendable ([UInt8]) -> Patch
    ) -> RecordedCall {
        { client, exchange in _ = try await client.patch(Job.self, "patch", patch(exchange.body)) }
    }

    /// Writes that are refused.
    static let refusals: [String: RecordedCall] = [
        "error-400-bad-quantity": refused(400, .badRequest, create),
        "error-400-namespace-mismatch": refused(400, .badRequest, create),
        "error-403-create-job": refused(403, .forbidden, create),
        "error-404-namespace-on-create": refused(404, .notFound) { client, exchange in
            _ = try await client.create(try Job(json: exchange.body))
        },
        "error-409-already-exists": refused(409, .alreadyExists, create),
        "error-422-bad-label": refused(422, .invalid, causes: 1, create),
        "error-422-invalid": { client, exchange in
            let refusal = await refusal { try await create(client, exchange) }
            #expect(refusal?.code == 422 && refusal?.reason == .invalid && (refusal?.causes.count ?? 0) > 3)
            #expect(
                refusal?.causes.contains { $0.field == "metadata.name" && $0.reason == "FieldValueInvalid" } == true)
        },
        "error-422-job-name-too-long": { client, exchange in
            let refusal = await refusal { try await create(client, exchange) }
            #expect(refusal?.reason == .invalid && refusal?.causes.isEmpty == false)
        },
        "error-409-apply-conflict": refused(
            409, .conflict, causes: 1, patch { .apply($0, fieldManager: "poiesis", isForced: false) }),
        "error-409-merge-patch-resource-version": refused(409, .conflict, patch { .merge($0) }),
        "error-422-json-patch-test-failed": refused(422, .invalid, patch { .json($0) }),
        "error-422-patch-immutable": refused(422, .invalid, causes: 1, patch { .merge($0) }),
        "error-409-delete-precondition": refused(409, .conflict) { client, _ in
            _ = try await client.delete(
                Job.self, "conflict", propagation: nil,
                preconditions: Preconditions(uid: "00000000-0000-0000-0000-000000000000"))
        },
        "delete-job-404": refused(404, .notFound) { client, _ in
            _ = try await client.delete(Job.self, "del", propagation: .background)
        },
    ]

    /// What the client has no method for: other resources, members that the models lack, faults that a typed value cannot have.
    static let raw: [String: RecordedCall] = [
        "create-unknown-field-default": { client, exchange in
            let result = try await client.send(request(exchange))
            #expect(result.warnings.first?.contains("unknown field") == true)
        },
        "create-unknown-field-warn": { client, exchange in
            let result = try await client.send(request(exchange))
            #expect(result.warnings.first?.contains("unknown field") == true)
        },
        "discovery-batch-v1": send,
        "readyz": { client, exchange in
            let result = try await client.send(request(exchange))
            #expect(result.body == Array("ok".utf8))
        },
        "version": send,
        "self-subject-access-review": { client, exchange in
            let answer = try await client.send(request(exchange))
            #expect(String(decoding: answer.body, as: UTF8.self).contains(#""allowed":false"#))
        },
        "list-partial-object-metadata": send,
        "error-400-malformed-json": refused(400, .badRequest, send),
        "error-400-unknown-field-strict": refused(400, .badRequest, send),
        "error-400-wrong-kind": refused(400, .badRequest, send),
        "error-400-wrong-type": refused(400, .badRequest, send),
        "error-403-forbidden": refused(403, .forbidden, send),
        // Not "NotFound": it is the API that is missing, and says nothing of any object.
        "error-404-path": refused(404, nil, send),
        "error-405-method": refused(405, .methodNotAllowed, send),
        "error-406-accept": refused(406, .notAcceptable, send),
        "error-409-conflict": refused(409, .conflict, send),
        "error-415-media-type": refused(415, .unsupportedMediaType, send),
        "error-415-patch-media-type": refused(415, .unsupportedMediaType, send),
        "error-422-apply-without-field-manager": refused(422, .invalid, causes: 1, send),
        "error-422-delete-bad-policy": refused(422, .invalid, causes: 1, send),
        "error-422-immutable": refused(422, .invalid, causes: 1, send),
        "error-422-log-stream": refused(422, .invalid, causes: 1, send),
        "error-422-watch-list-without-match": refused(422, .invalid, causes: 1, send),
        "error-429-eviction-blocked": refused(429, .tooManyRequests, causes: 1, send),
    ]

    private static let createLease: RecordedCall = { client, exchange in
        let lease = try await client.create(try Lease(json: exchange.body))
        #expect(lease.spec?.holderIdentity == "tctl-a" && lease.spec?.renewTime?.hasSuffix("Z") == true)
    }

    private static let replace: RecordedCall = { client, exchange in
        let sent = try Lease(json: exchange.body)
        let lease = try await client.replace(sent)
        #expect(lease.spec == sent.spec && lease.metadata?.resourceVersion != sent.metadata?.resourceVersion)
    }

    /// Election of a leader.
    static let leases: [String: RecordedCall] = [
        "lease-404": refused(404, .notFound) { client, _ in _ = try await client.get(Lease.self, "poiesis-tctl") },
        "lease-create": createLease,
        "lease-create-already-exists": refused(409, .alreadyExists, createLease),
        "lease-release": { client, _ in
            let body = Array(#"{"spec":{"holderIdentity":""}}"#.utf8)
            let lease = try await client.patch(Lease.self, "poiesis-tctl", .merge(body))
            #expect(lease.spec?.holderIdentity?.isEmpty != false)
        },
        "lease-renew": replace,
        "lease-renew-time-nanoseconds": refused(400, .badRequest, replace),
        "lease-renew-time-seconds": refused(400, .badRequest, replace),
        "lease-takeover": replace,
        "lease-takeover-conflict": refused(409, .conflict, replace),
        "lease-update-after-delete": refused(409, .conflict, replace),
        "lease-update-after-delete-without-uid": replace,
        "lease-update-without-resource-version": refused(422, .invalid, causes: 1, replace),
        "lease-update-wrong-uid": refused(409, .conflict, replace),
    ]
}
