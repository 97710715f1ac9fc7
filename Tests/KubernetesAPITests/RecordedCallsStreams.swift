import KubernetesAPI
import Testing

extension RecordedCalls {
    private static func log(
        _ client: KubernetesClient, _ container: String?, of pod: String = "logs-jh7ck",
        _ change: (inout PodLogOptions) -> Void = { _ in }
    ) async throws -> String {
        var options = PodLogOptions()
        options.container = container
        change(&options)
        return String(decoding: try await client.podLog(pod, options: options), as: UTF8.self)
    }

    static let logs: [String: RecordedCall] = [
        "log-whole": { client, _ in
            let text = try await log(client, "ack")
            #expect(text.hasPrefix("line 1\nline 2\n") && text.hasSuffix("no newline at the end"))
        },
        "log-default-container": refused(400, .badRequest) { client, _ in _ = try await log(client, nil) },
        "log-empty": { client, _ in
            let result = try await log(client, "exec-2")
            #expect(result.isEmpty)
        },
        "log-not-utf8": { client, _ in
            var options = PodLogOptions()
            options.container = "exec-0"
            let bytes = try await client.podLog("logs-jh7ck", options: options)
            #expect(bytes.contains(0) && String(validating: bytes, as: UTF8.self) == nil)
        },
        "log-pod-not-scheduled": { client, _ in
            let result = try await log(client, "ack", of: "unscheduled-84r6c")
            #expect(result.isEmpty)
        },
        "log-timestamps": { client, _ in
            let text = try await log(client, "ack") { $0.hasTimestamps = true }
            #expect(text.hasPrefix("2026-11-21T06:08:2"))
        },
        "log-limit-bytes": { client, _ in
            let text = try await log(client, "ack") { $0.limitBytes = 20 }
            #expect(text.utf8.count == 20)
        },
        "log-tail-lines": { client, _ in
            let text = try await log(client, "ack") { $0.tailLines = 3 }
            #expect(text.hasSuffix("no newline at the end"))
        },
        "log-tail-and-limit": { client, _ in
            let text = try await log(client, "ack") {
                $0.tailLines = 3
                $0.limitBytes = 10
            }
            #expect(text.utf8.count == 10)
        },
        "log-since-seconds": { client, _ in
            let text = try await log(client, "ack") { $0.sinceSeconds = 2 }
            #expect(text.hasSuffix("no newline at the end"))
        },
        "log-since-time": { client, _ in
            let text = try await log(client, "ack") {
                $0.sinceTime = "2026-11-21T06:08:30.697052476Z"
                $0.hasTimestamps = true
            }
            #expect(text.hasPrefix("2026-11-21T06:08:30"))
        },
        "log-follow": { client, _ in
            var options = PodLogOptions()
            (options.container, options.hasTimestamps) = ("ack", true)
            let stream = try await client.followPodLog("logs-jh7ck", options: options)
            var bytes: [UInt8] = []
            while let piece = try await stream.next() { bytes += piece }
            #expect(bytes.count { $0 == 10 } == 9 && bytes.ends("no newline at the end"))
        },
        "error-400-log-before-start": refused(400, .badRequest) { client, _ in _ = try await log(client, "ack") },
        "error-400-log-before-start-follow": refused(400, .badRequest) { client, _ in
            var options = PodLogOptions()
            options.container = "ack"
            _ = try await client.followPodLog("logs-jh7ck", options: options)
        },
        "error-400-log-previous": refused(400, .badRequest) { client, _ in
            _ = try await log(client, "exec-2") { $0.isPrevious = true }
        },
        "error-400-log-unknown-container": refused(400, .badRequest) { client, _ in
            _ = try await log(client, "nope")
        },
        "error-404-log-no-pod": refused(404, .notFound) { client, _ in
            _ = try await log(client, "ack", of: "no-such-pod")
        },
        "error-422-log-limit-bytes": refused(422, .invalid, causes: 1) { client, _ in
            _ = try await log(client, "ack") { $0.limitBytes = 0 }
        },
        "error-422-log-tail-lines": refused(422, .invalid, causes: 1) { client, _ in
            _ = try await log(client, "ack") { $0.tailLines = -1 }
        },
    ]

    /// The events of a watch as a word each, up to its end.
    private static func events<Object: KubernetesObject>(
        _ client: KubernetesClient, _ type: Object.Type, _ version: String?, seconds: Int?, bookmarks: Bool = false,
        labels: String? = "poiesis.io/page=yes", initial: Bool = false
    ) async throws -> [String] {
        var options = WatchOptions()
        options.selection.labels = labels
        options.resourceVersion = version
        options.timeoutSeconds = seconds
        options.allowsBookmarks = bookmarks
        options.sendsInitialEvents = initial
        var watch = try await client.watch(type, options: options)
        var events: [String] = []
        while let event = try await watch.next() {
            switch event {
            case .added(let object): events.append("added " + (object.metadata?.name ?? ""))
            case .modified(let object): events.append("modified " + (object.metadata?.name ?? ""))
            case .deleted(let object): events.append("deleted " + (object.metadata?.name ?? ""))
            case .bookmark(let version, let isEnd): events.append("bookmark \(version)" + (isEnd ? " end" : ""))
            case .error(let refusal): events.append("error \(refusal.code) \(refusal.reason?.rawValue ?? "")")
            }
        }
        return events
    }

    static let watches: [String: RecordedCall] = [
        "watch-410-too-old": { client, _ in
            let result = try await events(client, Job.self, "5", seconds: 3)
            #expect(result == ["error 410 Expired"])
        },
        "watch-410-too-old-events": { client, _ in
            let result = try await events(client, Event.self, "5", seconds: 3, labels: nil)
            #expect(result == ["error 410 Expired"])
        },
        "watch-timeout-no-events": { client, _ in
            let result = try await events(client, Job.self, "8413", seconds: 3)
            #expect(result == [])
        },
        "watch-future-resource-version": { client, _ in
            let result = try await events(client, Job.self, "99999999", seconds: 3)
            #expect(result == [])
        },
        "watch-bookmarks": { client, _ in
            let events = try await events(client, Job.self, "8413", seconds: 80, bookmarks: true)
            #expect(events.contains { $0.hasPrefix("modified ") } && events.last?.hasPrefix("bookmark ") == true)
        },
        "watch-label-leaves-selector": { client, _ in
            let events = try await events(client, Job.self, "8413", seconds: 4, bookmarks: true)
            #expect(events.contains { $0.hasPrefix("deleted page-") })
        },
        "watch-server-stops": { client, _ in
            let events = try await events(client, Pod.self, "9366", seconds: nil, bookmarks: true, labels: nil)
            #expect(events == ["bookmark 9374"])
        },
        "watch-without-resource-version": { client, _ in
            let events = try await events(client, Job.self, nil, seconds: 2)
            #expect(!events.isEmpty && events.allSatisfy { $0.hasPrefix("added page-") })
        },
        "watch-list-stream": { client, _ in
            let events = try await events(client, Job.self, nil, seconds: 2, bookmarks: true, initial: true)
            #expect(events.dropLast().allSatisfy { $0.hasPrefix("added page-") } && events.count > 1)
            #expect(events.last == "bookmark 8423 end")
        },
        "error-500-watch-bad-resource-version": refused(500, nil) { client, _ in
            _ = try await events(client, Job.self, "abc", seconds: nil)
        },
    ]
}

extension [UInt8] {
    fileprivate func ends(_ text: String) -> Bool { suffix(text.utf8.count).elementsEqual(text.utf8) }
}
